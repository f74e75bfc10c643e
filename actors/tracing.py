"""Tracing: the string in which a trace travels, and the port through which spans leave.

A trace id is 32 hexadecimal digits. Where a trace is recorded, the id of the span that caused a message follows it:
`32hex-16hex`. So the string is both the context and the decision to record, in memory, between instances and in rows.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from enum import StrEnum
from typing import Protocol

TRACE_CHARS = 32

# The trace of the running request or job, for log lines of slow queries. Commands of actors do not set it.
RUNNING_TRACE: ContextVar[str] = ContextVar("running_trace", default="")


class SpanService(StrEnum):
    """Part of the product that a span is of: the service of its resource."""

    EDGE = "mall-edge"
    OWNER = "mall-owner"
    POSTGRES = "postgresql"
    JOBS = "mall-jobs"


class SpanKind(StrEnum):
    """Kind of a span, as OpenTelemetry names it."""

    SERVER = "server"
    CLIENT = "client"
    CONSUMER = "consumer"
    INTERNAL = "internal"


def is_recorded(trace: str) -> bool:
    """True if the spans of this trace are recorded."""
    return len(trace) > TRACE_CHARS


def trace_id(trace: str) -> str:
    """The trace id, without the span. It is what people, logs and receivers see."""
    return trace[:TRACE_CHARS]


def traceparent(trace: str, fresh: Callable[[], str]) -> str:
    """The W3C traceparent for a request to another system. `fresh` makes a trace id."""
    if is_recorded(trace):
        return f"00-{trace}-01"
    return f"00-{trace}-{fresh()[:16]}-00"


class Span:
    """A span under way. It leaves when it ends, once.

    Attributes:
        trace: the context of what it causes.
        parent: the context that it began in; only a trace id for the first one of a trace.
        decided_ns: when its decision was made that a commit follows; 0: not yet.
        failed: why it failed; "" if it did not.
    """

    __slots__ = (
        "_ended", "_leave", "attributes", "began_ns", "decided_ns", "ended_ns", "failed", "kind", "links", "name",
        "parent", "service", "trace",
    )  # fmt: skip

    def __init__(
        self,
        leave: Callable[[Span], None],
        service: SpanService,
        name: str,
        kind: SpanKind,
        parent: str,
        trace: str,
        began_ns: int,
        links: Sequence[str] = (),
    ) -> None:
        self.service = service
        self.name = name
        self.kind = kind
        self.parent = parent
        self.trace = trace
        self.began_ns = began_ns
        self.links = links
        self.ended_ns = self.decided_ns = 0
        self.failed = ""
        self.attributes: dict[str, str | int] = {}
        self._leave = leave
        self._ended = False

    def end(self, failed: str = "", **attributes: str | int) -> None:
        """End it now. A second end has no effect."""
        if not self._ended:
            self._ended = True
            self.ended_ns = max(time.time_ns(), self.began_ns)
            self.failed = failed
            self.attributes.update(attributes)
            self._leave(self)

    @contextmanager
    def running(self) -> Iterator[Span]:
        """End it with the block, failed if the block raises."""
        try:
            yield self
        except BaseException as error:
            self.end(type(error).__name__)
            raise
        else:
            self.end()


class Tracer(Protocol):
    """Port for spans. Nothing here blocks or raises."""

    @property
    def on(self) -> bool:
        """False if spans go nowhere."""
        ...

    def begin(
        self,
        service: SpanService,
        name: str,
        trace: str,
        kind: SpanKind = SpanKind.INTERNAL,
        *,
        began_ns: int = 0,
        links: Sequence[str] = (),
    ) -> Span:
        """Begin a span in this context, now or at `began_ns`."""
        ...


def _vanish(span: Span) -> None:
    del span


class NullTracer:
    """Tracer whose spans go nowhere. It hands the context on, so that instances with a tracer lose no parent."""

    on = False

    def begin(
        self,
        service: SpanService,
        name: str,
        trace: str,
        kind: SpanKind = SpanKind.INTERNAL,
        *,
        began_ns: int = 0,
        links: Sequence[str] = (),
    ) -> Span:
        """A span that vanishes."""
        return Span(_vanish, service, name, kind, trace, trace, began_ns, links)


NO_TRACER: Tracer = NullTracer()


@contextmanager
def flush_recorded(tracer: Tracer, spans: Sequence[Span]) -> Iterator[None]:
    """Record the commit of these decisions: the gate of each, and one flush for all of them.

    The flush is in the trace of the first; it has links to the gates of the others, and they to it.
    """
    began_ns = time.time_ns()
    gates = [
        tracer.begin(SpanService.OWNER, "gate", span.trace, began_ns=span.decided_ns or began_ns)
        for span in spans
    ]
    others = [gate.trace for gate in gates[1:]]
    flush = tracer.begin(SpanService.POSTGRES, "flush", gates[0].trace, SpanKind.CLIENT, links=others)
    for gate in gates[1:]:
        gate.links = (flush.trace,)
    try:
        with flush.running():
            yield
    finally:
        for gate in gates:
            gate.end(flush.failed)


def recorded_traces(items: Iterable[Mapping[str, object]]) -> list[str]:
    """The contexts of those items whose traces are recorded."""
    return [trace for item in items if is_recorded(trace := str(item.get("trace") or ""))]
