"""Slow clients: in their heads, in their bodies, or in reading answers. One that is closed connects again.

    python -m loadtests.slow.slow_clients PORT --sockets 1000 --mode head

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

MODES = ("head", "body", "read", "mixed")
_SLOW_MODES = ("head", "body", "read")
# A byte a second each, as slowhttptest does.
BEAT_S = 1.0
# Connects in a second. slowhttptest's default is 50; thousands would be a flood, another attack.
CONNECTS_PER_S = 200
AT_ONCE = 10
# Enough that the kernel does not hold them all.
PIPELINED = 8
_HEAD = b"GET /api/v2/openapi.json HTTP/1.1\r\nHost: mall\r\nX-Slow: "
_BODY = (
    b"POST /api/v2/auth/login HTTP/1.1\r\nHost: mall\r\nContent-Type: application/json\r\n"
    b"Content-Length: 60000\r\n\r\n"
)
# Pipelined requests whose answers are not read.
_READ = b"GET /api/v2/openapi.json HTTP/1.1\r\nHost: mall\r\n\r\n" * PIPELINED
_RECEIVE_BYTES = 4096


@dataclass(slots=True)
class SlowClients:
    """All sockets.

    Attributes:
        open: those that are connected.
        closed: how many the server has closed, by mode.
    """

    port: int
    modes: Sequence[str]
    open: set[SlowClient] = field(default_factory=set)
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
            await loop.create_connection(lambda: SlowClient(self, mode), sock=sock)
        except OSError:
            sock.close()

    async def fill(self, count: int) -> None:
        """Connect until `count` are open."""
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
            for client in tuple(self.open):
                client.send_byte()
            await self.fill(min(count, len(self.open) + CONNECTS_PER_S))
            try:
                async with asyncio.timeout(BEAT_S):
                    await self.ended.wait()
            except TimeoutError:
                pass


class SlowClient(asyncio.Protocol):
    """One socket."""

    def __init__(self, clients: SlowClients, mode: str) -> None:
        self._clients = clients
        self.mode = mode
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin a request, and do not end it."""
        self._transport = cast(asyncio.Transport, transport)
        self._clients.open.add(self)
        self._transport.write({"head": _HEAD, "body": _BODY, "read": _READ}[self.mode])
        if self.mode == "read":
            self._transport.pause_reading()

    def send_byte(self) -> None:
        """One byte more; who does not read learns by it that the server has closed."""
        if self._transport is not None:
            self._transport.write(b"x")

    def connection_lost(self, exc: Exception | None) -> None:
        """The server, or the end of the run, has closed it."""
        del exc
        self._clients.open.discard(self)
        self._clients.gone += 1
        if not self._clients.ended.is_set():
            self._clients.closed[self.mode] = self._clients.closed.get(self.mode, 0) + 1

    def close(self) -> None:
        """Hang up."""
        if self._transport is not None:
            self._transport.abort()


@asynccontextmanager
async def open_slow_clients(port: int, count: int, mode: str) -> AsyncIterator[SlowClients]:
    """`count` slow clients, for the length of a block."""
    clients = SlowClients(port, _SLOW_MODES if mode == "mixed" else (mode,))
    async with asyncio.TaskGroup() as tasks:
        await clients.fill(count)
        beating = tasks.create_task(clients.beat(count), name="beat")
        try:
            yield clients
        finally:
            clients.ended.set()
            beating.cancel()
            await asyncio.wait([beating])
            for client in tuple(clients.open):
                client.close()


async def _main(options: argparse.Namespace) -> None:
    async with open_slow_clients(options.port, options.sockets, options.mode) as clients:
        print("up", flush=True)
        await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)
        closed = dict(clients.closed)
    print(json.dumps(closed), flush=True)


def main(arguments: Sequence[str] | None = None) -> int:
    """Keep the sockets open until the input ends."""
    parser = argparse.ArgumentParser(
        prog="python -m loadtests.slow.slow_clients", description=__doc__.partition("\n")[0]
    )
    parser.add_argument("port", type=int)
    parser.add_argument("--sockets", type=int, default=1000)
    parser.add_argument("--mode", choices=MODES, default="mixed")
    asyncio.run(_main(parser.parse_args(arguments)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
