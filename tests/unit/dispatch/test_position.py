"""Worth of places: demand within reach, shared with others who reach it."""

from __future__ import annotations

import pytest

from dispatch.domain.planning import DemandPoint, PlanState, Spot, plan
from dispatch.domain.planning.legs import Legs
from dispatch.domain.planning.position import PositionWorth
from dispatch.domain.planning.values import PlanDriver
from tests.unit.dispatch.planning_worlds import NOW_S, SETTINGS, driver, order

DEMAND = (DemandPoint(Spot(0, 0), 3.0), DemandPoint(Spot(20_000, 0), 1.0))


def worth(at: tuple[float, float], *drivers: PlanDriver) -> float:
    legs = Legs(SETTINGS.travel.seconds)
    return PositionWorth(DEMAND, drivers, NOW_S, legs, SETTINGS)[legs.number(Spot(*at))]


def test_place_is_worth_more_where_more_orders_come_from() -> None:
    assert worth((0, 0)) > worth((20_000, 0)) > worth((10_000, 10_000)) > 0


def test_drivers_who_are_near_share_it() -> None:
    one, two = driver(1, (0, 0)), driver(2, (0, 0))
    assert worth((0, 0)) > worth((0, 0), one) > worth((0, 0), one, two)


def test_driver_who_is_far_away_busy_or_about_to_leave_does_not() -> None:
    away, busy = driver(1, (0, 40_000)), driver(2, (0, 0), free_s=NOW_S + 3600)
    leaving = driver(3, (0, 0), shift_end_s=NOW_S + 60)
    assert worth((0, 0), away, busy, leaving) == pytest.approx(worth((0, 0)), rel=0.02)


def test_without_demand_no_place_is_worth_anything() -> None:
    legs = Legs(SETTINGS.travel.seconds)
    assert PositionWorth((), (), NOW_S, legs, SETTINGS)[legs.number(Spot(0, 0))] == 0.0


def test_driver_in_the_wrong_place_takes_the_order_that_leads_out_of_town() -> None:
    """Both are as near; one stands where orders come from and keeps its place."""
    orders = (order(1, (3000, 0), (3000, 3000), ready_s=NOW_S),)
    drivers = (driver(1, (0, 0)), driver(2, (6000, 0)))
    state = PlanState(orders, drivers, demand=(DemandPoint(Spot(0, 0), 1.0),))
    assert [each.driver_id for each in plan(state, NOW_S, 1, SETTINGS).proposals] == [2]


def test_demand_over_a_whole_country_makes_no_grid_that_is_too_large() -> None:
    legs = Legs(SETTINGS.travel.seconds)
    demand = (DemandPoint(Spot(0, 0), 1.0), DemandPoint(Spot(9e6, 9e6), 1.0))
    lost = driver(1, (-9e9, 9e9))
    found = PositionWorth(demand, (lost,), NOW_S, legs, SETTINGS)
    assert found[legs.number(Spot(0, 0))] > found[legs.number(Spot(4e6, 4e6))]
