"""A WebSocket whose texts are taken where they are read.

aiohttp's goes through a queue: each frame wakes the task that waits for it, which takes two rounds of the loop and four
coroutines. Here whoever has said `take` is called from the connection's callback. All else that the queue is for,
and everything before that, goes through it as before.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import structlog
from aiohttp import WSMsgType, web
from aiohttp._websocket.reader import WebSocketDataQueue
from aiohttp.http import WebSocketReader
from aiohttp.web_request import BaseRequest

log = structlog.get_logger()

# What may wait in the queue before reading stops; half of aiohttp's own.
QUEUE_BYTES = 32 * 1024


class _Texts(WebSocketDataQueue):
    """The queue of a socket. It relies on aiohttp 3.14: tests/unit/api/test_socket.py fails when that changes."""

    __slots__ = ("taker",)

    def __init__(self, protocol: Any, limit: int, *, loop: Any) -> None:
        super().__init__(protocol, limit, loop=loop)
        self.taker: Callable[[str], None] | None = None

    def feed_data(self, data: Any, size: int) -> None:
        """A message was read. None may pass one that still waits; and nothing may be raised, for the reader is
        compiled code that would only print it.
        """
        if self.taker is None or data.type is not WSMsgType.TEXT or self._buffer:
            super().feed_data(data, size)
            return
        try:
            self.taker(data.data)
        except Exception as error:
            log.error("failed_frame", exc_info=error)


class Socket(web.WebSocketResponse):
    """aiohttp's WebSocket, but that texts need not wait for a task."""

    __slots__ = ()

    def _post_start(self, request: BaseRequest, protocol: str | None, writer: Any) -> None:
        """As in aiohttp, with our queue. There is no heartbeat to be told of what comes in: the session has one."""
        self._ws_protocol = protocol
        self._writer = writer
        assert self._loop is not None
        self._reader = _Texts(request._protocol, QUEUE_BYTES, loop=self._loop)
        self._parser = WebSocketReader(self._reader, self._max_msg_size, compress=False, decode_text=True)
        request.protocol.set_parser(self._parser)
        request.protocol.keep_alive(False)

    def take(self, taker: Callable[[str], None] | None) -> None:
        """From now on have texts taken by this function, which must not raise; by nobody with None."""
        assert isinstance(self._reader, _Texts)
        self._reader.taker = taker
