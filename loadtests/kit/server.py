"""A server of its own, for tools and tests: real processes over a data folder, to be killed and restarted."""

from __future__ import annotations

import asyncio
import fcntl
import json
import os
import secrets
import signal
import socket
import sys
import tempfile
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from functools import cache
from pathlib import Path
from typing import Any

import aiohttp

OPS_PORTS = 6
# Linux gives 32768 and up to outgoing connections.
PORTS = range(12_000, 32_000)
_given: set[int] = set()
ROOT = Path(__file__).resolve().parents[2]
# Nobody listens before it serves, so on a busy machine this is all of the start.
READY_S = 120.0
# An instance promises to be gone after 15 s, several of them behind a supervisor after 20.
STOP_S = 40.0
# Empty addresses: embedded servers, whatever this environment points at.
EMBEDDED = {"DATABASE_URL": "", "REDIS_URL": ""}


def free_port() -> int:
    """A port that is free, and that no other process of these tools is given: see `free_run`."""
    return free_run(1)


def free_run(count: int) -> int:
    """The first of `count` free ports in a row, which nobody else is given while this process lives.

    They lie below those that the kernel gives to outgoing connections. A port among those is lost to any client between
    a server's end and its next start.
    """
    while True:
        first = secrets.choice(PORTS)
        ports = range(first, first + count)
        if _given.isdisjoint(ports) and all(_is_free(port) for port in ports):
            _given.update(ports)
            return first


def _is_free(port: int) -> bool:
    """True if nobody listens there, and no other process was given it. It is then taken from the others."""
    try:
        # A lock of this process on one byte: it ends with the process, whatever ends that.
        fcntl.lockf(_claims(), fcntl.LOCK_EX | fcntl.LOCK_NB, 1, port)
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", port))
    except OSError:
        return False
    return True


@cache
def _claims() -> int:
    """The file that ports are locked in; it stays open, for closing it would end all locks."""
    path = Path(tempfile.gettempdir()) / f"mall-ports-{os.getuid()}"
    return os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)


