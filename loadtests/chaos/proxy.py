"""A TCP proxy that can hold data back or reset connections, to cut one instance from what it talks to.

While it is a black hole nothing passes and no end is noticed: what was sent arrives when the line is whole
again, as TCP's repetitions do. While it holds back, only what clients send waits, and answers pass. A reset ends every
connection at once, and every new one.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import cast

from loadtests.chaos.plan import BLACK_HOLE, HELD_BACK, RESET

PASS = ""
# Closed with this, a socket sends a reset instead of an end.
_RUDELY = struct.pack("ii", 1, 0)

Target = tuple[str, int] | Path


class _End(asyncio.Protocol):
    """One end of a link: what comes in here goes out at `other`."""

    def __init__(self, link: Link) -> None:
        self.link = link
        self.other: _End | None = None
        self.transport: asyncio.Transport | None = None
        # The other end cannot take more at the moment.
        self.full = False
        # Came in and was not passed on yet.
        self.waiting = bytearray()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)
        self.link.made(self)

    def data_received(self, data: bytes) -> None:
        self.link.passes(self, data)

    def pause_writing(self) -> None:
        if self.other is not None:
            self.other.full = True
            self.other.adjust()

    def resume_writing(self) -> None:
        if self.other is not None:
            self.other.full = False
            self.other.adjust()

    def pass_on(self) -> None:
        """Send what has come in out at the other end, once there is one."""
        target = None if self.other is None else self.other.transport
        if self.waiting and target is not None:
            if not target.is_closing():
                target.write(bytes(self.waiting))
            self.waiting.clear()

    def adjust(self) -> None:
        """Read or not, as the link says."""
        if self.transport is None or self.transport.is_closing():
            return
        if self.full or self.link.held:
            self.transport.pause_reading()
        else:
            self.transport.resume_reading()

    def connection_lost(self, exc: Exception | None) -> None:
        del exc
        self.link.lost()

    def end(self, *, rudely: bool) -> None:
        """Close, after what is queued or with a reset."""
        if self.transport is None or self.transport.is_closing():
            return
        if not rudely:
            self.transport.close()
            return
        sock = self.transport.get_extra_info("socket")
        if sock is not None and sock.family != socket.AF_UNIX:
            with contextlib.suppress(OSError):  # the other side was faster
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RUDELY)
        self.transport.abort()


class Link:
    """A client's connection and ours to the target. `source` is who dialled, once that is known."""

    def __init__(self, proxy: Proxy) -> None:
        self.source = ""
        self.held = False
        self._holds_back = False
        self._proxy = proxy
        self._near, self._far = _End(self), _End(self)
        self._dialled = False
        self._ended = False
        # The end of what the target said, in which the looked for may have begun.
        self._tail = b""

    @property
    def client(self) -> asyncio.Protocol:
        """What the listener gives a new connection to."""
        return self._near

    def made(self, end: _End) -> None:
        """One of the two ends is connected."""
        if end is self._near:
            self._proxy.links.add(self)
            self.apply()
            return
        self._near.other, self._far.other = self._far, self._near
        if self._ended:
            end.end(rudely=True)
        else:
            self.apply()

    def passes(self, end: _End, data: bytes) -> None:
        """Pass on what has come in, unless it says that this link is cut."""
        if end is self._near and self._proxy.asks_who and not self.source:
            self.source = _who(data)
            self.apply()
        if end is self._far and self._proxy.looks_for:
            self._count(data)
        end.waiting += data
        self._pass_on(end)

    def _pass_on(self, end: _End) -> None:
        if not (self.held or (self._holds_back and end is self._near)):
            end.pass_on()

    def _count(self, data: bytes) -> None:
        text, sought = self._tail + data, self._proxy.looks_for
        self._proxy.found += text.count(sought)
        # Shorter than what is looked for, so that nothing counts twice.
        self._tail = text[1 - len(sought) :]

    def apply(self) -> None:
        """Behave as the proxy says from now on."""
        mode = self._proxy.mode_of(self.source)
        if mode == RESET:
            self.abort()
            return
        self.held, self._holds_back = mode == BLACK_HOLE, mode == HELD_BACK
        if self._ended and not self.held:
            self._finish()
            return
        if not self.held and not self._dialled:
            self._dialled = True
            self._proxy.dial(self)
        for end in (self._near, self._far):
            self._pass_on(end)
            end.adjust()

    async def connect(self, target: Target) -> None:
        """Connect to the target; the client is cut off when that fails."""
        loop = asyncio.get_running_loop()
        try:
            if isinstance(target, Path):
                await loop.create_unix_connection(lambda: self._far, str(target))
            else:
                await loop.create_connection(lambda: self._far, *target)
        except OSError:
            self._near.end(rudely=True)

    def lost(self) -> None:
        """One end is gone; so is the other, as soon as that can be noticed."""
        self._ended = True
        if not self.held:
            self._finish()

    def _finish(self) -> None:
        self._proxy.links.discard(self)
        self._near.end(rudely=False)
        self._far.end(rudely=False)

    def abort(self) -> None:
        """End it all, with resets."""
        self._ended = True
        self._proxy.links.discard(self)
        self._near.end(rudely=True)
        self._far.end(rudely=True)


