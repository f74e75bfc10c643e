"""A zone with an offer ladder of its own: who is asked, how many, for how long, and what comes next."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from actors.behaviour import Done
from dispatch import feed_frames
from dispatch import messages as m
from dispatch.domain.commands import Assign, GiveUp, MakeOffers, SetMode, TellUnclaimed
from dispatch.domain.geo import Place
from dispatch.domain.order import Order
from dispatch.zone_expiry import PROPOSED_MS
from tests.unit.dispatch.test_order_decisions import NOW
from tests.unit.dispatch.test_zone_planning import NEAR, PlannedZone, waiting

FAR = Place(1.05, 2.0)
PLANNED: dict[str, Any] = {"mode": "planned", "offer_s": 15, "reach_m": 2000, "times": 1}
NEAREST: dict[str, Any] = {"mode": "nearest", "drivers": 2, "offer_s": 40, "reach_m": 9000, "times": 2}
DIRECT: dict[str, Any] = {"mode": "direct", "times": 1}
BOARD: dict[str, Any] = {"mode": "board"}


def zone_of(*rungs: dict[str, Any], **settings: Any) -> PlannedZone:
    return PlannedZone(ladder=list(rungs), **settings)


def on(wave: int, number: int = 5, **changes: Any) -> Order:
    """An order that was offered so many times, without success."""
    return waiting(number, wave=wave, version=2 + wave, **changes)


def made(done: Done) -> list[tuple[int, tuple[int, ...], int, int]]:
    """Offers: order, drivers, how long, rung."""
    return [
        (t.to.number, t.message.driver_ids, t.message.ttl_ms // 1000, t.message.reasons["rung"]["number"])
        for t in done.tells
        if isinstance(t.message, MakeOffers)
    ]


def messages(done: Done, kind: type) -> list[Any]:
    return [t.message for t in done.tells if isinstance(t.message, kind)]


def test_each_rung_says_how_many_are_asked_and_for_how_long() -> None:
    zone = zone_of(PLANNED, NEAREST)
    for number in (7, 8, 9):
        zone.online(number)
    [(order, asked, lasts_s, rung)] = made(zone.say(m.OrderChanged(on(0))))
    assert (order, len(asked), lasts_s, rung) == (5, 1, 15, 1)
    [(_, asked, lasts_s, rung)] = made(zone.say(m.OrderChanged(on(1, tried=asked))))
    assert (len(asked), lasts_s, rung) == (2, 40, 2)


def test_driver_beyond_the_reach_of_a_rung_is_asked_by_the_next_one() -> None:
    zone = zone_of(PLANNED, NEAREST)
    zone.online(7, FAR)
    assert made(zone.say(m.OrderChanged(on(0)))) == []
    assert made(zone.say(m.OrderChanged(on(1)))) == [(5, (7,), 40, 2)]


def test_orders_on_different_rungs_are_offered_beside_each_other() -> None:
    zone = zone_of(NEAREST | {"drivers": 1, "times": 1}, NEAREST | {"offer_s": 7, "times": None})
    zone.say(m.OrderChanged(on(0, 5)))
    zone.say(m.OrderChanged(on(1, 6)))
    found = [offer for number in (7, 8) for offer in made(zone.online(number, capacity=1))]
    found += made(zone.beat())
    assert sorted((order, len(asked), lasts_s, rung) for order, asked, lasts_s, rung in found) == [
        (5, 1, 40, 1),
        (6, 1, 7, 2),
    ]
    assert len({driver for _, asked, _, _ in found for driver in asked}) == 2


def test_direct_rung_assigns_what_nobody_took_before() -> None:
    zone = zone_of(PLANNED, DIRECT, NEAREST)
    zone.online(7)
    done = zone.say(m.OrderChanged(on(1)))
    [message] = messages(done, Assign)
    assert (message.driver_id, message.reasons["rung"]) == (7, {"number": 2, "mode": "direct"})
    assert made(done) == []


def test_order_that_no_plan_places_is_offered_by_the_next_rung_after_its_time() -> None:
    zone = zone_of(PLANNED | {"unplanned_s": 4}, NEAREST)
    zone.online(7, shift_ends_ms=NOW - 1)
    assert made(zone.say(m.OrderChanged(on(0, since_ms=zone.now)))) == []
    assert made(zone.beat(3000)) == []
    assert made(zone.beat(1000)) == [(5, (7,), 40, 2)]


def test_where_no_rung_makes_other_offers_the_planner_goes_on_alone() -> None:
    zone = zone_of(PLANNED | {"times": None})
    zone.online(7, shift_ends_ms=NOW - 1)
    zone.say(m.OrderChanged(on(0, since_ms=zone.now)))
    assert made(zone.beat(60_000)) == []
    assert made(zone.online(8, NEAR)) == [(5, (8,), 15, 1)]


def test_order_at_the_end_of_the_ladder_tells_the_operators_once_and_is_offered_no_more() -> None:
    zone = zone_of(PLANNED, NEAREST)
    zone.state.give_up = GiveUp(3_600_000)
    zone.online(7)
    ended = on(3, tried=(7,))
    done = zone.say(m.OrderChanged(ended))
    assert made(done) == []
    assert messages(done, TellUnclaimed) == [TellUnclaimed(1, ended.looking_since_ms + 3_600_000)]
    assert messages(zone.beat(), TellUnclaimed) == []
    assert len(messages(zone.beat(PROPOSED_MS), TellUnclaimed)) == 1
    zone.say(m.OrderChanged(replace(ended, version=9, warned_ms=zone.now)))
    assert messages(zone.beat(60_000), TellUnclaimed) == []
    assert made(zone.beat()) == []


def test_ladder_that_repeats_its_last_rung_never_ends() -> None:
    zone = zone_of(PLANNED, NEAREST | {"times": None})
    zone.online(7)
    assert made(zone.say(m.OrderChanged(on(90, tried=())))) == [(5, (7,), 40, 2)]


def board_frames(done: Done) -> list[Any]:
    return [emit.made() for emit in done.emits if emit.to == feed_frames.board_topic(1)]


def test_order_that_nobody_took_comes_on_the_board_where_all_drivers_see_it() -> None:
    zone = zone_of(PLANNED, BOARD)
    zone.online(7)
    done = zone.say(m.OrderChanged(on(1, tried=(7,))))
    assert messages(done, SetMode) == [SetMode("open")]
    shown = on(0, mode="open")
    zone.say(m.OrderChanged(replace(shown, version=8)))
    zone.say(m.OrderChanged(on(0, 6, ready_ms=NOW + 9_000_000)))
    done = zone.beat()
    assert messages(done, SetMode) == []
    assert made(done) == []
    [frame] = board_frames(done)
    assert [entry["order_id"] for entry in frame["data"]["orders"]] == ["ord_5"]
    assert frame["data"]["total"] == 1
    zone.say(m.OrderChanged(replace(shown, version=9, status="assigned", driver_id=7)))
    [frame] = board_frames(zone.beat())
    assert frame["data"]["orders"] == []


def test_orders_leave_the_board_when_the_ladder_loses_it() -> None:
    zone = zone_of(PLANNED, BOARD)
    zone.say(m.OrderChanged(on(0, mode="open")))
    row = zone.row | {"planning": zone.row["planning"] | {"ladder": None}}
    done = zone.behaviour._reconfigure(zone.state, [row], zone.turn())
    assert messages(done, SetMode) == [SetMode("waves")]
    [frame] = board_frames(done)
    assert frame["data"]["orders"] == []


@pytest.mark.parametrize("plan", ["planned", "direct"])
def test_zone_without_a_ladder_says_which_rung_of_the_usual_one_it_is(plan: str) -> None:
    zone = PlannedZone(plan)
    zone.online(7)
    [tell] = [t for t in zone.say(m.OrderChanged(on(0))).tells if isinstance(t.message, MakeOffers | Assign)]
    assert isinstance(tell.message, MakeOffers | Assign)
    assert tell.message.reasons["rung"] == {"number": 1, "mode": plan}
    [(_, _, _, rung)] = made(zone.say(m.OrderChanged(on(2))))
    assert rung == 2
