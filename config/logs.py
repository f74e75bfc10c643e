"""Logs: structlog, one line per event, through a bounded buffer and a writer thread.

A terminal that is paused with Ctrl-S, or a pipe without a reader, blocks the thread, never the event loop. Lines that
do not fit into the buffer are dropped and counted. The next written line has the count.
"""

from __future__ import annotations

import logging
import os
import sys
import threading
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from select import PIPE_BUF
from stat import S_ISFIFO
from typing import Any, BinaryIO, TextIO

import orjson
import structlog

from config.settings import Settings

# Limit of waiting lines: a second of a busy instance, about 5 MB.
BUFFER_LINES = 20_000
LINE_BYTES_MAX = 16_384
# Interval of writes: a wake-up of the writer per line costs more than the line. Warnings and errors do not wait.
WRITE_S = 0.05

# A trace that is recorded has the id of a span behind its own.
TRACE_CHARS = 32
_LEVELS = {"debug": 10, "info": 20, "warning": 30, "error": 40}


class LineWriter:
    """Writes lines from its own thread."""

    def __init__(self, stream: BinaryIO) -> None:
        # A write of at most this size to a pipe is not mixed with other processes' writes (POSIX).
        self.piece_bytes = PIPE_BUF if _is_pipe(stream) else 0
        self.line_bytes_max = min(LINE_BYTES_MAX, (self.piece_bytes or LINE_BYTES_MAX + 1) - 1)
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
        """Queue a line without blocking. An urgent line is written at once, with all lines before it."""
        if len(self._lines) + self._under_way >= BUFFER_LINES:
            self.dropped += 1
            self._unreported += 1
            return
        if len(line) > self.line_bytes_max:
            line = line[: self.line_bytes_max]
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
            # Lines being written count as waiting, so that a blocked stream fills the buffer.
            self._under_way = count = len(self._lines)
            if count == 0:
                continue
            lines = [self._lines.popleft() for _ in range(count)]
            try:
                for piece in _pieces(lines, self.piece_bytes):
                    self._stream.write(piece)
                    self._stream.flush()
            except (OSError, ValueError):
                self.dropped += count
            self._under_way = 0

    def close(self, wait_s: float = 1.0) -> None:
        """Write queued lines, for at most `wait_s`."""
        self._ended = True
        self._wake.set()
        self._thread.join(wait_s)


def _is_pipe(stream: BinaryIO) -> bool:
    try:
        return S_ISFIFO(os.fstat(stream.fileno()).st_mode)
    except OSError:  # it is not a file
        return False


def _pieces(lines: Sequence[bytes], size: int) -> Iterator[bytes]:
    """Join whole lines into pieces of at most `size` bytes; 0: one piece."""
    if not size:
        yield b"\n".join(lines) + b"\n"
        return
    piece = b""
    for line in lines:
        if piece and len(piece) + len(line) + 1 > size:
            yield piece
            piece = b""
        piece += line + b"\n"
    yield piece


def _shortened(values: dict[str, Any], size: int) -> bytes:
    """Shorten a line that is too long by its long values, so that it stays valid."""
    most = size // 8
    cut = {}
    for name, value in values.items():
        text = value if isinstance(value, str) else str(value) if isinstance(value, list | dict) else None
        if text is not None and len(text) > most // 4:
            # The end of a stack trace says more than its beginning. A character may take six bytes.
            head, tail = most // 16, most // 4
            text = f"{text[:head]} [...] {text[-tail:]}"
        cut[name] = value if text is None else text
    line = orjson.dumps({**cut, "shortened": True}, default=str, option=orjson.OPT_UTC_Z)
    if len(line) <= size:
        return line
    kept = {name: cut[name] for name in ("event", "level", "ts", "instance", "trace_id") if name in cut}
    return orjson.dumps({**kept, "shortened": True}, default=str, option=orjson.OPT_UTC_Z)


class _Logger:
    """Logger to which structlog passes finished lines."""

    def __init__(self, writer: LineWriter) -> None:
        self._writer = writer
        self.line_bytes_max = writer.line_bytes_max

    def msg(self, line: bytes | str) -> None:
        self._writer.write(line if isinstance(line, bytes) else line.encode(errors="replace"))

    def urgent(self, line: bytes | str) -> None:
        self._writer.write(line if isinstance(line, bytes) else line.encode(errors="replace"), urgent=True)

    debug = info = log = msg
    warning = error = critical = exception = urgent


class _Others(logging.Handler):
    """Handler for logs of libraries through the standard library: warnings and above, one line each.

    Without stack traces: a failure of a library is logged with its trace where it is caught.
    """

    def __init__(self) -> None:
        super().__init__(logging.WARNING)

    def emit(self, record: logging.LogRecord) -> None:
        reason = record.exc_info[0].__name__ if record.exc_info and record.exc_info[0] else None
        log = structlog.get_logger()
        log.warning("library_said", library=record.name, said=record.getMessage()[:300], reason=reason)


