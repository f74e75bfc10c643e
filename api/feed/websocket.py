"""WebSocket whose text frames go to a callback in `data_received`, not through aiohttp's queue.

aiohttp's queue wakes a waiting task for each frame, which takes two turns of the loop and four coroutines. Here the
connection's callback calls the listener. It also answers pings, so that no answer waits for another turn. All other
messages go through the queue as before.
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

# Bytes in the queue at which reading stops; half of aiohttp's own limit.
QUEUE_BYTES = 32 * 1024


class _Frames(WebSocketDataQueue):
    """Message queue of a socket. tests/unit/api/test_websocket.py fails when aiohttp's queue works differently."""

    __slots__ = ("leaving", "listener", "meter", "transport")

    def __init__(self, meter: FrameMeter, limit: int, transport: Any, *, loop: Any) -> None:
        super().__init__(meter, limit, loop=loop)  # type: ignore[arg-type]
        self.meter = meter
        self.transport = transport
        self.listener: Listener | None = None
        self.leaving = False

    def feed_data(self, data: Any, size: int) -> None:
        """Receive a message.

        It must not pass one that still waits, and must not raise: the reader is compiled code, which would only print
        the error.
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
                self.meter.hold()  # one frame at a time, until a listener is set

    def _pong(self, data: Any) -> None:
        """Answer a ping at once, unless the client reads nothing (RFC 6455, 5.5.3: an answer to the latest will do)."""
        transport = self.transport
        if not transport.is_closing() and transport.get_write_buffer_size() <= CONGESTED_BYTES:
            transport.write(bytes((0x80 | WSMsgType.PONG, len(data))) + data)


class Socket(FeedSocket):
    """aiohttp's WebSocket with text frames delivered to a callback, and with frame limits."""

    __slots__ = ()

    def _post_start(self, request: web.BaseRequest, protocol: str | None, writer: Any) -> None:
        """As in aiohttp, with our queue; without aiohttp's heartbeat, because the session has its own."""
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
        """Deliver text frames to this listener from now on; None stops delivery."""
        self._frames.listener = listener
        if listener is not None:
            self._frames.meter.trust()
            self._frames.meter.release()

    def hold(self) -> None:
        """Deliver nothing until `release`; frames wait in order."""
        self._frames.meter.hold()

    def release(self) -> None:
        """Resume delivery."""
        self._frames.meter.release()

    def charge(self, frames: int) -> None:
        """Charge the last frame as this many more."""
        self._frames.meter.charge(frames)

    def _flooded(self) -> None:
        frames = self._frames
        if frames.listener is not None:
            frames.listener.flooded()
        else:
            self.dismiss(close_codes.RATE_LIMITED)

    def dismiss(self, code: int) -> None:
        """End the task's wait for a message with an ERROR that carries a close code."""
        WebSocketDataQueue.feed_data(self._frames, WSMessage(WSMsgType.ERROR, code, None), 0)

    async def close(self, *, code: int = 1000, message: bytes = b"", drain: bool = True) -> bool:
        """Close. Of the frames that still come, only the client's close frame matters."""
        self._frames.leaving = True
        self._frames.meter.release()
        return await super().close(code=code, message=message, drain=drain)
