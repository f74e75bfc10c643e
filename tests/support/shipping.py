"""The real log shipper, syslog-ng with the configuration of `config/deploy/logs`, and a receiver of lines."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
from collections import Counter
from pathlib import Path

import pytest
from aiohttp import web

from loadtests.kit.server import ROOT, free_port

CONFIGURATION = ROOT / "config" / "deploy" / "logs"
PROGRAM = shutil.which("syslog-ng", path=f"{os.environ.get('PATH', '')}:/usr/sbin")


def require_syslog_ng() -> None:
    """Skip, aloud, where Debian's packages are missing; where changes are judged they may not be."""
    if PROGRAM is not None:
        return
    text = "LOG SHIPPING NOT TESTED: apt-get install syslog-ng-core syslog-ng-mod-http"
    if os.environ.get("CI"):
        pytest.fail(text)
    pytest.skip(text)


class Receiver:
    """Takes POSTs of lines; it can be down, or refuse with 503.

    Attributes:
        lines: what came, and how often.
        bodies: the same as it came.
    """

    def __init__(self) -> None:
        self.port = free_port()
        self.lines: Counter[bytes] = Counter()
        self.bodies: list[bytes] = []
        self.refuses = False
        self.refused = 0
        self._runner: web.AppRunner | None = None

    async def up(self) -> None:
        """Listen."""
        app = web.Application(client_max_size=1 << 24)
        app.router.add_post("/lines", self._take)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", self.port).start()

    async def down(self) -> None:
        """Refuse connections."""
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None

    async def _take(self, request: web.Request) -> web.Response:
        body = await request.read()
        if self.refuses:
            self.refused += 1
            return web.Response(status=503)
        self.bodies.append(body)
        self.lines.update(line for line in body.split(b"\n") if line)
        return web.Response()


class Shipper:
    """A syslog-ng process over a folder for its state."""

    def __init__(self, folder: Path, configuration: str, environ: dict[str, str]) -> None:
        self._folder = folder
        self._file = CONFIGURATION / configuration
        self._environ = {
            "PATH": "/usr/sbin:/usr/bin:/bin",
            "MALL_LOG_STATE": str(folder / "state"),
            **environ,
        }
        self._process: asyncio.subprocess.Process | None = None

    async def start(self) -> None:
        """Start it, or start it again where it was."""
        assert PROGRAM is not None
        (self._folder / "state").mkdir(parents=True, exist_ok=True)
        with (self._folder / "shipper.txt").open("ab") as out:
            self._process = await asyncio.create_subprocess_exec(
                PROGRAM, "--foreground", "--no-caps", "--cfgfile", str(self._file),
                "--persist-file", str(self._folder / "persist"), "--control", str(self._folder / "control"),
                "--pidfile", str(self._folder / "pid"), env=self._environ, stdout=out, stderr=out,
            )  # fmt: skip

    async def end(self, number: signal.Signals = signal.SIGTERM) -> None:
        """End it; with SIGKILL at once."""
        if self._process is not None and self._process.returncode is None:
            self._process.send_signal(number)
            await self._process.wait()