def _split_trace(values: structlog.typing.EventDict) -> None:
    """Split the context of a recorded trace into the two ids that a line has."""
    trace = values["trace_id"]
    values["trace_id"], values["span_id"] = trace[:TRACE_CHARS], trace[TRACE_CHARS + 1 :]


def _split(_: Any, __: str, values: structlog.typing.EventDict) -> structlog.typing.EventDict:
    if len(values.get("trace_id") or "") > TRACE_CHARS:
        _split_trace(values)
    return values


class _Lean(structlog.BoundLoggerBase):
    """Filtering logger of structlog with its processors in one step, because each request logs a line.

    Through the chain a request's line takes 5.6 us, with this class 2.4 us (Python 3.11).
    """

    # The writing instance, because several share a stream. A line about another instance names that one instead.
    writer = ""
    # True: a line has what is bound to the running task, such as a job's trace id.
    merges = False

    def _line(self, level: str, event: str, values: dict[str, Any]) -> None:
        values["event"] = event
        values["level"] = level
        values["ts"] = datetime.now(UTC)  # noqa: TID251 - a line tells of this machine, by its own clock
        if self.merges:
            values = {**structlog.contextvars.get_contextvars(), **values}
        if self._context:
            values = {**self._context, **values}
        values.setdefault("instance", self.writer)
        trace = values.get("trace_id")
        if trace is not None and len(trace) > TRACE_CHARS:
            _split_trace(values)
        if "exc_info" in values:
            values = dict(structlog.processors.format_exc_info(None, level, values))
        line = orjson.dumps(values, default=str, option=orjson.OPT_UTC_Z)
        if len(line) > self._logger.line_bytes_max:
            line = _shortened(values, self._logger.line_bytes_max)
        getattr(self._logger, level)(line)

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


def _lean(level: str, instance: str, merges: bool) -> type[_Lean]:
    """Make a logger class with a level, and the instance's name in each line."""
    quiet = {name: _silent for name, rank in _LEVELS.items() if rank < _LEVELS[level]}
    return type("Lean", (_Lean,), {**quiet, "writer": instance, "merges": merges})


def is_console(log_format: str) -> bool:
    """True if log lines are for people, not for programs."""
    return log_format == "console" or (log_format == "auto" and sys.stderr.isatty())


def say(
    text: str, log_format: str, event: str, level: str = "info", instance: str = "", *, to: TextIO
) -> None:
    """Print a message: plain on a terminal, one JSON line where log lines are for programs."""
    if not (is_console(log_format) or to.isatty()):
        now = datetime.now(UTC)  # noqa: TID251 - as above
        values = {"event": event, "level": level, "ts": now, "instance": instance, "said": text.splitlines()}
        text = orjson.dumps(values, option=orjson.OPT_UTC_Z).decode()
    # One write: print() makes two of an unbuffered stream, and a line of the writer's thread may come between them.
    to.write(text + "\n")
    to.flush()


def say_failure(command: str, text: str) -> None:
    """Print why a command has failed; as a JSON line for `serve` where log lines are for programs."""
    if command != "serve":
        sys.stderr.write(text + "\n")
        return
    # The settings themselves may be wrong, so variables are read one by one.
    named = {
        name: os.environ.get(str(Settings.model_fields[name].alias)) for name in ("log_format", "instance")
    }
    say(text, named["log_format"] or "auto", "failed_start", "error", named["instance"] or "", to=sys.stderr)


def _named(instance: str) -> structlog.typing.Processor:
    def name(_: Any, __: str, values: structlog.typing.EventDict) -> structlog.typing.EventDict:
        values.setdefault("instance", instance)
        return values

    return name


@contextmanager
def open_logs(
    log_format: str = "auto",
    level: str = "info",
    stream: BinaryIO | None = None,
    *,
    instance: str = "",
    merges: bool = False,
) -> Iterator[LineWriter]:
    """Configure structlog until the block ends.

    `instance` is in each line that names no other. With `merges` a line has what is bound to the running task
    (structlog.contextvars).
    """
    out = stream or sys.stderr.buffer
    console = is_console(log_format)
    writer, before = LineWriter(out), structlog.get_config()
    structlog.configure(
        processors=[
            *([structlog.contextvars.merge_contextvars] if merges else []),
            _named(instance),
            _split,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True, key="ts"),
            structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty(), timestamp_key="ts"),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(_LEVELS[level])
        if console
        else _lean(level, instance, merges),
        logger_factory=lambda *_: _Logger(writer),
        cache_logger_on_first_use=False,
    )
    others = _Others()
    root = logging.getLogger()
    root.addHandler(others)
    logging.captureWarnings(True)
    try:
        yield writer
    finally:
        logging.captureWarnings(False)
        root.removeHandler(others)
        structlog.configure(**before)
        writer.close()
