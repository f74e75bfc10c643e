"""Tracer over OpenTelemetry's SDK, with OTLP over HTTP.

Spans are handed to the SDK when they have ended. Their ids were given out when they began, as strings that travelled
meanwhile. A thread of the SDK sends them.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from opentelemetry import trace as otel
from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.sdk.trace.id_generator import IdGenerator
from opentelemetry.sdk.trace.sampling import ALWAYS_ON

from actors.clock import Randomness
from actors.tracing import Span, SpanKind, SpanService, is_recorded, trace_id
from api.tracing.collector import QUEUE_MAX, CountedExporter
from config.version import VERSION

# Of one request to the collector, its repetitions included.
EXPORT_S = 2.0
# A span that waits is sent after this time.
DELAY_S = 1.0
# Time for the last spans when the process ends.
CLOSE_S = 3.0
_KINDS: Mapping[SpanKind, otel.SpanKind] = {kind: otel.SpanKind[kind.name] for kind in SpanKind}


class _GivenIds(IdGenerator):
    """Gives the SDK the ids that a span has already."""

    def __init__(self) -> None:
        self.trace = self.span = 0

    def generate_trace_id(self) -> int:
        return self.trace

    def generate_span_id(self) -> int:
        return self.span


class OtlpTracer:
    """Implements actors.tracing.Tracer. Make it with the loop's thread; only that one may call it.

    Args:
        endpoint: base URL of the collector.
        instance: name of this process in its spans.
        count, turned: see CountedExporter; called from another thread.
    """

    on = True

    def __init__(
        self,
        endpoint: str,
        instance: str,
        entropy: Randomness,
        count: Callable[[str, int], Any],
        turned: Callable[[bool], Any],
    ) -> None:
        # Its failures are counted here, and logged once.
        logging.getLogger("opentelemetry").setLevel(logging.CRITICAL)
        exporter = OTLPSpanExporter(f"{endpoint.rstrip('/')}/v1/traces", timeout=EXPORT_S)
        self._exporter = CountedExporter(exporter, count, turned)
        self._processor = BatchSpanProcessor(
            self._exporter, max_queue_size=QUEUE_MAX, schedule_delay_millis=DELAY_S * 1000
        )
        self._entropy = entropy
        self._ids = _GivenIds()
        self._tracers = {service: self._tracer_of(service, instance) for service in SpanService}

    def _tracer_of(self, service: SpanService, instance: str) -> otel.Tracer:
        attributes = {"service.name": service, "service.version": VERSION, "service.instance.id": instance}
        provider = TracerProvider(
            ALWAYS_ON, Resource.create(attributes), shutdown_on_exit=False, id_generator=self._ids
        )
        provider.add_span_processor(self._processor)
        return provider.get_tracer("mall-delivery-dispatch", VERSION)

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
        """Begin a span; see actors.tracing.Tracer."""
        mine = f"{trace_id(trace)}-{self._entropy.trace()[:16]}"
        return Span(self._leave, service, name, kind, trace, mine, began_ns or time.time_ns(), links)

    def _leave(self, span: Span) -> None:
        if not self._exporter.enter():
            return
        own = _context_of(span.trace)
        self._ids.trace, self._ids.span = own.trace_id, own.span_id
        context = Context()
        if is_recorded(span.parent):
            context = otel.set_span_in_context(otel.NonRecordingSpan(_context_of(span.parent)), context)
        left = self._tracers[span.service].start_span(
            span.name,
            context,
            _KINDS[span.kind],
            span.attributes,
            [otel.Link(_context_of(link)) for link in span.links],
            span.began_ns,
        )
        if span.failed:
            left.set_status(otel.StatusCode.ERROR, span.failed)
        left.end(span.ended_ns)

    def close(self) -> threading.Thread:
        """Send what waits, in a thread that nobody needs to wait for. It ends within CLOSE_S and one request."""
        self._exporter.end_within(CLOSE_S - EXPORT_S)
        thread = threading.Thread(target=self._processor.shutdown, name="last spans", daemon=True)
        thread.start()
        return thread


def _context_of(trace: str) -> otel.SpanContext:
    """The context of a recorded trace as the SDK has it."""
    number, _, span = trace.partition("-")
    return otel.SpanContext(int(number, 16), int(span, 16), True, otel.TraceFlags(otel.TraceFlags.SAMPLED))
