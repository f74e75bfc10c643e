"""A worker of background jobs in a process of its own, to be killed, frozen and started again."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from pathlib import Path

from loadtests.kit.server import ROOT

START_S = 60.0


class WorkerProcess:
    """A worker with tasks of the tools (job_worker.py): the same name over all its processes."""

    def __init__(self, name: str, database_url: str, folder: Path, *, width: int, lease_s: float) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.name = name
        self.log_path = folder / f"{name}.log"
        self._arguments = (str(folder / "effects"), str(width), str(lease_s))
        self._environ = {
            **os.environ,
            "DATABASE_URL": database_url,
            "MALL_INSTANCE": name,
            "MALL_DATA_DIR": str(folder),
        }
        self._process: asyncio.subprocess.Process | None = None

    @property
    def running(self) -> bool:
        return self._process is not None and self._process.returncode is None

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    async def start(self) -> None:
        """Start and wait until it works, or has ended."""
        told, tell = os.pipe()
        try:
            with self.log_path.open("ab") as out:
                self._process = await asyncio.create_subprocess_exec(
                    sys.executable, "-m", "loadtests.kit.job_worker", *self._arguments, "--ready", str(tell),
                    cwd=ROOT, env=self._environ, stdout=out, stderr=out, pass_fds=(tell,),
                )  # fmt: skip
        finally:
            os.close(tell)
        try:
            async with asyncio.timeout(START_S):
                await asyncio.to_thread(os.read, told, 1)
        finally:
            os.close(told)

    def send(self, number: signal.Signals) -> None:
        """Send a signal."""
        assert self._process is not None
        self._process.send_signal(number)

    async def wait(self) -> int:
        """Wait until it ends; returns the exit code."""
        assert self._process is not None
        return await self._process.wait()

    async def kill(self) -> None:
        """Kill -9, if it runs, and wait."""
        if self.running:
            self.send(signal.SIGKILL)
            await self.wait()
