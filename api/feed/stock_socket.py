"""WebSocket on aiohttp's public parts alone (MALL_FAST_PATH=off): each frame goes through aiohttp's queue to one task.

It keeps the rate by reading no faster, so aiohttp's queue fills, and then the kernel slows the sender down. It detects
a flood by its duration alone, because the number of waiting bytes is not visible.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import Any

from aiohttp import WSMessage, WSMsgType

from api.feed.feed_socket import CONGESTED_BYTES, FeedSocket, Listener
from api.feed.frame_limits import BURST_FRAMES, ENOUGH, FRAMES_PER_S, PATIENCE_S, WEIGHT_BYTES
from api.subscriptions import close_codes


class StockSocket(FeedSocket):
    """aiohttp's WebSocket, whose `receive()` keeps the rate and answers pings."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        now = asyncio.get_running_loop().time()
        self._listener: Listener | None = None
        self._reads = asyncio.Event()
        self._reads.set()
        self._tokens, self._counted_at = BURST_FRAMES, now
        # Since when the client has been over the rate.
        self._over_since: float | None = None
        self._is_flooded = False
        self._dismissed_with: int | None = None
        self._read_limit: asyncio.Timeout | None = None

    async def receive(self, timeout: float | None = None) -> WSMessage:
        """The next text, binary or close message; the listener gets pings and pongs."""
        while True:
            message = await self._next(timeout)
            if isinstance(message.data, str | bytes | bytearray):
                self._tokens -= 1 + len(message.data) // WEIGHT_BYTES
            if message.type is WSMsgType.PING:
                await self._answer(message.data)
            elif message.type is not WSMsgType.PONG:
                return message
            if self._listener is not None:
                self._listener.heard(None)

    async def _next(self, timeout: float | None) -> WSMessage:
        try:
            # Rescheduled by `dismiss`.
            async with asyncio.timeout(None) as self._read_limit:
                await self._keep_rate()
                return await super().receive(timeout)
        except TimeoutError:
            if self._dismissed_with is None:
                raise
            return WSMessage(WSMsgType.ERROR, self._dismissed_with, None)
        finally:
            self._read_limit = None

    async def _keep_rate(self) -> None:
        """Wait until the next frame may be read."""
        await self._reads.wait()
        now = self._refill()
        if self._tokens >= ENOUGH:
            self._over_since = None
            return
        if self._over_since is None:
            self._over_since = now
        elif now - self._over_since > PATIENCE_S and not self._is_flooded:
            self._is_flooded = True
            if self._listener is not None:
                self._listener.flooded()
            else:
                self.dismiss(close_codes.RATE_LIMITED)
        while self._tokens < ENOUGH and not self.closed:
            await asyncio.sleep((1 - self._tokens) / FRAMES_PER_S)
            self._refill()

    def _refill(self) -> float:
        now = asyncio.get_running_loop().time()
        self._tokens = min(BURST_FRAMES, self._tokens + (now - self._counted_at) * FRAMES_PER_S)
        self._counted_at = now
        return now

    async def _answer(self, data: bytes) -> None:
        """Answer a ping, unless the client reads nothing (RFC 6455, 5.5.3: the answer to the latest will do)."""
        transport = None if self.request is None else self.request.transport
        if transport is not None and transport.get_write_buffer_size() <= CONGESTED_BYTES:
            with suppress(ConnectionError):
                await self.pong(data)

    def listen(self, listener: Listener | None) -> None:
        """Deliver pings and floods to this listener from now on; `receive` returns texts."""
        self._listener = listener

    def hold(self) -> None:
        """Stop reading until `release`."""
        self._reads.clear()

    def release(self) -> None:
        """Resume reading."""
        self._reads.set()

    def charge(self, frames: int) -> None:
        """Charge the last frame as this many more."""
        self._tokens -= frames

    def dismiss(self, code: int) -> None:
        """End the task's wait for a message with an ERROR that carries a close code."""
        self._dismissed_with = code
        if self._read_limit is not None:
            self._read_limit.reschedule(asyncio.get_running_loop().time())

    async def close(self, *, code: int = 1000, message: bytes = b"", drain: bool = True) -> bool:
        """Close, and end the wait of a held task."""
        self._reads.set()
        return await super().close(code=code, message=message, drain=drain)
