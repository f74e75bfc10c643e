"""Which traces are recorded: a share of them, the same everywhere, and nobody but our proxies may choose."""

from __future__ import annotations

from ipaddress import ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.tracing import NO_TRACER, Span, is_recorded, trace_id
from api.tracing.sampling import LATE_MAX, Sampling, Traceparent, read_traceparent, threshold_of
from tests.support.spans import ListTracer

PROXY, STRANGER = "10.1.2.3", "203.0.113.9"
PARENT = "b7ad6b7169203331"
HIGH, LOW = "0af7651916cd43dd8448eb21ffffffff", "0af7651916cd43dd8448eb2100000000"
ids = st.integers(1, 2**128 - 1).map(lambda number: f"{number:032x}")
shares = st.floats(0, 1)


def sampling(share: float, tracer: ListTracer | None = None, fresh: str = HIGH) -> Sampling:
    return Sampling(tracer or ListTracer(), share, [ip_network("10.0.0.0/8")], lambda: fresh)


def asked(trace: str, *, sampled: bool) -> Traceparent:
    return Traceparent(trace, PARENT, sampled)


@given(ids, shares)
def test_verdict_for_an_id_is_the_same_on_every_instance(trace: str, share: float) -> None:
    here, there = sampling(share), sampling(share)
    begun = here.begin(trace, None, STRANGER, "GET /")
    assert here.covers(trace) is there.covers(trace) is (begun is not None)


@given(ids, shares, shares)
def test_what_is_recorded_stays_recorded_with_a_greater_share(trace: str, one: float, other: float) -> None:
    small, great = sorted((one, other))
    assert sampling(great).covers(trace) or not sampling(small).covers(trace)


@given(ids)
def test_all_or_nothing_is_recorded_at_the_ends(trace: str) -> None:
    assert sampling(1).covers(trace)
    assert not sampling(0).covers(trace)


@given(st.integers(1, 2**32 - 1), st.integers(0, 2**96 - 1))
def test_threshold_is_the_first_id_that_is_not_recorded(threshold: int, rest: int) -> None:
    chosen = sampling(threshold / 2**32)
    assert chosen.covers(f"{rest:024x}{threshold - 1:08x}")
    assert not chosen.covers(f"{rest:024x}{threshold:08x}")


@pytest.mark.parametrize("share", [0.001, 0.01, 0.5])
def test_share_of_all_ids_is_recorded(share: float) -> None:
    assert threshold_of(share) / 2**32 == pytest.approx(share, rel=1e-4)
    spread = [f"{n * 2**32 // 10_000:032x}" for n in range(10_000)]
    assert sum(map(sampling(share).covers, spread)) == pytest.approx(10_000 * share, abs=1)


@given(ids, st.booleans())
def test_flag_of_our_proxy_decides_and_its_span_is_the_parent(trace: str, sampled: bool) -> None:
    span = sampling(0).begin(trace, asked(trace, sampled=sampled), PROXY, "GET /")
    assert (span is not None) is sampled
    if span is not None:
        assert span.parent == f"{trace}-{PARENT}"
        assert (trace_id(span.trace), is_recorded(span.trace)) == (trace, True)


@pytest.mark.parametrize("trace", [HIGH, LOW])
@pytest.mark.parametrize("sampled", [True, False])
@pytest.mark.parametrize("peer", [STRANGER, None, "", "not an address", "203.0.113.9%eth0"])
def test_stranger_can_choose_neither_to_be_recorded_nor_not_to_be(
    trace: str, sampled: bool, peer: str | None
) -> None:
    given = asked(trace, sampled=sampled)
    assert sampling(0.5, fresh=HIGH).begin(trace, given, peer, "GET /") is None
    span = sampling(0.5, fresh=LOW).begin(trace, given, peer, "GET /")
    assert span is not None
    assert span.parent == trace, "a stranger's span is no parent"


def test_span_of_a_failure_covers_the_time_that_it_took() -> None:
    tracer = ListTracer()
    late = sampling(0, tracer).late(HIGH, asked(HIGH, sampled=False), PROXY, "POST /x", 2.0)
    assert late is not None
    late.end("internal")
    [span] = tracer.spans
    assert span.ended_ns - span.began_ns >= 2e9
    assert (span.failed, span.parent) == ("internal", f"{HIGH}-{PARENT}")


def test_failures_of_an_outage_have_a_bounded_number_of_spans(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [100.0]
    monkeypatch.setattr("api.tracing.sampling.time.perf_counter", lambda: now[0])
    chosen = sampling(0)
    begun = [chosen.late(HIGH, None, STRANGER, "POST /x", 0.1) for _ in range(LATE_MAX + 5)]
    assert sum(span is not None for span in begun) == LATE_MAX
    now[0] += 1.0
    assert chosen.late(HIGH, None, STRANGER, "POST /x", 0.1) is not None


@given(ids, st.integers(1, 2**64 - 1).map(lambda n: f"{n:016x}"), st.integers(0, 255))
def test_traceparent_is_read_as_it_was_written(trace: str, span: str, flags: int) -> None:
    assert read_traceparent(f"00-{trace}-{span}-{flags:02x}") == Traceparent(trace, span, flags % 2 == 1)


@given(st.text())
def test_any_other_header_is_no_traceparent(text: str) -> None:
    assert read_traceparent(text) is None


def test_tracer_that_is_off_hands_the_context_on() -> None:
    context = f"{HIGH}-{PARENT}"
    span: Span = NO_TRACER.begin(ListTracer.SERVICE, "x", context)
    assert span.trace == context
    span.end()
