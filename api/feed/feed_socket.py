"""What a session needs of its WebSocket. `websocket.py` has it on aiohttp's insides, `stock_socket.py` without them."""

from __future__ import annotations

from typing import Protocol

from aiohttp import web
from aiohttp.abc import AbstractStreamWriter

# What may wait in the transport for a client that reads slowly: beyond it a task writes, and no ping is answered.
CONGESTED_BYTES = 16 * 1024


class Listener(Protocol):
    """Who hears a socket. Nothing may be raised: it is called by the connection."""

    def heard(self, text: str | None) -> None:
        """A frame: a text, or (None) a ping or a pong."""

    def flooded(self) -> None:
        """The client has sent far more than it may; it is not heard any more."""


class FeedSocket(web.WebSocketResponse):
    """aiohttp's WebSocket with metered frames and answered pings.

    Attributes:
        request: the upgraded request, which leads to the transport; None before the upgrade.
    """

    request: web.BaseRequest | None = None

    async def prepare(self, request: web.BaseRequest) -> AbstractStreamWriter:
        """Upgrade."""
        self.request = request
        return await super().prepare(request)

    def listen(self, listener: Listener | None) -> None:
        """From now on tell the listener of frames; nobody with None."""
        raise NotImplementedError

    def hold(self) -> None:
        """Read nothing more until `release`; what comes in waits in order."""
        raise NotImplementedError

    def release(self) -> None:
        """Go on reading."""
        raise NotImplementedError

    def charge(self, frames: int) -> None:
        """The last frame is worth so many more."""
        raise NotImplementedError

    def dismiss(self, code: int) -> None:
        """Give the task that waits for a message an ERROR with a close code instead."""
        raise NotImplementedError