class ServerProcess:
    """`run.py serve` in a process of its own, always on the same ports.

    Args:
        arguments: of `serve`.
        environ: settings; DATABASE_URL and REDIS_URL absent means embedded servers in `data_dir`.

    Attributes:
        tree: the checkout that it runs from.
        own_session: it does not get the Ctrl-C that a terminal sends to all processes in the foreground.
    """

    tree = ROOT
    own_session = False

    def __init__(
        self, data_dir: Path, environ: Mapping[str, str] | None = None, arguments: Sequence[str] = ()
    ) -> None:
        self.data_dir = data_dir
        self.arguments = arguments
        self.port = free_port()
        # Several instances have one each, there is a spare, and the machine has the first.
        self.ops_port = free_run(OPS_PORTS)
        self.url = f"http://127.0.0.1:{self.port}"
        self.ops_url = f"http://127.0.0.1:{self.ops_port}"
        self.log_path = data_dir / "server.log"
        self.environ = {
            **os.environ,
            "MALL_DATA_DIR": str(data_dir),
            "MALL_PORT": str(self.port),
            "MALL_OPS_PORT": str(self.ops_port),
            "MALL_RATE_LIMITS": "off",
            "MALL_LOG_FORMAT": "json",
            "MALL_LOG_LEVEL": "warning",
            "MALL_ADMIN_PASSWORD": "a password for tests",
            "MALL_DRAIN_S": "1",
            "PYTHONUNBUFFERED": "1",
            **(environ or {}),
        }
        self._process: asyncio.subprocess.Process | None = None

    def log_to(self, path: Path) -> None:
        """Have its log there, without what is there now."""
        path.unlink(missing_ok=True)
        self.log_path = path

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    @property
    def running(self) -> bool:
        return self._process is not None and self._process.returncode is None

    async def start(self) -> None:
        """Start and wait until it is ready.

        Raises:
            RuntimeError: it ended, or was not ready in time; with the end of its log.
        """
        await self.launch()
        try:
            await self.wait_ready()
        except BaseException:
            # A caller that gives up waiting does not stop it later.
            await self.kill()
            raise

    async def launch(self, keep: Sequence[int] = ()) -> None:
        """The first half of `start`; `keep` are descriptors that it inherits."""
        self.data_dir.mkdir(parents=True, exist_ok=True)
        with self.log_path.open("ab") as out:
            self._process = await asyncio.create_subprocess_exec(
                sys.executable, str(self.tree / "run.py"), "serve", *self.arguments,
                cwd=self.tree, env=self._known(), stdout=out, stderr=out, pass_fds=keep,
                start_new_session=self.own_session,
            )  # fmt: skip

    def _known(self) -> dict[str, str]:
        """Its environment; another version refuses settings that it does not know."""
        text = (self.tree / "config" / "settings.py").read_text()
        return {
            name: value
            for name, value in self.environ.items()
            if not name.startswith("MALL_")
            or name in text
            or name in ("MALL_POSTGRES_BIN", "MALL_REDIS_SERVER")
        }

    async def wait_ready(self) -> None:
        """Wait until the readiness probe says yes."""
        assert self._process is not None
        async with aiohttp.ClientSession() as http:
            for _ in range(int(READY_S / 0.02)):
                if self._process.returncode is not None:
                    break
                try:
                    async with http.get(self.url + "/health/readiness") as response:
                        if response.status == 200:
                            return
                except (aiohttp.ClientError, OSError):
                    pass
                await asyncio.sleep(0.02)
        tail = self.log_path.read_text(errors="replace")[-2000:]
        raise RuntimeError(f"the server is not ready (exit code {self._process.returncode}):\n{tail}")

    async def kill(self) -> None:
        """Kill -9 and wait."""
        await self.stop(signal.SIGKILL)

    async def stop(self, number: signal.Signals = signal.SIGTERM) -> int:
        """Send a signal and wait for the end; returns the exit code."""
        if self._process is None or self._process.returncode is not None:
            return 0
        self._process.send_signal(number)
        return await self._process.wait()

    async def end(self) -> None:
        """Ask it to stop; kill it when it does not, or when waiting for that is cancelled.

        Raises:
            TimeoutError: it had to be killed.
        """
        try:
            async with asyncio.timeout(STOP_S):
                await self.stop()
        finally:
            if self.running:
                await self.kill()

    async def wait(self) -> int:
        """Wait until it ends by itself; returns the exit code."""
        assert self._process is not None
        return await self._process.wait()

    async def mint(self, role: str, count: int, *options: str) -> list[dict[str, Any]]:
        """Users with tokens, by `run.py mint`."""
        said = await self.run("mint", "--role", role, "--count", str(count), *options)
        return [json.loads(line) for line in said.splitlines()]

    async def run(self, command: str, *arguments: str) -> str:
        """What a command of `run.py` says.

        Raises:
            RuntimeError: it failed.
        """
        process = await asyncio.create_subprocess_exec(
            sys.executable, str(ROOT / "run.py"), command, *arguments,
            cwd=ROOT, env=self.environ, stdout=asyncio.subprocess.PIPE,
        )  # fmt: skip
        out, _ = await process.communicate()
        if process.returncode != 0:
            raise RuntimeError(f"{command} ended with {process.returncode}")
        return out.decode()


@asynccontextmanager
async def open_server(
    data_dir: Path, environ: Mapping[str, str] | None = None, arguments: Sequence[str] = ()
) -> AsyncIterator[ServerProcess]:
    """A running server for the length of a block."""
    server = ServerProcess(data_dir, environ, arguments)
    await server.start()
    try:
        yield server
    finally:
        await server.end()


@asynccontextmanager
async def server_at(
    url: str | None,
    tag: str,
    environ: Mapping[str, str] | None = None,
    *,
    own_session: bool = False,
    log_path: Path | None = None,
) -> AsyncIterator[ServerProcess]:
    """The server that runs at `url`, or one of our own in a temporary folder, with embedded databases.

    Users for a running server are minted into the database of this environment (DATABASE_URL or
    MALL_DATA_DIR), which must be that server's; it must run with MALL_RATE_LIMITS=off.
    """
    if url is not None:
        server = ServerProcess(Path(os.environ.get("MALL_DATA_DIR") or ".mall"))
        server.url = url.rstrip("/")
        yield server
        return
    with tempfile.TemporaryDirectory(prefix=f"mall-{tag}-", ignore_cleanup_errors=True) as folder:
        server = ServerProcess(Path(folder), {**EMBEDDED, **(environ or {})})
        server.own_session = own_session
        if log_path is not None:
            server.log_to(log_path)
        try:
            await server.start()
            yield server
        finally:
            await server.end()
