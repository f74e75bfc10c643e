"""Two instances on one database, for tests about what one does and the other must know."""

from __future__ import annotations

import asyncio
import itertools
import sys
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from loadtests.client import Mall
from loadtests.server import ROOT, ServerProcess
from storage.embedded import EmbeddedValkey

PASSWORD = "correct horse"
_numbers = itertools.count(1)


@dataclass
class Pair:
    """Two instances: `one` and `two` are they for an anonymous caller, `admin` is an admin at `one`."""

    servers: list[ServerProcess]
    database: Any
    valkey: EmbeddedValkey
    one: Mall
    two: Mall
    admin: Mall
    zone: str

    async def person(self) -> dict[str, Any]:
        """The tokens of a new customer, who has logged in at the first instance."""
        body = {"email": f"pair{next(_numbers)}@example.org", "password": PASSWORD, "name": "P"}
        answer = await self.one.do("POST", "/api/v2/auth/register", body)
        return {**body, **answer}

    async def driver(self) -> dict[str, Any]:
        """The same of a new driver."""
        body = {"email": f"pair{next(_numbers)}@example.org", "password": PASSWORD, "name": "D"}
        made = await self.admin.do(
            "POST", "/api/v2/users", {**body, "role": "driver", "zone_id": self.zone, "capacity": 1}
        )
        login = {"email": body["email"], "password": PASSWORD}
        return {**body, "user": made, **await self.one.do("POST", "/api/v2/auth/login", login)}

    async def command(self, *arguments: str, **environ: str) -> tuple[int, str]:
        """`run.py` on the same database: exit code and what it said."""
        process = await asyncio.create_subprocess_exec(
            sys.executable, str(ROOT / "run.py"), *arguments, cwd=ROOT,
            env={**self.servers[0].environ, **environ}, stdout=asyncio.subprocess.PIPE,
        )  # fmt: skip
        said, _ = await process.communicate()
        assert process.returncode is not None
        return process.returncode, said.decode()


async def seconds_until(holds: Callable[[], Awaitable[bool]], limit_s: float = 10.0) -> float:
    """How long it takes until something that is asked over the network holds.

    Raises:
        TimeoutError: it did not within `limit_s`.
    """
    began = time.perf_counter()
    async with asyncio.timeout(limit_s):
        while not await holds():
            pass
    return time.perf_counter() - began
