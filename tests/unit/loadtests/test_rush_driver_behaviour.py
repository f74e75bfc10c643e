"""A driver's shift: what follows from offers, boards, replies and entries, and when."""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import Any

import pytest

from loadtests.rush.driver_behaviour import PROMISE_S, DriverAgenda, Job
from loadtests.rush.think_times import ThinkTimes

HABITS = ThinkTimes(react_s=(2.0, 3.0), fetch_s=(4.0, 5.0), carry_s=(6.0, 7.0), decline=0.0)
FAR_S = 1000.0


def event(kind: str, order: str, **data: Any) -> dict[str, Any]:
    return {"type": kind, "data": {"order_id": order, **data}}


def offer(order: str) -> dict[str, Any]:
    return event("offer", order, offer_id=f"ofr_{order}")


@pytest.fixture
def agenda() -> DriverAgenda:
    return DriverAgenda(HABITS, 2, random.Random(1))


def jobs(agenda: DriverAgenda, now_s: float = FAR_S) -> Iterator[Job]:
    while (job := agenda.due(now_s)) is not None:
        yield job


def test_offer_is_accepted_after_a_human_while(agenda: DriverAgenda) -> None:
    agenda.entry(offer("a"), 0.0)
    assert agenda.due(1.9) is None
    job = agenda.due(3.0)
    assert job is not None
    assert job.frame() == {"t": "offer.accept", "key": job.key, "orders": ["a"], "offer_id": "ofr_a"}


def test_driver_who_dislikes_everything_declines(agenda: DriverAgenda) -> None:
    agenda.think_times = ThinkTimes(decline=1.0)
    agenda.entry(offer("a"), 0.0)
    assert [job.t for job in jobs(agenda)] == ["offer.decline"]


def test_no_more_offers_are_answered_than_there_is_room(agenda: DriverAgenda) -> None:
    for order in "abc":
        agenda.entry(offer(order), 0.0)
    assert sorted(job.order_id for job in jobs(agenda)) == ["a", "b"]


def test_order_is_fetched_and_carried_when_the_entries_say_so(agenda: DriverAgenda) -> None:
    agenda.entry(event("order.assigned", "a"), 0.0)
    assert agenda.due(3.9) is None
    assert [job.t for job in jobs(agenda, 5.0)] == ["order.pickup"]
    agenda.entry(event("order.picked_up", "a"), 5.0)
    assert [job.frame()["order_id"] for job in jobs(agenda, 12.0)] == ["a"]
    agenda.entry(event("order.delivered", "a"), 12.0)
    assert agenda.room == 2


def test_cancelled_order_is_dropped(agenda: DriverAgenda) -> None:
    agenda.entry(event("order.assigned", "a"), 0.0)
    agenda.entry(event("order.cancelled", "a"), 1.0)
    assert list(jobs(agenda)) == []
    assert agenda.room == 2


def test_revoked_offer_is_not_answered_but_a_held_order_is_kept(agenda: DriverAgenda) -> None:
    agenda.entry(offer("a"), 0.0)
    agenda.revoked("a")
    agenda.entry(event("order.assigned", "b"), 0.0)
    agenda.revoked("b")
    assert [(job.t, job.order_id) for job in jobs(agenda)] == [("order.pickup", "b")]


def test_board_is_answered_once_and_within_the_room(agenda: DriverAgenda) -> None:
    board = [{"order_id": order, "offer_id": f"rnd_{order}"} for order in "abcd"]
    agenda.board(board, 0.0)
    agenda.board(board, 0.1)
    assert len(list(jobs(agenda))) == 2


def test_snapshot_replaces_the_plan(agenda: DriverAgenda) -> None:
    agenda.entry(offer("old"), 0.0)
    orders = [{"order_id": "a", "status": "assigned"}, {"order_id": "b", "status": "picked_up"}]
    agenda.snapshot({"orders": orders, "offers": []}, 0.0)
    assert [(job.t, job.order_id) for job in jobs(agenda)] == [("order.pickup", "a"), ("order.delivery", "b")]


def test_unanswered_command_is_repeated_under_its_key(agenda: DriverAgenda) -> None:
    agenda.entry(offer("a"), 0.0)
    job = next(jobs(agenda))
    agenda.again(job, 10.0)
    assert list(jobs(agenda)) == [job]


@pytest.mark.parametrize(
    ("t", "result", "fine"),
    [
        ("offer.accept", "won", True),
        ("offer.accept", "order_taken", True),
        ("offer.accept", "order_not_found", False),
        ("offer.decline", "declined", True),
        ("order.pickup", "invalid_transition", True),
        ("order.delivery", "invalid", False),
    ],
)
def test_answers_by_others_doing_are_fine_and_others_are_not(
    agenda: DriverAgenda, t: str, result: str, fine: bool
) -> None:
    assert agenda.answered(Job(t, "a", "key"), result, 0.0) is fine


def test_entry_that_a_reply_promised_and_that_never_came_is_missing(agenda: DriverAgenda) -> None:
    agenda.answered(Job("offer.accept", "a", "key"), "won", 0.0)
    assert agenda.missing(PROMISE_S) == []
    assert agenda.missing(PROMISE_S + 0.1) == ["told of a by a reply, but no order.assigned came"]
    agenda.entry(event("order.assigned", "a"), 9.0)
    assert agenda.missing(FAR_S) == []


def test_entry_may_come_before_its_reply(agenda: DriverAgenda) -> None:
    agenda.entry(event("order.assigned", "a"), 0.0)
    agenda.answered(Job("offer.accept", "a", "key"), "won", 0.0)
    assert agenda.missing(FAR_S) == []
