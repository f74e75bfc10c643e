"""What a run sets up on a server: accounts and zones, under names and keys that no other run uses."""

from __future__ import annotations

import itertools
import os
import random
import secrets
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

from loadtests.kit.client import Mall
from loadtests.kit.fixtures import MintedUser, Zone, mint_people, open_zone
from loadtests.kit.server import ServerProcess

# Makes users of a role: `mint(role, count, prefix, zone=..., capacity=...)`.
Mint = Callable[..., Awaitable[list[MintedUser]]]


def unique_tag(name: str) -> str:
    """A beginning of names that no run before has used on the same server."""
    return f"{name}-{os.getpid()}-{secrets.token_hex(3)}"


def mint_on(server: ServerProcess) -> Mint:
    """Mints by `run.py mint`, in a process with the server's settings."""
    return partial(mint_people, server)


class Setup:
    """Base of what tools set up; its teardown is that of the blocks that opened server and client.

    Attributes:
        mall: the server, as nobody.
        admin: the server as an administrator, after `enroll_admin`.
        chance: the run's own, by its seed.
    """

    def __init__(self, mall: Mall, mint: Mint, tag: str, seed: int | str = 1) -> None:
        self.mall = mall
        self.admin = mall
        self.tag = tag
        self.chance = random.Random(seed)
        self._mint = mint
        self._numbers = itertools.count(1)

    def key(self) -> str:
        """A new idempotency key."""
        return f"{self.tag}-{self.chance.getrandbits(96):024x}"

    async def enroll_admin(self) -> MintedUser:
        """Be an administrator from now on."""
        [admin] = await self.mint("admin", 1)
        self.admin = self.mall.as_(admin.token)
        return admin

    async def mint(
        self, role: str, count: int, zone: Zone | None = None, capacity: int = 1
    ) -> list[MintedUser]:
        """New users with tokens; `zone` and `capacity` (orders at once) are for drivers."""
        prefix = f"{self.tag}-{role}-{next(self._numbers)}"
        return await self._mint(role, count, prefix, zone=zone, capacity=capacity)

    async def open_zone(self, mode: str, **settings: Any) -> Zone:
        """A new zone with a store."""
        return await open_zone(self.admin, f"{self.tag}-{next(self._numbers)}", mode, **settings)
