"""Interface of a WebSocket to its session: `websocket.py` uses aiohttp's internals, `stock_socket.py` does not."""

from __future__ import annotations

from typing import Protocol

from aiohttp import web
from aiohttp.abc import AbstractStreamWriter

# Bytes that may wait in the transport. Beyond it a task writes, and pings are not answered.
CONGESTED_BYTES = 16 * 1024


class Listener(Protocol):
    """Receiver of a socket's frames. Its methods must not raise: the connection calls them."""

    def heard(self, text: str | None) -> None:
        """Receive a frame: a text, or None for a ping or a pong."""

    def flooded(self) -> None:
        """The client has sent far more than the limit; no further frame is read."""


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
        """Deliver frames to this listener from now on; None stops delivery."""
        raise NotImplementedError

    def hold(self) -> None:
        """Stop reading until `release`; frames wait in order."""
        raise NotImplementedError

    def release(self) -> None:
        """Resume reading."""
        raise NotImplementedError

    def charge(self, frames: int) -> None:
        """Charge the last frame as this many more."""
        raise NotImplementedError

    def dismiss(self, code: int) -> None:
        """End the task's wait for a message with an ERROR that carries a close code."""
        raise NotImplementedError
