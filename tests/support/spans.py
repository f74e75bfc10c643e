"""A tracer that keeps the spans that have ended."""

from __future__ import annotations

import itertools
import time
from collections.abc import Sequence

from actors.tracing import Span, SpanKind, SpanService, trace_id


class ListTracer:
    """Implements actors.tracing.Tracer."""

    on = True
    SERVICE = SpanService.OWNER

    def __init__(self) -> None:
        self.spans: list[Span] = []
        self._numbers = itertools.count(1)

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
        mine = f"{trace_id(trace)}-{next(self._numbers):016x}"
        return Span(self.spans.append, service, name, kind, trace, mine, began_ns or time.time_ns(), links)

    def named(self, name: str) -> list[Span]:
        """Those of this name."""
        return [span for span in self.spans if span.name == name]
