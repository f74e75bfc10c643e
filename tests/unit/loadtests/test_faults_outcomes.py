"""How an answer is understood: what is unknown must never be taken for a failure."""

from __future__ import annotations

from typing import Any

import pytest

from loadtests.faults.crash import first_write
from loadtests.faults.feed_workload import results_of_frame
from loadtests.faults.history import NOT_PROCESSED, OK, REFUSED, UNKNOWN, UNPROMISED, Answer, Intent
from loadtests.faults.workload import result_of_response


@pytest.mark.parametrize(
    ("status", "body", "outcome"),
    [
        (201, {"id": "ord_5", "version": 1}, OK),
        (200, {"result": "won", "order_id": "ord_5", "version": 2}, OK),
        (409, {"code": "order_taken"}, REFUSED),
        (410, {"code": "offer_expired"}, REFUSED),
        (409, {"code": "request_in_flight"}, UNKNOWN),
        (429, {"code": "rate_limited"}, NOT_PROCESSED),
        (503, {"code": "unavailable", "not_processed": True}, NOT_PROCESSED),
        (503, {"code": "unavailable"}, UNKNOWN),
        (500, {"code": "internal"}, UNKNOWN),
        (504, {"code": "outcome_unknown"}, UNKNOWN),
    ],
)
def test_http_answer_is_one_of_four_outcomes(status: int, body: dict[str, Any], outcome: str) -> None:
    assert result_of_response(status, body).outcome == outcome


def test_503_without_its_promise_is_remembered_as_such() -> None:
    assert result_of_response(503, {"code": "unavailable"}).code == UNPROMISED


@pytest.mark.parametrize(
    ("frame", "outcome"),
    [
        ({"t": "reply", "ok": True, "result": "delivered", "version": 4}, OK),
        ({"t": "reply", "ok": False, "result": "invalid_transition", "version": 4}, REFUSED),
        ({"t": "error", "code": "order_not_found", "temporary": False}, REFUSED),
        ({"t": "error", "code": "unavailable", "temporary": True, "not_processed": True}, NOT_PROCESSED),
        ({"t": "error", "code": "rate_limited", "temporary": True}, NOT_PROCESSED),
        ({"t": "error", "code": "outcome_unknown", "temporary": True}, UNKNOWN),
        ({"t": "error", "code": "internal", "temporary": True}, UNKNOWN),
    ],
)
def test_frame_is_one_of_four_outcomes(frame: dict[str, Any], outcome: str) -> None:
    assert [heard.outcome for heard in results_of_frame(frame, [5])] == [outcome]


def test_every_order_of_a_frame_has_its_own_outcome() -> None:
    results = [{"result": "won", "version": 2}, {"result": "order_taken", "version": 7}]
    heard = results_of_frame({"t": "reply", "ok": True, "results": results}, [5, 6])
    assert [(h.outcome, h.order, h.version) for h in heard] == [(OK, 5, 2), (REFUSED, 6, 7)]


@pytest.mark.parametrize(
    ("before", "found"),
    [((), 12.0), ((NOT_PROCESSED,), 12.0), ((UNKNOWN,), None)],
    ids=["first", "503", "doubt"],
)
def test_only_an_answer_that_cannot_be_a_replay_shows_that_writing_works_again(
    before: tuple[str, ...], found: float | None
) -> None:
    answers = [Answer(outcome, "", 10.0, 10.5) for outcome in before]
    answers.append(Answer(OK, "won", 11.0, 12.0, 1, 2))
    assert first_write([Intent("accept", "drv_1", "key", 1, answers)], 10.9) == found


def test_an_answer_that_was_under_way_before_the_fault_does_not_show_it_either() -> None:
    answers = [Answer(OK, "won", 11.0, 12.0, 1, 2)]
    assert first_write([Intent("accept", "drv_1", "key", 1, answers)], 11.5) is None
