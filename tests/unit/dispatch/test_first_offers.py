"""Waits for first offers: each order once, and only for as long as somebody could have been asked."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from actors.messages import Query, QueryAnswer, Turn, Wake
from dispatch import messages as m
from dispatch.domain.order import Order
from dispatch.domain.planning import PlannedRoute, PlanResult
from dispatch.first_offers import FirstOffers
from dispatch.zone_actor import TICK, ZoneBehaviour
from dispatch.zone_planning import STEP
from tests.unit.dispatch.test_order_decisions import NOW, order
from tests.unit.dispatch.test_zone_actor import ZONE, driver


class Zone:
    """A zone that writes down each wait."""

    def __init__(self, **settings: Any) -> None:
        self.waits_s: list[float] = []
        self._behaviour = ZoneBehaviour(self.waits_s.append)
        self.state = self._behaviour.restore(1, ZONE | settings, None)
        self._now = NOW
        self._behaviour.activated(self.state, Turn(NOW, "t"))

    def hear(self, message: object, after_ms: int) -> None:
        self._now += after_ms
        self._behaviour.decide(self.state, message, Turn(self._now, "t"))


def waiting(**changes: Any) -> Order:
    return replace(order(version=1, updated_ms=NOW), since_ms=NOW, **changes)


def offered() -> Order:
    return order(version=2, offer_count=1)


def test_wait_lasts_from_the_order_to_the_commit_of_its_offer() -> None:
    zone = Zone()
    zone.hear(driver(7), 0)
    zone.hear(m.OrderChanged(waiting()), 100)
    assert zone.waits_s == []
    zone.hear(m.OrderChanged(offered()), 150)
    assert zone.waits_s == [0.25]


def test_second_offer_is_not_counted() -> None:
    zone = Zone()
    zone.hear(driver(7), 0)
    zone.hear(m.OrderChanged(waiting()), 100)
    zone.hear(m.OrderChanged(offered()), 150)
    zone.hear(m.OrderChanged(order(version=3, offer_count=2)), 5000)
    assert len(zone.waits_s) == 1


def test_order_without_a_driver_waits_for_nobody() -> None:
    zone = Zone()
    zone.hear(m.OrderChanged(waiting()), 100)
    zone.hear(Wake(TICK), 60_000)
    zone.hear(driver(7), 10)
    zone.hear(m.OrderChanged(offered()), 40)
    assert zone.waits_s == [0.05]


def test_order_that_all_drivers_are_too_busy_for_waits_for_nobody() -> None:
    zone = Zone()
    zone.hear(driver(7), 0)
    zone.hear(m.OrderChanged(waiting()), 10)
    other = replace(waiting(), facts=replace(waiting().facts, id=6))
    zone.hear(m.OrderChanged(other), 10)
    zone.hear(Wake(TICK), 1000)
    zone.hear(m.OrderChanged(replace(offered(), facts=other.facts)), 200)
    assert zone.waits_s == [0.2]


def test_order_that_is_cancelled_before_its_offer_is_not_counted() -> None:
    zone = Zone()
    zone.hear(driver(7), 0)
    zone.hear(m.OrderChanged(waiting()), 100)
    zone.hear(m.OrderChanged(order("cancelled", version=2)), 5000)
    assert zone.waits_s == []
    assert len(zone.state.unasked) == 0


def test_place_in_a_plan_ends_the_wait_where_trips_are_planned() -> None:
    zone = Zone(plan="planned", planning={})
    zone.hear(driver(7), 0)
    zone.hear(m.OrderChanged(waiting()), 100)
    result = PlanResult((), (PlannedRoute(7, ((5,),)),), (), 0.0, 0)
    zone.hear(QueryAnswer(Query(STEP, (), tag=STEP), result), 300)
    assert zone.waits_s == [0.4]
    zone.hear(m.OrderChanged(offered()), 60_000)
    assert zone.waits_s == [0.4]


def test_order_that_no_plan_can_place_waits_for_nobody() -> None:
    zone = Zone(plan="planned", planning={})
    zone.hear(driver(7), 0)
    zone.hear(m.OrderChanged(waiting()), 100)
    answer = Query(STEP, (), tag=STEP)
    zone.hear(QueryAnswer(answer, PlanResult((), (), (5,), 0.0, 0)), 30_000)
    zone.hear(QueryAnswer(answer, PlanResult((), (PlannedRoute(7, ((5,),)),), (), 0.0, 0)), 400)
    assert zone.waits_s == [0.4]


def test_clock_that_is_set_back_makes_no_negative_wait() -> None:
    unasked = FirstOffers()
    unasked.opened(1, 1000)
    assert unasked.asked(1, 400) == 0.0
