"""Numbers out of /metrics: growth between two scrapes, and quantiles of it."""

from __future__ import annotations

import pytest

from loadtests.kit.metrics import bucket_max, bucket_quantile, buckets_grown, grown, lag_facts, parse

BEFORE = """
# HELP mall_query_seconds Named SQL blocks.
# TYPE mall_query_seconds histogram
mall_query_seconds_count{query="feed_after"} 3.0
mall_query_seconds_count{query="ping"} 10.0
lag_bucket{le="0.001"} 50.0
lag_bucket{le="0.01"} 50.0
lag_bucket{le="+Inf"} 50.0
plain 7.0
"""
AFTER = """
mall_query_seconds_count{query="feed_after"} 5.0
mall_query_seconds_count{query="ping"} 30.0
mall_query_seconds_count{query="driver_snapshot"} 4.0
lag_bucket{le="0.001"} 140.0
lag_bucket{le="0.01"} 150.0
lag_bucket{le="+Inf"} 150.0
plain 9.5
"""


def test_comments_are_no_samples() -> None:
    samples = parse(BEFORE)
    assert len(samples) == 6
    assert samples["plain"] == 7.0


def test_growth_is_by_labels_and_counts_series_that_are_new() -> None:
    before, after = parse(BEFORE), parse(AFTER)
    name = "mall_query_seconds_count"
    assert grown(before, after, name, query="feed_after") == 2
    assert grown(before, after, name, query="driver_snapshot") == 4
    assert grown(before, after, name, query="unknown") == 0
    assert grown(before, after, name) == 26
    assert grown(before, after, "plain") == 2.5


def test_quantile_is_of_what_grew_not_of_what_was_there() -> None:
    buckets = buckets_grown(parse(BEFORE), parse(AFTER), "lag")
    assert buckets == [(0.001, 90), (0.01, 100), (float("inf"), 100)]
    assert bucket_quantile(buckets, 0.45) == pytest.approx(0.0005)
    assert bucket_quantile(buckets, 0.9) == pytest.approx(0.001)
    assert bucket_quantile(buckets, 0.95) == pytest.approx(0.0055)


def test_histogram_with_labels_is_taken_together() -> None:
    after = parse('x_bucket{le="1.0",q="a"} 2\nx_bucket{le="1.0",q="b"} 3\nx_bucket{le="+Inf",q="a"} 4')
    assert buckets_grown({}, after, "x") == [(1.0, 5), (float("inf"), 4)]


@pytest.mark.parametrize("share", [0.5, 0.99])
def test_quantile_of_nothing_is_0(share: float) -> None:
    assert bucket_quantile([], share) == 0.0
    assert bucket_quantile([(0.1, 0.0), (float("inf"), 0.0)], share) == 0.0


def test_quantile_beyond_the_last_bound_is_that_bound() -> None:
    assert bucket_quantile([(0.1, 1.0), (5.0, 1.0), (float("inf"), 10.0)], 0.99) == 5.0


def test_one_long_stall_is_seen_in_the_maximum() -> None:
    buckets = [(0.01, 999.0), (0.5, 999.0), (1.0, 1000.0), (float("inf"), 1000.0)]
    assert bucket_quantile(buckets, 0.99) < 0.01
    assert bucket_max(buckets) == 1.0
    assert bucket_max([]) == bucket_max([(1.0, 0.0)]) == 0.0


def test_lag_is_told_in_milliseconds() -> None:
    name = "mall_loop_lag_seconds_bucket"
    after = parse(f'{name}{{le="0.01"}} 100\n{name}{{le="0.25"}} 101\n{name}{{le="+Inf"}} 101')
    facts = lag_facts({}, after)
    assert facts == {"loop_lag_server_p99_ms": 10.0, "loop_lag_server_max_at_most_ms": 250.0}
