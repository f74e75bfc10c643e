"""Two instances on one database, for tests about what one does and the other must know."""

from __future__ import annotations

import asyncio
import itertools
import sys
from dataclasses import dataclass
from typing import Any

from loadtests.kit.client import Mall
from loadtests.kit.server import ROOT, ServerProcess
from storage.embedded import EmbeddedValkey
from tests.support.server_log import ServerLog

PASSWORD = "correct horse"
_numbers = itertools.count(1)


@dataclass
class TwoInstances:
    """Two instances: `one` and `two` call them anonymously, `admin` calls `one` as an admin."""

    servers: list[ServerProcess]
    database: Any
    valkey: EmbeddedValkey
    one: Mall
    two: Mall
    admin: Mall
    zone: str
    logs: list[ServerLog]

    async def person(self) -> dict[str, Any]:
        """The tokens of a new customer, logged in at the first instance."""
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
