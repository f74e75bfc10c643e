"""The story of a trace id: log lines of it, and the order of time."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import orjson
import pytest

from api.operator.trace import table
from dispatch.trace_story import StoryEntry, in_order, log_entries

TRACE, OTHER = "a" * 32, "b" * 32
LINE = {"ts": "2026-11-30T12:00:01.5Z", "level": "info", "event": "answered_request", "instance": "mall-1"}


def entry(second: int, what: str, place: str = "mall-1", **facts: object) -> StoryEntry:
    return StoryEntry(datetime(2026, 11, 30, 12, 0, second, tzinfo=UTC), "log", place, what, facts)


def test_line_of_the_trace_is_told_with_its_instance_and_details() -> None:
    line = orjson.dumps({**LINE, "trace_id": TRACE, "order_id": "ord_1", "reason": None})
    [told] = log_entries([line], TRACE)
    assert told.shown() == {
        "at": "2026-11-30T12:00:01.500Z",
        "step": "edge",
        "where": "mall-1",
        "what": "answered_request",
        "facts": {"order_id": "ord_1"},
    }


def test_request_is_told_when_it_came_and_when_it_was_answered() -> None:
    said = {"trace_id": TRACE, "duration_s": 0.25, "method": "POST", "route": "/orders", "status": 201}
    came, answered = log_entries([orjson.dumps({**LINE, **said})], TRACE)
    assert (came.step, came.what, came.facts) == (
        "edge",
        "got_request",
        {"method": "POST", "route": "/orders"},
    )
    assert (answered.what, (answered.at - came.at).total_seconds()) == ("answered_request", 0.25)


@pytest.mark.parametrize(
    ("event", "facts", "step"),
    [
        ("answered_command", {"command": "accept", "duration_s": "soon"}, "edge"),
        ("changed_order", {"order_id": "ord_1"}, "owner"),
        ("ended_job", {"job_id": 7}, "job"),
        ("sent_notice", {"job_id": 7, "channel": "sms"}, "sms"),
        ("crashed_turn", {}, "log"),
    ],
)
def test_line_says_which_step_it_is(event: str, facts: dict[str, object], step: str) -> None:
    [told] = log_entries([orjson.dumps({**LINE, "event": event, "trace_id": TRACE, **facts})], TRACE)
    assert told.step == step
    assert told.facts.get("job_id") in (None, "job_7")


@pytest.mark.parametrize(
    "line",
    [
        orjson.dumps({**LINE, "trace_id": OTHER, "said": TRACE}),
        orjson.dumps({**LINE, "said": TRACE}),
        orjson.dumps({**LINE, "trace_id": TRACE, "ts": "noon"}),
        orjson.dumps({**LINE, "trace_id": TRACE, "ts": "2026-11-30T12:00:01"}),
        orjson.dumps({**LINE, "trace_id": TRACE, "ts": None}),
        orjson.dumps([TRACE]),
        TRACE.encode(),
        f'{{"trace_id": "{TRACE}", "ts"'.encode(),
        b"",
    ],
)
def test_other_lines_are_passed_over(line: bytes) -> None:
    assert list(log_entries([line], TRACE)) == []


def test_entries_of_one_time_keep_their_order() -> None:
    stored = [entry(1, "created", "order_events"), entry(3, "done", "job_runs")]
    lines = [entry(1, "answered_request"), entry(2, "ended_job")]
    assert [one.what for one in in_order(stored, lines)] == [
        "created",
        "answered_request",
        "ended_job",
        "done",
    ]


def test_request_comes_before_what_it_caused_though_its_clock_is_a_little_behind() -> None:
    stored = [entry(1, "created", "order_events")]
    behind = replace(entry(1, "got_request"), at=stored[0].at + timedelta(milliseconds=3))
    told = in_order(stored, [behind, entry(2, "answered_request")])
    assert [one.what for one in told] == ["got_request", "created", "answered_request"]
    assert told[0].at == told[1].at
    # A second request of the trace comes when it comes.
    told = in_order(stored, [entry(2, "got_request")])
    assert [one.what for one in told] == ["created", "got_request"]


def test_table_has_columns_and_one_line_for_each_entry() -> None:
    rows = table(
        [entry(1, "created", "order_events", order_id="ord_1"), entry(2, "x", reason="a b\nc", left=2)]
    )
    assert rows == [
        "2026-11-30T12:00:01.000Z  log  order_events  created  order_id=ord_1",
        '2026-11-30T12:00:02.000Z  log  mall-1        x        reason="a b\\nc" left=2',
    ]
    assert table([]) == []
