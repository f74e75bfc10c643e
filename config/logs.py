"""Logs: structlog, one line per event, through a bounded buffer and a writer thread.

A terminal that was paused with Ctrl-S, or a pipe that nobody reads, blocks the thread, never the event
loop; what does not fit into the buffer is dropped and counted, and the next line that gets through says
how many.
"""

from __future__ import annotations

import logging
import sys
import threading
from collections import deque
from collections.abc import Iterator, MutableMapping
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any, BinaryIO

import orjson
import structlog

# Lines that may wait for the writer: a second of a busy instance, about 5 MB.
BUFFER_LINES = 20_000
LINE_BYTES_MAX = 16_384
# Lines are written together this often: waking the writer for each costs more than the line does.
# Warnings and errors do not wait.
WRITE_S = 0.05

_LEVELS = {"debug": 10, "info": 20, "warning": 30, "error": 40}


class LineWriter:
    """Writes lines from a thread of its own."""

    def __init__(self, stream: BinaryIO) -> None:
        self.dropped = 0
        self._unreported = 0
        self._stream = stream
        self._lines: deque[bytes] = deque()
        self._under_way = 0
        self._wake = threading.Event()
        self._ended = False
        self._thread = threading.Thread(target=self._run, name="log writer", daemon=True)
        self._thread.start()

    def write(self, line: bytes, *, urgent: bool = False) -> None:
        """Queue a line; never waits. An urgent one is written at once, with all before it."""
        if len(self._lines) + self._under_way >= BUFFER_LINES:
            self.dropped += 1
            self._unreported += 1
            return
        if len(line) > LINE_BYTES_MAX:
            line = line[:LINE_BYTES_MAX]
        if self._unreported:
            line += b'\n{"event":"dropped_log_lines","count":%d}' % self._unreported
            self._unreported = 0
        self._lines.append(line)
        if urgent:
            self._wake.set()

    def _run(self) -> None:
        while not self._ended or self._lines:
            self._wake.wait(WRITE_S)
            self._wake.clear()
            # What is being written counts as waiting: a stream that blocks fills the buffer up.
            self._under_way = count = len(self._lines)
            if count == 0:
                continue
            try:
                self._stream.write(b"\n".join([self._lines.popleft() for _ in range(count)]) + b"\n")
                self._stream.flush()
            except (OSError, ValueError):
                self.dropped += count
            self._under_way = 0

    def close(self, wait_s: float = 1.0) -> None:
        """Write what is queued, for at most `wait_s`."""
        self._ended = True
        self._wake.set()
        self._thread.join(wait_s)


class _Logger:
    """What structlog hands finished lines to."""

    def __init__(self, writer: LineWriter) -> None:
        self._writer = writer

    def msg(self, line: bytes | str) -> None:
        self._writer.write(line if isinstance(line, bytes) else line.encode(errors="replace"))

    def urgent(self, line: bytes | str) -> None:
        self._writer.write(line if isinstance(line, bytes) else line.encode(errors="replace"), urgent=True)

    debug = info = log = msg
    warning = error = critical = exception = urgent


class _Others(logging.Handler):
    """What libraries say by the standard library's logging: warnings and worse, one line each, like ours.

    The stack is left out: what a library could not do fails at us as well, and is logged there.
    """

    def __init__(self) -> None:
        super().__init__(logging.WARNING)

    def emit(self, record: logging.LogRecord) -> None:
        reason = record.exc_info[0].__name__ if record.exc_info and record.exc_info[0] else None
        log = structlog.get_logger()
        log.warning("library_said", library=record.name, said=record.getMessage()[:300], reason=reason)


def _render(logger: object, method: str, event: MutableMapping[str, Any]) -> bytes:
    """A line of JSON. One step for what structlog does in three: it is taken for every request."""
    del logger
    event["level"] = method
    event["ts"] = datetime.now(UTC)  # noqa: TID251 - a line tells of this machine, by its own clock
    return orjson.dumps(event, default=str, option=orjson.OPT_UTC_Z)


@contextmanager
def open_logs(
    log_format: str = "auto", level: str = "info", stream: BinaryIO | None = None
) -> Iterator[LineWriter]:
    """Configure structlog until the block ends."""
    out = stream or sys.stderr.buffer
    console = log_format == "console" or (log_format == "auto" and sys.stderr.isatty())
    writer = LineWriter(out)
    stamp: list[Any] = [
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True, key="ts"),
    ]
    if console:
        colours = sys.stderr.isatty()
        processors = [*stamp, structlog.dev.ConsoleRenderer(colors=colours, timestamp_key="ts")]
    else:
        processors = [structlog.processors.format_exc_info, _render]
    structlog.configure(
        processors=processors,
        wrapper_class=structlog.make_filtering_bound_logger(_LEVELS[level]),
        logger_factory=lambda *_: _Logger(writer),
        cache_logger_on_first_use=False,
    )
    others = _Others()
    root = logging.getLogger()
    root.addHandler(others)
    try:
        yield writer
    finally:
        root.removeHandler(others)
        writer.close()
