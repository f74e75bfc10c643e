"""Send queue of one socket: a bounded reliable part, and the latest frame of each topic.

When the reliable part is full, the socket is closed and the client resumes: nothing is lost, because the log is the
buffer. The other part keeps one frame per topic. Fan-out never waits for a socket: putting a frame in returns at once,
and a writer task exists only while frames wait.
"""

from __future__ import annotations

from collections import deque
from typing import Any

import orjson

from config import metrics

# The longest replay, 200 entries of at most 3.3 KB, fits; with the transport's buffer, a client that never reads
# costs less than a megabyte.
FRAMES_MAX = 512
BYTES_MAX = 768 * 1024


class Overflow(Exception):
    """The reliable part is full: the client reads too slowly."""


class SendQueue:
    """Frames that wait to be written to one socket."""

    __slots__ = ("_bytes", "_latest", "_reliable")

    def __init__(self) -> None:
        self._reliable: deque[bytes] | None = None
        self._latest: dict[str, bytes] | None = None
        self._bytes = 0

    def put(self, frame: dict[str, Any] | bytes) -> None:
        """Queue a frame for reliable delivery.

        Raises:
            Overflow: the queue is full.
        """
        text = frame if isinstance(frame, bytes) else orjson.dumps(frame)
        if self._reliable is None:
            self._reliable = deque()
        if len(self._reliable) >= FRAMES_MAX or self._bytes + len(text) > BYTES_MAX:
            raise Overflow
        self._reliable.append(text)
        self._bytes += len(text)

    def put_latest(self, topic: str, frame: dict[str, Any] | bytes) -> None:
        """Queue the newest frame of a topic; it replaces a waiting one."""
        if self._latest is None:
            self._latest = {}
        elif topic in self._latest:
            metrics.FEED_CONFLATED.inc()
        self._latest[topic] = frame if isinstance(frame, bytes) else orjson.dumps(frame)

    def take(self, bytes_max: int) -> bytes:
        """The next frames in wire form (RFC 6455, unmasked text), reliable ones first.

        At least one if any waits, more while they fit.
        """
        parts: list[bytes] = []
        size = 0
        while size < bytes_max and (text := self._next()) is not None:
            parts += (_head(len(text)), text)
            size += len(text)
        return b"".join(parts)

    def _next(self) -> bytes | None:
        if self._reliable:
            text = self._reliable.popleft()
            self._bytes -= len(text)
            return text
        self._reliable = None
        if self._latest:
            return self._latest.pop(next(iter(self._latest)))
        self._latest = None
        return None

    def __bool__(self) -> bool:
        return bool(self._reliable or self._latest)


def _head(size: int) -> bytes:
    """Header of an unmasked text frame."""
    if size < 126:
        return bytes((0x81, size))
    if size < 65536:
        return b"\x81\x7e" + size.to_bytes(2, "big")
    return b"\x81\x7f" + size.to_bytes(8, "big")
