"""A server that does not hear the Ctrl-C that is meant for the demo.

A terminal sends it to everybody in the foreground. The server must outlive it: the audit asks the server.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from loadtests.server import ROOT, ServerProcess

# Empty addresses: embedded servers, whatever this environment points at.
EMBEDDED = {"DATABASE_URL": "", "REDIS_URL": ""}
STOP_S = 20.0


class ServerApart(ServerProcess):
    """A server in a session of its own."""

    async def start(self) -> None:
        """As any server, away from this terminal."""
        self.data_dir.mkdir(parents=True, exist_ok=True)
        command = (sys.executable, str(ROOT / "run.py"), "serve")
        with self.log_path.open("ab") as log:
            self._process = await asyncio.create_subprocess_exec(
                *command, cwd=ROOT, env=self.environ, stdout=log, stderr=log, start_new_session=True
            )
        await self.wait_ready()


@asynccontextmanager
async def open_server_apart(data_dir: Path) -> AsyncIterator[ServerApart]:
    """A running server for the length of a block, even if the block or the start is broken off."""
    server = ServerApart(data_dir, EMBEDDED)
    try:
        await server.start()
        yield server
    finally:
        await _end(server)


async def _end(server: ServerApart) -> None:
    """Ask it to go; what does not go in time is killed."""
    try:
        async with asyncio.timeout(STOP_S):
            await server.stop()
    finally:
        if server.running:
            await server.kill()
