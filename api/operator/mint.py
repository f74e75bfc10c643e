"""Minting of users and tokens in bulk, for load tests and operators: no Argon2, no login limits."""

from __future__ import annotations

import argparse
import asyncio
from collections.abc import Iterator
from typing import Any

from actors.clock import LoopClock, Randomness, SystemRandomness
from api.auth.access_tokens import MINTED, MINTED_S_MAX, Tokens
from api.operator.first_run import load_keys
from config.errors import CannotStart
from dispatch.credentials import Credentials
from dispatch.domain.ids import USER, public_id
from dispatch.provisioning import Provisioning, RoleDiffers
from storage.postgres.database import COMMAND_CONNECT_S, Database, open_database

CHUNK = 1_000


class MintError(CannotStart):
    """The request for users is not valid."""


async def mint(
    database: Database,
    clock: LoopClock,
    entropy: Randomness,
    *,
    role: str,
    count: int,
    prefix: str,
    zone: int | None,
    capacity: int,
    hours: float,
) -> list[dict[str, Any]]:
    """Create `count` users `prefix-1@mint.example` … and a token for each, valid for `hours`.

    Existing users keep their rows and get a new token.

    Raises:
        MintError: drivers without an existing zone, or tokens with too long a life.
    """
    if not 0 < hours * 3600 <= MINTED_S_MAX:
        raise MintError(f"--hours is more than 0 and at most {MINTED_S_MAX // 3600}")
    provisioning = Provisioning(database)
    if role == "driver" and (zone is None or not await provisioning.is_zone(zone)):
        raise MintError("drivers need --zone with the id of an existing zone")
    clock.anchor(await provisioning.wall_clock_s())
    tokens = Tokens(await load_keys(Credentials(database)), clock, entropy)
    minted = []
    for numbers in _chunks(count):
        users = [(f"{prefix}-{number}@mint.example", f"{prefix}-{number}") for number in numbers]
        try:
            made = await provisioning.mint(
                role,
                users,
                lambda: f"{MINTED}{entropy.token()}",
                hours * 3600.0,
                zone=zone,
                capacity=capacity,
            )
        except RoleDiffers as error:
            raise MintError(
                f"{error.email} exists already with another role; choose another --prefix"
            ) from None
        for row, session in made:
            token = tokens.issue(role, row["id"], session, int(hours * 3600), newest=True)
            minted.append(
                {"id": public_id(USER, row["id"]), "role": role, "email": row["email"], "access_token": token}
            )
    return minted


def _chunks(count: int) -> Iterator[range]:
    for start in range(1, count + 1, CHUNK):
        yield range(start, min(start + CHUNK, count + 1))


async def mint_at(database_url: str, options: argparse.Namespace) -> list[dict[str, Any]]:
    """Mint with the command line's options, on the database at this address."""
    clock, entropy = LoopClock(asyncio.get_running_loop()), SystemRandomness()
    async with open_database(database_url, size_max=2, connect_s=COMMAND_CONNECT_S) as database:
        return await mint(
            database,
            clock,
            entropy,
            role=options.role,
            count=options.count,
            prefix=options.prefix,
            zone=options.zone,
            capacity=options.capacity,
            hours=options.hours,
        )