def _who(greeting: bytes) -> str:
    """The name in the first frame of a line between instances; "?" when there is none."""
    try:
        return str(json.loads(greeting[4:])["instance"])
    except (ValueError, KeyError, TypeError):
        return "?"


class Proxy:
    """Listens on a port and passes on to a target. Made by `Proxies.add`.

    Attributes:
        asks_who: the first bytes are an instance's greeting, which tells who dials.
        looks_for: bytes of more than one to count in what the target says; `found` says how often they came.
        links: what is connected.
    """

    def __init__(
        self, port: int, target: Target, tasks: asyncio.TaskGroup, *, asks_who: bool, looks_for: bytes
    ) -> None:
        self.port = port
        self.asks_who = asks_who
        self.looks_for = looks_for
        self.found = 0
        self.links: set[Link] = set()
        self._target = target
        self._tasks = tasks
        self._mode = PASS
        self._sources: dict[str, str] = {}
        self._server: asyncio.Server | None = None

    def mode_of(self, source: str) -> str:
        """How a link of this source behaves."""
        return self._mode or self._sources.get(source, PASS)

    def cut(self, mode: str, source: str | None = None) -> None:
        """Behave like this from now on, to everybody or to one source; PASS ends it."""
        if source is None:
            self._mode = mode
        else:
            self._sources[source] = mode
        for link in list(self.links):
            link.apply()

    def dial(self, link: Link) -> None:
        """Connect a link to the target."""
        self._tasks.create_task(link.connect(self._target), name=f"proxy {self.port}")

    async def listen(self) -> None:
        """Take connections; nothing when it does already."""
        if self._server is None:
            loop = asyncio.get_running_loop()
            self._server = await loop.create_server(lambda: Link(self).client, "127.0.0.1", self.port)

    def refuse(self) -> None:
        """Refuse new connections, as a machine does on which nobody listens."""
        if self._server is not None:
            self._server.close()
            self._server = None

    def close(self) -> None:
        """End everything."""
        self.refuse()
        for link in list(self.links):
            link.abort()


class Proxies:
    """Proxies that end together. Open it with `open_proxies`."""

    def __init__(self, tasks: asyncio.TaskGroup) -> None:
        self.all: list[Proxy] = []
        self._tasks = tasks

    async def add(
        self, port: int, target: Target, *, asks_who: bool = False, looks_for: bytes = b""
    ) -> Proxy:
        """Another one, which listens."""
        proxy = Proxy(port, target, self._tasks, asks_who=asks_who, looks_for=looks_for)
        self.all.append(proxy)
        await proxy.listen()
        return proxy


@asynccontextmanager
async def open_proxies() -> AsyncIterator[Proxies]:
    """Proxies until the block ends."""
    async with asyncio.TaskGroup() as tasks:
        proxies = Proxies(tasks)
        try:
            yield proxies
        finally:
            for proxy in proxies.all:
                proxy.close()
