"""Format of the metrics: large families are rendered in parts, and nobody sees it."""

from __future__ import annotations

import asyncio
import gzip

import pytest
from aiohttp.test_utils import make_mocked_request
from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.openmetrics.exposition import generate_latest as generate_open
from prometheus_client.openmetrics.parser import text_string_to_metric_families

from api.ops import exposition_format
from api.ops.exposition_format import exposition, metrics_answer
from config.metrics import HistogramByPart


@pytest.fixture
def registry() -> CollectorRegistry:
    registry = CollectorRegistry()
    counted = Counter("mall_test", "Of a test.", ["kind"], registry=registry)
    for number in range(30):
        counted.labels(f"k{number}").inc()
    Histogram("mall_seconds", "Seconds.", registry=registry).observe(0.2, {"trace_id": "f" * 32})
    return registry


async def test_parts_make_the_text_of_the_whole(
    registry: CollectorRegistry, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(exposition_format, "SLICE", 7)
    assert await exposition(registry) == generate_latest(registry)
    whole: bytes = generate_open(registry)  # type: ignore[no-untyped-call]
    assert await exposition(registry, as_open=True) + b"# EOF\n" == whole


async def test_histogram_by_part_reads_like_one_histogram_and_is_collected_by_label_set() -> None:
    split, plain = CollectorRegistry(), CollectorRegistry()
    by_part = HistogramByPart("mall_seconds", "Seconds.", ["route", "method"], (0.1, 1), split)
    whole = Histogram("mall_seconds", "Seconds.", ["route", "method"], buckets=(0.1, 1), registry=plain)
    for histogram in (by_part, whole):
        for route in ("/orders", "/drivers"):
            for method in ("GET", "POST"):
                histogram.labels(route, method).observe(0.2)
    assert await exposition(split) == generate_latest(plain)
    reference: bytes = generate_open(plain)  # type: ignore[no-untyped-call]
    assert await exposition(split, as_open=True) + b"# EOF\n" == reference
    parts = [
        {tuple(sample.labels[k] for k in ("route", "method")) for sample in part.samples}
        for part in split.collect()
    ]
    assert [len(sets) for sets in parts] == [1, 1, 1, 1]


async def test_loop_gets_a_turn_after_each_part() -> None:
    registry = CollectorRegistry()
    histogram = HistogramByPart("mall_seconds", "Seconds.", ["route"], (0.1, 1), registry)
    for number in range(50):
        histogram.labels(f"/{number}")
    turns = 0

    async def count() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    counting = asyncio.create_task(count())
    await exposition(registry)
    counting.cancel()
    assert turns >= 50


async def test_client_that_asks_gets_open_metrics_with_examples_packed(registry: CollectorRegistry) -> None:
    headers = {"Accept": "application/openmetrics-text;version=1.0.0", "Accept-Encoding": "gzip"}
    answer = await metrics_answer(make_mocked_request("GET", "/metrics", headers=headers), [registry])
    assert isinstance(answer.body, bytes)
    text = gzip.decompress(answer.body).decode()
    families = list(text_string_to_metric_families(text))  # type: ignore[no-untyped-call]
    assert {family.name for family in families} == {"mall_test", "mall_seconds"}
    assert f'trace_id="{"f" * 32}"' in text


async def test_client_that_does_not_ask_gets_plain_text(registry: CollectorRegistry) -> None:
    answer = await metrics_answer(make_mocked_request("GET", "/metrics"), [registry])
    assert answer.body == generate_latest(registry)
    assert "Content-Encoding" not in answer.headers
