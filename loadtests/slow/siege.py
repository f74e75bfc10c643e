"""The sockets that dawdle: in their heads, in their bodies, or over the answers. One that is closed comes again.

    python -m loadtests.slow.siege PORT --sockets 1000 --mode head

prints `up` when all are connected, and how many the server has closed when its input ends.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import json
import socket
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import cast

from actors.cancellation import end

MODES = ("head", "body", "read", "mixed")
_DAWDLING = ("head", "body", "read")
# A byte a second each, as slowhttptest does.
BEAT_S = 1.0
# So many connect in a second. slowhttptest's default is 50; thousands would be a flood, which is another attack.
CONNECTS_PER_S = 200
AT_ONCE = 10
# Enough that the kernel does not hold them all.
PIPELINED = 8
_HEAD = b"GET /api/v2/openapi.json HTTP/1.1\r\nHost: mall\r\nX-Slow: "
_BODY = (
    b"POST /api/v2/auth/login HTTP/1.1\r\nHost: mall\r\nContent-Type: application/json\r\n"
    b"Content-Length: 60000\r\n\r\n"
)
# Answers that nobody takes, behind one another.
_READ = b"GET /api/v2/openapi.json HTTP/1.1\r\nHost: mall\r\n\r\n" * PIPELINED
_RECEIVE_BYTES = 4096


@dataclass(slots=True)
class Siege:
    """All sockets.

    Attributes:
        open: those that are connected.
        closed: how many the server has closed, by mode.
    """

    port: int
    modes: Sequence[str]
    open: set[Dawdler] = field(default_factory=set)
    closed: dict[str, int] = field(default_factory=dict)
    ended: asyncio.Event = field(default_factory=asyncio.Event)
    gone: int = 0

    async def connect(self, mode: str) -> None:
        """One more socket; none when the server does not take it."""
        loop = asyncio.get_running_loop()
        sock = socket.socket()
        sock.setblocking(False)
        if mode == "read":
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _RECEIVE_BYTES)
        try:
            await loop.sock_connect(sock, ("127.0.0.1", self.port))
            await loop.create_connection(lambda: Dawdler(self, mode), sock=sock)
        except OSError:
            sock.close()

    async def fill(self, count: int) -> None:
        """Connect until so many are open."""
        modes = itertools.cycle(self.modes)
        while (missing := count - len(self.open)) > 0:
            before = len(self.open)
            async with asyncio.TaskGroup() as tasks:
                for mode in itertools.islice(modes, min(missing, AT_ONCE)):
                    tasks.create_task(self.connect(mode))
            if self.ended.is_set() or len(self.open) <= before:
                return  # the server takes no more; the next beat tries again
            await asyncio.sleep(AT_ONCE / CONNECTS_PER_S)

    async def beat(self, count: int) -> None:
        """A byte on every socket each second, and new ones for those that were closed; until `ended`."""
        while not self.ended.is_set():
            for dawdler in tuple(self.open):
                dawdler.dribble()
            await self.fill(min(count, len(self.open) + CONNECTS_PER_S))
            try:
                async with asyncio.timeout(BEAT_S):
                    await self.ended.wait()
            except TimeoutError:
                pass


class Dawdler(asyncio.Protocol):
    """One socket."""

    def __init__(self, siege: Siege, mode: str) -> None:
        self._siege = siege
        self.mode = mode
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin, and let it lie."""
        self._transport = cast(asyncio.Transport, transport)
        self._siege.open.add(self)
        self._transport.write({"head": _HEAD, "body": _BODY, "read": _READ}[self.mode])
        if self.mode == "read":
            self._transport.pause_reading()

    def dribble(self) -> None:
        """One byte more; who does not read learns by it that the server has closed."""
        if self._transport is not None:
            self._transport.write(b"x")

    def connection_lost(self, exc: Exception | None) -> None:
        """The server, or the end of the siege, has closed it."""
        del exc
        self._siege.open.discard(self)
        self._siege.gone += 1
        if not self._siege.ended.is_set():
            self._siege.closed[self.mode] = self._siege.closed.get(self.mode, 0) + 1

    def close(self) -> None:
        """Hang up."""
        if self._transport is not None:
            self._transport.abort()


@asynccontextmanager
async def besieging(port: int, count: int, mode: str) -> AsyncIterator[Siege]:
    """The siege, for the length of a block."""
    siege = Siege(port, _DAWDLING if mode == "mixed" else (mode,))
    async with asyncio.TaskGroup() as tasks:
        await siege.fill(count)
        beating = tasks.create_task(siege.beat(count), name="beat")
        try:
            yield siege
        finally:
            siege.ended.set()
            await end([beating])
            for dawdler in tuple(siege.open):
                dawdler.close()


async def _main(options: argparse.Namespace) -> None:
    async with besieging(options.port, options.sockets, options.mode) as siege:
        print("up", flush=True)
        await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)
        closed = dict(siege.closed)
    print(json.dumps(closed), flush=True)


def main(arguments: Sequence[str] | None = None) -> int:
    """Besiege until the input ends."""
    parser = argparse.ArgumentParser(
        prog="python -m loadtests.slow.siege", description=__doc__.partition("\n")[0]
    )
    parser.add_argument("port", type=int)
    parser.add_argument("--sockets", type=int, default=1000)
    parser.add_argument("--mode", choices=MODES, default="mixed")
    asyncio.run(_main(parser.parse_args(arguments)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
