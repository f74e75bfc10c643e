"""A WebSocket whose texts are taken where they are read.

aiohttp's goes through a queue: each frame wakes the task that waits for it, which takes two rounds of the loop and four
coroutines. Here whoever listens is called from the connection's callback. A ping is answered there, too, so that no
loop of answers is ever between two turns. All else that the queue is for goes through it as before.
"""

from __future__ import annotations

from typing import Any

import structlog
from aiohttp import WSMessage, WSMsgType, web

from api.feed.feed_socket import CONGESTED_BYTES, FeedSocket, Listener
from api.feed.frame_limits import FrameMeter
from api.subscriptions import close_codes
from api.transport.aiohttp_internals import WebSocketDataQueue, WebSocketReader

log = structlog.get_logger()

# What may wait in the queue before reading stops; half of aiohttp's own.
QUEUE_BYTES = 32 * 1024


class _Frames(WebSocketDataQueue):
    """The queue of a socket. tests/unit/api/test_websocket.py fails when aiohttp's works differently."""

    __slots__ = ("leaving", "listener", "meter", "transport")

    def __init__(self, meter: FrameMeter, limit: int, transport: Any, *, loop: Any) -> None:
        super().__init__(meter, limit, loop=loop)  # type: ignore[arg-type]
        self.meter = meter
        self.transport = transport
        self.listener: Listener | None = None
        self.leaving = False

    def feed_data(self, data: Any, size: int) -> None:
        """A message was read. None may pass one that still waits; and nothing may be raised, for the reader is
        compiled code that would only print it.
        """
        listener = self.listener
        try:
            if listener is not None and data.type is WSMsgType.TEXT and not self._buffer:
                listener.heard(data.data)
            else:
                self._sort(data, size)
        except Exception as error:
            log.error("failed_frame", exc_info=error)

    def _sort(self, data: Any, size: int) -> None:
        kind, listener = data.type, self.listener
        if kind is WSMsgType.PING or kind is WSMsgType.PONG:
            if kind is WSMsgType.PING and not self.leaving:
                self._pong(data.data)
            if listener is not None:
                listener.heard(None)
        elif kind is not WSMsgType.TEXT and kind is not WSMsgType.BINARY:
            super().feed_data(data, size)
        elif not self.leaving:
            super().feed_data(data, size)
            if listener is None:
                self.meter.hold()  # one at a time, until somebody listens

    def _pong(self, data: Any) -> None:
        """Answer in place, unless the client reads nothing (RFC 6455, 5.5.3: the answer to the latest will do)."""
        transport = self.transport
        if not transport.is_closing() and transport.get_write_buffer_size() <= CONGESTED_BYTES:
            transport.write(bytes((0x80 | WSMsgType.PONG, len(data))) + data)


class Socket(FeedSocket):
    """aiohttp's WebSocket, but that texts need not wait for a task, and that frames are metered."""

    __slots__ = ()

    def _post_start(self, request: web.BaseRequest, protocol: str | None, writer: Any) -> None:
        """As in aiohttp, with our queue. There is no heartbeat to be told of what comes in: the session has one."""
        self._ws_protocol = protocol
        self._writer = writer
        assert self._loop is not None
        meter = FrameMeter(request.protocol, self._loop, self._flooded)
        self._reader = _Frames(meter, QUEUE_BYTES, writer.transport, loop=self._loop)
        self._parser = meter.reader = WebSocketReader(
            self._reader, self._max_msg_size, compress=False, decode_text=True
        )
        request.protocol.set_parser(meter)  # type: ignore[arg-type]
        request.protocol.keep_alive(False)

    @property
    def _frames(self) -> _Frames:
        assert isinstance(self._reader, _Frames)
        return self._reader

    def listen(self, listener: Listener | None) -> None:
        """From now on have texts heard; by nobody with None."""
        self._frames.listener = listener
        if listener is not None:
            self._frames.meter.trust()
            self._frames.meter.release()

    def hold(self) -> None:
        """Hear nothing more until `release`; what comes in waits in order."""
        self._frames.meter.hold()

    def release(self) -> None:
        """Go on hearing."""
        self._frames.meter.release()

    def charge(self, frames: int) -> None:
        """The last frame is worth so many more."""
        self._frames.meter.charge(frames)

    def _flooded(self) -> None:
        frames = self._frames
        if frames.listener is not None:
            frames.listener.flooded()
        else:
            self.dismiss(close_codes.RATE_LIMITED)

    def dismiss(self, code: int) -> None:
        """Tell whoever waits for a message that there will be none, and why: an ERROR with a close code."""
        WebSocketDataQueue.feed_data(self._frames, WSMessage(WSMsgType.ERROR, code, None), 0)

    async def close(self, *, code: int = 1000, message: bytes = b"", drain: bool = True) -> bool:
        """Close; of what still comes in only the client's own farewell matters."""
        self._frames.leaving = True
        self._frames.meter.release()
        return await super().close(code=code, message=message, drain=drain)
