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
from collections.abc import Iterator
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


class _Lean(structlog.BoundLoggerBase):
    """structlog's filtering logger with its chain of processors in one step: a line is taken for every request.

    Through the chain a request's line takes 5.6 us, and so 2.4 (Python 3.11).
    """

    # The instance that writes: several share a stream. A line may be about another one, and then names that.
    writer = ""

    def _line(self, level: str, event: str, values: dict[str, Any]) -> None:
        values["event"] = event
        values["level"] = level
        values["ts"] = datetime.now(UTC)  # noqa: TID251 - a line tells of this machine, by its own clock
        if self._context:
            values = {**self._context, **values}
        values.setdefault("instance", self.writer)
        if "exc_info" in values:
            values = dict(structlog.processors.format_exc_info(None, level, values))
        getattr(self._logger, level)(orjson.dumps(values, default=str, option=orjson.OPT_UTC_Z))

    def debug(self, event: str, **values: Any) -> None:
        self._line("debug", event, values)

    def info(self, event: str, **values: Any) -> None:
        self._line("info", event, values)

    def warning(self, event: str, **values: Any) -> None:
        self._line("warning", event, values)

    def error(self, event: str, **values: Any) -> None:
        self._line("error", event, values)


def _silent(self: _Lean, event: str, **values: Any) -> None:
    del self, event, values


def _lean(level: str, instance: str) -> type[_Lean]:
    """The logger that says nothing below a level, and in every line whose it is."""
    quiet = {name: _silent for name, rank in _LEVELS.items() if rank < _LEVELS[level]}
    return type("Lean", (_Lean,), {**quiet, "writer": instance})


def _named(instance: str) -> structlog.typing.Processor:
    def name(_: Any, __: str, values: structlog.typing.EventDict) -> structlog.typing.EventDict:
        values.setdefault("instance", instance)
        return values

    return name


@contextmanager
def open_logs(
    log_format: str = "auto", level: str = "info", stream: BinaryIO | None = None, *, instance: str = ""
) -> Iterator[LineWriter]:
    """Configure structlog until the block ends; `instance` is in every line that names no other."""
    out = stream or sys.stderr.buffer
    console = log_format == "console" or (log_format == "auto" and sys.stderr.isatty())
    writer = LineWriter(out)
    structlog.configure(
        processors=[
            _named(instance),
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True, key="ts"),
            structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty(), timestamp_key="ts"),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(_LEVELS[level])
        if console
        else _lean(level, instance),
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
