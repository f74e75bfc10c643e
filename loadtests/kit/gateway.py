"""The sandbox payment gateway as a process of its own, to be slowed, killed and started again."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp

from loadtests.kit.server import ROOT, free_port

LINE_S = 20.0


class GatewayProcess:
    """The service, always on the same port; its ledger is a file and survives it."""

    def __init__(self, ledger: Path) -> None:
        self._ledger = ledger
        self._port = free_port()
        self.url = f"http://127.0.0.1:{self._port}"
        self._process: asyncio.subprocess.Process | None = None

    async def start(self) -> None:
        """Start and wait until it listens."""
        self._process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "api.payments.sandbox", "--port", str(self._port), "--ledger", str(self._ledger),
            cwd=ROOT, stdout=asyncio.subprocess.PIPE,
        )  # fmt: skip
        assert self._process.stdout is not None
        async with asyncio.timeout(LINE_S):
            assert await self._process.stdout.readline()

    async def kill(self) -> None:
        """Kill -9."""
        process, self._process = self._process, None
        if process is not None and process.returncode is None:
            process.kill()
            await process.wait()

    async def delay(self, http: aiohttp.ClientSession, seconds: float) -> None:
        """Let every answer take longer."""
        async with http.put(self.url + "/delay", json={"delay_s": seconds}) as answer:
            answer.raise_for_status()

    async def effects(self, http: aiohttp.ClientSession) -> list[dict[str, Any]]:
        """Everything that became true, in order."""
        async with http.get(self.url + "/ledger") as answer:
            found: list[dict[str, Any]] = (await answer.json())["effects"]
            return found


@asynccontextmanager
async def open_gateway_process(ledger: Path) -> AsyncIterator[GatewayProcess]:
    """A running gateway; ended with the block."""
    gateway = GatewayProcess(ledger)
    await gateway.start()
    try:
        yield gateway
    finally:
        await gateway.kill()
