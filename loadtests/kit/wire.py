"""HTTP/1.1 and WebSocket on bare asyncio protocols, for load generators.

A comfortable client costs ten times what the server spends on the request, so that on one machine a test
would measure its own client. This one does what the tools need and no more: one request at a time on a
connection, answers with a Content-Length, text frames without fragments.
"""

from __future__ import annotations

import asyncio
import base64
import itertools
import os
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import cast
from urllib.parse import urlsplit

from loadtests.kit.protocol import PROTOCOL

Answered = Callable[[int, bytes], None]
# Longer answers than this are not what a load test asks for.
ANSWER_BYTES_MAX = 8 * 1024 * 1024


def request_bytes(
    method: str, path: str, *, token: str = "", body: bytes | None = None, key: str = ""
) -> bytes:
    """A whole request, ready to be written."""
    lines = [f"{method} {path} HTTP/1.1", "Host: mall"]
    if token:
        lines.append(f"Authorization: Bearer {token}")
    if key:
        lines.append(f"Idempotency-Key: {key}")
    if body is not None:
        lines += ["Content-Type: application/json", f"Content-Length: {len(body)}"]
    elif method != "GET":
        lines.append("Content-Length: 0")
    return "\r\n".join((*lines, "", "")).encode() + (body or b"")


class HttpWire(asyncio.Protocol):
    """A kept-alive connection. A request that is not answered when it ends is answered with status 0."""

    def __init__(self, lost: Callable[[], None] = lambda: None) -> None:
        self._lost = lost
        self._transport: asyncio.Transport | None = None
        self._then: Answered | None = None
        self._heard = b""
        self._wanted = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The connection is up."""
        # uvloop's transports are no subclass of asyncio's.
        self._transport = cast("asyncio.Transport", transport)

    def ask(self, request: bytes, then: Answered) -> None:
        """Send a request; `then` gets status and body."""
        if self._transport is None or self._transport.is_closing():
            asyncio.get_running_loop().call_soon(then, 0, b"")
            return
        self._then = then
        self._transport.write(request)

    async def request(self, request: bytes) -> tuple[int, bytes]:
        """Send a request and wait for status and body."""
        answered: asyncio.Future[tuple[int, bytes]] = asyncio.get_running_loop().create_future()

        def then(status: int, body: bytes) -> None:
            if not answered.done():
                answered.set_result((status, body))

        self.ask(request, then)
        return await answered

    def data_received(self, data: bytes) -> None:
        """Part of an answer, or all of it."""
        heard = self._heard + data if self._heard else data
        if len(heard) < self._wanted:
            self._heard = heard
            return
        head = heard.find(b"\r\n\r\n")
        if head < 0:
            self._heard = heard
            return
        try:
            status, length = int(heard[9:12]), _content_length(heard[:head])
        except ValueError:
            self.close()  # no HTTP, or none that is spoken here: the request is answered with status 0
            return
        end = head + 4 + length
        if len(heard) < end:
            self._heard, self._wanted = heard, end
            return
        self._heard, self._wanted = heard[end:], 0
        then, self._then = self._then, None
        if then is not None:
            then(status, heard[head + 4 : end])

    def connection_lost(self, exc: Exception | None) -> None:
        """The connection is down."""
        del exc
        then, self._then = self._then, None
        if then is not None:
            then(0, b"")
        self._lost()

    def close(self) -> None:
        """Hang up."""
        if self._transport is not None:
            self._transport.abort()


def _content_length(head: bytes) -> int:
    lower = head.lower()
    at = lower.find(b"\r\ncontent-length:")
    if at < 0:
        return 0
    end = lower.find(b"\r\n", at + 2)
    length = int(lower[at + 17 : end if end > 0 else None])
    if not 0 <= length <= ANSWER_BYTES_MAX:
        raise ValueError(length)
    return length


@asynccontextmanager
async def open_wires(urls: Sequence[str], count: int) -> AsyncIterator[list[HttpWire]]:
    """`count` connections, to these servers in turn, for the length of a block."""
    wires: list[HttpWire] = []
    try:
        for url in itertools.islice(itertools.cycle(urls), count):
            wires.append(await open_wire(url))  # noqa: PERF401 - one that fails must not hide the others
        yield wires
    finally:
        for wire in wires:
            wire.close()


async def open_wire(url: str) -> HttpWire:
    """A connection to the server of this URL.

    Raises:
        OSError: it does not listen.
    """
    parts = urlsplit(url)
    loop = asyncio.get_running_loop()
    _, wire = await loop.create_connection(HttpWire, parts.hostname or "127.0.0.1", parts.port or 80)
    return wire


def frame_bytes(text: bytes) -> bytes:
    """A masked text frame. The mask is zero: legal, and it leaves the text as it is."""
    size = len(text)
    if size < 126:
        return b"\x81" + bytes((0x80 | size,)) + b"\0\0\0\0" + text
    return b"\x81\xfe" + size.to_bytes(2, "big") + b"\0\0\0\0" + text


class FeedWire(asyncio.Protocol):
    """A driver's socket: upgrades, then hands every text to `on_text`; `on_end` gets the close code, or the
    HTTP status of a refused upgrade.
    """

    __slots__ = ("_heard", "_transport", "on_end", "on_text", "on_upgrade", "opened")

    def __init__(
        self,
        on_text: Callable[[bytes], None],
        on_end: Callable[[int], None],
        on_upgrade: Callable[[], None] = lambda: None,
    ) -> None:
        self.on_text = on_text
        self.on_end = on_end
        self.on_upgrade = on_upgrade
        self.opened = False
        self._heard = b""
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The connection is up."""
        # uvloop's transports are no subclass of asyncio's.
        self._transport = cast("asyncio.Transport", transport)

    def upgrade(self, path: str, token: str) -> None:
        """Ask for the WebSocket."""
        assert self._transport is not None
        key = base64.b64encode(os.urandom(16)).decode()
        self._transport.write(
            (
                f"GET {path} HTTP/1.1\r\nHost: mall\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                f"Sec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n"
                f"Sec-WebSocket-Protocol: {PROTOCOL}\r\nAuthorization: Bearer {token}\r\n\r\n"
            ).encode()
        )

    def send(self, text: bytes) -> None:
        """Send a text frame; nothing happens when the connection is down."""
        if self._transport is not None and not self._transport.is_closing():
            self._transport.write(frame_bytes(text))

    def data_received(self, data: bytes) -> None:
        """The upgrade's answer first, then frames."""
        heard = self._heard + data if self._heard else data
        if not self.opened:
            head = heard.find(b"\r\n\r\n")
            if head < 0:
                self._heard = heard
                return
            if not heard.startswith(b"HTTP/1.1 101"):
                self._heard = b""
                self._end(int(heard[9:12]) if heard[9:12].isdigit() else 1006)
                self.close()
                return
            self.opened = True
            heard = heard[head + 4 :]
            self.on_upgrade()
        at = 0
        while (end := _frame_end(heard, at)) is not None:
            start = at + 2 + (0, 2, 8)[max(0, (heard[at + 1] & 0x7F) - 125)]
            self._frame(heard[at] & 0x0F, heard[start:end])
            at = end
        self._heard = heard[at:]

    def _frame(self, opcode: int, payload: bytes) -> None:
        if opcode == 1:
            self.on_text(payload)
        elif opcode == 9 and self._transport is not None:
            self._transport.write(b"\x8a" + bytes((0x80 | len(payload),)) + b"\0\0\0\0" + payload)
        elif opcode == 8:
            code = int.from_bytes(payload[:2], "big") if len(payload) >= 2 else 1005
            self._end(code)
            self.close()

    def _end(self, code: int) -> None:
        ended, self.on_end = self.on_end, _deaf
        ended(code)

    def connection_lost(self, exc: Exception | None) -> None:
        """The connection is down; 1006 when there was no close frame."""
        del exc
        self._end(1006)

    def close(self) -> None:
        """Drop the connection, without a close frame."""
        if self._transport is not None:
            self._transport.abort()

    def stop_reading(self) -> None:
        """Read no more, for ever: the client that never reads."""
        if self._transport is not None:
            self._transport.pause_reading()


def _deaf(code: int) -> None:
    del code


def _frame_end(heard: bytes, at: int) -> int | None:
    """Where the (unmasked) frame that begins at `at` ends; None while it is not whole."""
    left = len(heard) - at
    if left < 2:
        return None
    size, start = heard[at + 1] & 0x7F, at + 2
    if size == 126:
        if left < 4:
            return None
        size, start = int.from_bytes(heard[at + 2 : at + 4], "big"), at + 4
    elif size == 127:
        if left < 10:
            return None
        size, start = int.from_bytes(heard[at + 2 : at + 10], "big"), at + 10
    return start + size if len(heard) >= start + size else None
