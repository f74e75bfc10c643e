"""What a zone predicts of orders under way, and what it does about promises that would break."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from actors.behaviour import Done
from actors.messages import QueryAnswer
from dispatch import messages as m
from dispatch.domain.commands import MakeOffers, Reassign, Release, SetEta
from dispatch.domain.geo import Place
from dispatch.domain.order import Eta, Order
from dispatch.plan_steps import step
from dispatch.zone_actor import REBUILD_MS
from dispatch.zone_predictions import ETA_MOVED_S, predicted
from tests.unit.dispatch.test_order_decisions import NOW
from tests.unit.dispatch.test_zone_planning import NEAR, PlannedZone, carried

FAR = Place(1.2, 2.0)


def promised(at_ms: int, eta: Eta | None = None, **changes: Any) -> Order:
    """An order that driver 7 has and that is promised at the door by then."""
    made = carried(eta=eta, **changes)
    return replace(made, facts=replace(made.facts, promised_ms=at_ms, expected_ms=at_ms))


def told(done: Done, kind: type) -> list[Any]:
    return [(t.to.number, t.message) for t in done.tells if isinstance(t.message, kind)]


def zone_with_late_driver(mode: str = "planned") -> tuple[PlannedZone, Order]:
    """Driver 7 is 22 km away; its order is promised within ten minutes."""
    zone = PlannedZone(mode)
    zone.online(7, FAR)
    order = promised(NOW + 600_000, Eta(NOW + 4_000_000, NOW + 4_300_000))
    zone.say(m.OrderChanged(order))
    return zone, order


def test_times_of_an_order_follow_from_the_way_of_its_driver() -> None:
    zone = PlannedZone()
    zone.online(7)
    zone.say(m.OrderChanged(carried()))
    pickup_s, door_s = predicted(zone.plan, 7, [zone.plan.carried[5]], zone.now).doors[5]
    assert door_s - pickup_s == pytest.approx(30 + 1112 / 5 + 30, abs=1)


def test_order_is_told_when_its_time_at_the_door_has_moved_clearly() -> None:
    zone = PlannedZone()
    zone.online(7)
    order = promised(NOW + 9_000_000)
    zone.say(m.OrderChanged(order))
    pickup_s, door_s = predicted(zone.plan, 7, [order], zone.now).doors[5]
    eta = Eta(round(pickup_s * 1000), round(door_s * 1000))
    zone.say(m.OrderChanged(replace(order, version=5, eta=eta)))
    assert told(zone.beat(REBUILD_MS), SetEta) == []
    # The driver is not heard of, and should have been at the store long since.
    stands_ms = eta.pickup_ms - zone.now + round(1000 * ETA_MOVED_S)
    [(number, message)] = told(zone.beat(stands_ms), SetEta)
    assert (number, message.eta.pickup_ms) == (5, zone.now)
    assert message.eta.door_ms - eta.door_ms == pytest.approx(zone.now - eta.pickup_ms, abs=2)


def test_goods_on_their_way_back_have_no_time_at_the_door() -> None:
    zone = PlannedZone()
    zone.online(7)
    zone.say(m.OrderChanged(promised(NOW, Eta(NOW, NOW), status="picked_up", returning_ms=NOW)))
    assert told(zone.beat(REBUILD_MS), SetEta) == []


def test_order_whose_promise_would_break_is_released_for_a_driver_who_keeps_it() -> None:
    zone, _ = zone_with_late_driver()
    assert told(zone.beat(), Release) == []
    [(number, message)] = told(zone.online(8, NEAR), Release)
    assert (number, message.by.role, message.reason) == (5, "dispatch", "promise_at_risk")
    assert told(zone.beat(), MakeOffers) == []


def test_zone_that_assigns_gives_the_order_to_the_other_driver_at_once() -> None:
    zone, _ = zone_with_late_driver("direct")
    [(number, message)] = told(zone.online(8, NEAR), Reassign)
    assert (number, message.driver_id, message.reason) == (5, 8, "promise_at_risk")


def test_order_that_keeps_its_promise_stays_with_its_driver() -> None:
    zone = PlannedZone()
    zone.online(7, FAR)
    zone.say(m.OrderChanged(promised(NOW + 9_000_000, Eta(NOW + 4_000_000, NOW + 4_300_000))))
    assert told(zone.online(8, NEAR), Release) == []


@pytest.mark.parametrize("changes", [{"status": "picked_up"}, {"released": ((9, NOW),)}])
def test_order_that_is_picked_up_or_was_moved_once_stays_with_its_driver(changes: dict[str, Any]) -> None:
    zone = PlannedZone()
    zone.online(7, FAR)
    late = Eta(NOW + 4_000_000, NOW + 4_300_000)
    zone.say(m.OrderChanged(promised(NOW + 600_000, late, **changes)))
    assert told(zone.online(8, NEAR), Release) == []


def test_driver_who_is_as_late_gets_nothing() -> None:
    zone, _ = zone_with_late_driver()
    assert told(zone.online(8, FAR), Release) == []


def test_order_that_was_picked_up_while_the_step_ran_is_not_taken_away() -> None:
    zone, order = zone_with_late_driver()
    zone.answers = False
    zone.online(8, NEAR)
    zone.say(m.OrderChanged(replace(order, status="picked_up", version=5)))
    query = zone.asked[-1]
    assert query.params[0].assigned != ()
    zone.answers = True
    done = zone.say(QueryAnswer(query, step(*query.params)))
    assert told(done, Release) == []
