"""Collector: counts the spans on their way there, and says when it is lost and found.

The SDK drops spans without telling, and logs each failure. Here each span is counted once, and an outage is two lines.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any

import structlog
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult

log = structlog.get_logger()

# Spans that wait for the collector; further ones are dropped.
QUEUE_MAX = 2048


def log_collector(found: bool) -> None:
    """Log that the collector takes spans again, or has stopped to."""
    if found:
        log.info("found_collector")
    else:
        log.warning("lost_collector")


class CountedExporter(SpanExporter):
    """Exporter around another one. It is called from the thread of the SDK's processor.

    Args:
        count: called with `exported`, `failed` or `dropped`, and a number of spans.
        turned: called when the collector is lost or found.
    """

    def __init__(
        self, exporter: SpanExporter, count: Callable[[str, int], Any], turned: Callable[[bool], Any]
    ) -> None:
        self._exporter = exporter
        self._count = count
        self._turned = turned
        self._entered = self._left = 0
        self._lost = False
        self._ends_s: float | None = None

    def enter(self) -> bool:
        """Count a span in, before it is queued. False: the queue is full, and the span is dropped."""
        if self._entered - self._left >= QUEUE_MAX:
            self._count("dropped", 1)
            return False
        self._entered += 1
        return True

    def end_within(self, limit_s: float) -> None:
        """From `limit_s` on nothing is sent any more."""
        self._ends_s = time.monotonic() + limit_s  # noqa: TID251 - of a thread

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """Send spans. Those that cannot be sent are lost."""
        if self._ends_s is not None and time.monotonic() > self._ends_s:  # noqa: TID251 - of a thread
            self._left += len(spans)
            self._count("dropped", len(spans))
            return SpanExportResult.FAILURE
        result = self._exporter.export(spans)
        self._left += len(spans)
        good = result is SpanExportResult.SUCCESS
        self._count("exported" if good else "failed", len(spans))
        if good is self._lost:
            self._lost = not good
            self._turned(good)
        return result

    def shutdown(self) -> None:
        """Close the connection."""
        self._exporter.shutdown()
