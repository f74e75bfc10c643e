"""Spans on their way to a collector: a bounded number waits, each is counted once, an outage is told of once."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult

from api.tracing.collector import QUEUE_MAX, CountedExporter

SPANS: Any = [object(), object()]


class Obedient(SpanExporter):
    """An exporter that does as the test says."""

    def __init__(self) -> None:
        self.says = SpanExportResult.SUCCESS

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        del spans
        return self.says


class Counted:
    """A counted exporter with what it tells."""

    def __init__(self) -> None:
        self.inner = Obedient()
        self.counts: Counter[str] = Counter()
        self.turns: list[bool] = []
        self.exporter = CountedExporter(self.inner, self.count, self.turns.append)

    def count(self, outcome: str, many: int) -> None:
        self.counts[outcome] += many


def test_spans_beyond_the_queue_are_dropped_and_counted() -> None:
    counted = Counted()
    taken = [counted.exporter.enter() for _ in range(QUEUE_MAX + 3)]
    assert taken == [True] * QUEUE_MAX + [False] * 3
    assert counted.counts == {"dropped": 3}
    counted.exporter.export(SPANS)
    assert [counted.exporter.enter() for _ in range(3)] == [True, True, False], "as many as have left"


def test_outage_is_told_of_when_it_begins_and_when_it_ends() -> None:
    counted = Counted()
    for says in ("SUCCESS", "FAILURE", "FAILURE", "SUCCESS", "SUCCESS"):
        counted.inner.says = SpanExportResult[says]
        counted.exporter.export(SPANS)
    assert counted.turns == [False, True]
    assert counted.counts == {"exported": 6, "failed": 4}


def test_nothing_is_sent_after_the_end() -> None:
    counted = Counted()
    counted.exporter.end_within(-1.0)
    assert counted.exporter.export(SPANS) is SpanExportResult.FAILURE
    assert counted.counts == {"dropped": 2}
