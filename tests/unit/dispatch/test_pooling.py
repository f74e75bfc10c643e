"""The planner that pools: who rides with whom, who waits, and what never happens for the sake of a partner."""

from __future__ import annotations

from dataclasses import replace
from random import Random

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from dispatch.domain.planning import (
    PlanResult,
    PlanState,
    PoolSettings,
    RecentDoors,
    SiteDemand,
    Spot,
    plan_pooled,
    sites_of,
)
from dispatch.domain.planning.pooling import Prospects
from tests.unit.dispatch.planning_worlds import NOW_S, SETTINGS
from tests.unit.dispatch.pooling_worlds import MALL, busy, idle, mall_order, mall_world, trip_faults

POOLING = PoolSettings()
WORLDS = st.builds(mall_world, st.integers(0, 100_000), st.integers(1, 25), st.integers(1, 8))
NORTH, SOUTH = (0.0, 3000.0), (0.0, -3000.0)


def pool(state: PlanState, pooling: PoolSettings = POOLING, now_s: float = NOW_S) -> PlanResult:
    return plan_pooled(state, now_s, 1, SETTINGS, pooling)


def trips(result: PlanResult) -> list[tuple[int, ...]]:
    return sorted(tuple(sorted(proposal.order_ids)) for proposal in result.proposals)


# -- what always holds ------------------------------------------------------------------------------------


@hypothesis_settings(max_examples=150, deadline=None)
@given(WORLDS, st.sampled_from((0.0, 120.0, 300.0, 1200.0)))
def test_partner_breaks_no_promise_and_no_limit(state: PlanState, wait_max_s: float) -> None:
    pooling = PoolSettings(wait_max_s)
    for proposal in pool(state, pooling).proposals:
        assert trip_faults(proposal, state, pooling) == []


@hypothesis_settings(max_examples=60, deadline=None)
@given(WORLDS)
def test_detour_cap_holds_when_it_is_tight(state: PlanState) -> None:
    settings = replace(SETTINGS, detour_max_s=60.0)
    for proposal in plan_pooled(state, NOW_S, 1, settings, POOLING).proposals:
        assert trip_faults(proposal, state, POOLING, settings) == []


@hypothesis_settings(max_examples=60, deadline=None)
@given(WORLDS)
def test_each_order_is_in_one_trip_or_waits(state: PlanState) -> None:
    result = pool(state)
    routed = [number for route in result.routes for trip in route.trips for number in trip]
    proposed = [number for proposal in result.proposals for number in proposal.order_ids]
    assert len(set(routed)) == len(routed)
    assert set(proposed) <= set(routed)
    assert sorted((*routed, *result.unplanned)) == [order.id for order in state.orders]


@hypothesis_settings(max_examples=40, deadline=None)
@given(WORLDS, st.integers(0, 1000))
def test_same_mall_gives_the_same_trips_in_whatever_sequence_it_is_told(state: PlanState, seed: int) -> None:
    orders, drivers = list(state.orders), list(state.drivers)
    Random(seed).shuffle(orders)
    Random(seed).shuffle(drivers)
    turned = replace(state, orders=tuple(orders), drivers=tuple(drivers))
    assert pool(turned) == pool(state)


@hypothesis_settings(max_examples=60, deadline=None)
@given(WORLDS)
def test_nobody_waits_where_nothing_is_known_to_come(state: PlanState) -> None:
    """Each order that is ready leaves, if a driver is there for it."""
    ready = tuple(replace(each, declined_by=frozenset()) for each in state.orders if each.ready_s <= NOW_S)
    drivers = idle(len(ready), slots=4, capacity_units=12)
    result = pool(PlanState(ready, drivers))
    assert sorted(n for proposal in result.proposals for n in proposal.order_ids) == sorted(
        order.id for order in ready
    )


# -- who rides with whom ----------------------------------------------------------------------------------


def test_neighbours_ride_together_and_opposite_ways_do_not() -> None:
    orders = (
        mall_order(1, NORTH),
        mall_order(2, SOUTH),
        mall_order(3, (100.0, 3000.0)),
        mall_order(4, (100.0, -3000.0)),
    )
    assert trips(pool(PlanState(orders, idle(4)))) == [(1, 3), (2, 4)]
    few = (mall_order(1, NORTH), mall_order(2, (2900.0, -800.0)))
    assert trips(pool(PlanState(few, idle(2)))) == [(1,), (2,)], "little is saved by a long detour"


def test_orders_of_two_stores_of_a_site_are_picked_up_one_after_the_other() -> None:
    orders = (mall_order(1, NORTH), mall_order(2, NORTH, store_id=2, pickup=Spot(50.0, 0.0)))
    [proposal] = pool(PlanState(orders, idle(1))).proposals
    assert [(stop.kind, stop.order_ids) for stop in proposal.trip.stops] == [
        ("pickup", (1,)), ("pickup", (2,)), ("dropoff", proposal.order_ids[:1]), ("dropoff", proposal.order_ids[1:]),
    ]  # fmt: skip


def test_partner_with_better_prospects_is_left_for_them() -> None:
    """Order 2 saves something with order 1, but orders that go where it goes come all the time."""
    orders = (mall_order(1, (3000.0, 600.0), ready_s=NOW_S - 250), mall_order(2, NORTH))
    assert trips(pool(PlanState(orders, idle(2)))) == [(1, 2)]
    # Nobody waits any longer, so that both are seen.
    at_once = replace(POOLING, wait_weight=1e9)
    assert trips(pool(PlanState(orders, idle(2), recent=(busy(NORTH),)), at_once)) == [(1,), (2,)]


def test_partner_who_is_not_ready_is_waited_for_as_long_as_it_pays() -> None:
    soon = (mall_order(1, NORTH), mall_order(2, NORTH, ready_s=NOW_S + 200))
    assert trips(pool(PlanState(soon, idle(2)))) == []
    assert trips(pool(PlanState(soon, idle(2)), now_s=NOW_S + 200)) == [(1, 2)]
    late = (soon[0], mall_order(2, NORTH, ready_s=NOW_S + POOLING.wait_max_s + 1))
    assert trips(pool(PlanState(late, idle(2)))) == [(1,)]


def test_partner_who_would_make_an_order_late_is_refused() -> None:
    # Alone: two minutes in the store, five on the way, two at the door.
    orders = (mall_order(1, NORTH), mall_order(2, (0.0, 2900.0)))
    alone_s = NOW_S + 2 * 120 + 300 + 120
    assert trips(pool(PlanState(orders, idle(2)))) == [(1, 2)]
    promised = (
        replace(orders[0], promise_s=alone_s + POOLING.margin_s),
        replace(orders[1], promise_s=alone_s - 10),
    )
    assert trips(pool(PlanState(promised, idle(2)))) == [(1,), (2,)]


# -- who waits --------------------------------------------------------------------------------------------


def test_order_waits_where_partners_come_often_and_leaves_at_the_limit() -> None:
    state = PlanState((mall_order(1, NORTH),), idle(1), recent=(busy(NORTH),))
    waiting = pool(state)
    assert trips(waiting) == []
    assert waiting.unplanned == ()
    # Two minutes of each pick-up are no waiting.
    limit_s = NOW_S + POOLING.wait_max_s
    assert trips(pool(state, now_s=limit_s - 130)) == []
    assert trips(pool(state, now_s=limit_s)) == [(1,)]


def test_nobody_waits_for_partners_while_an_order_waits_for_a_driver() -> None:
    orders = (mall_order(1, NORTH), mall_order(2, SOUTH))
    recent = (busy(NORTH),)
    assert trips(pool(PlanState(orders, idle(2), recent=recent))) == [(2,)]
    assert trips(pool(PlanState(orders, idle(1), recent=recent))) == [(1,)]


def test_trip_that_waits_keeps_its_driver_and_its_place_in_the_plan() -> None:
    near, far = idle(1)[0], replace(idle(2)[1], spot=Spot(2000.0, 0.0))
    orders = (mall_order(1, NORTH), mall_order(2, SOUTH, ready_s=NOW_S + 10))
    result = pool(PlanState(orders, (near, far), recent=(busy(NORTH),)))
    assert {route.driver_id: route.trips for route in result.routes} == {1: ((1,),), 2: ((2,),)}


def test_order_leaves_alone_where_partners_go_elsewhere_or_come_seldom() -> None:
    order = (mall_order(1, NORTH),)
    assert trips(pool(PlanState(order, idle(1), recent=(busy(SOUTH),)))) == [(1,)]
    assert trips(pool(PlanState(order, idle(1), recent=(busy(NORTH, 1, 3600.0),)))) == [(1,)]
    # They come often, but are ready too late.
    assert trips(pool(PlanState(order, idle(1), recent=(busy(NORTH, lead_s=900.0),)))) == [(1,)]


def test_order_is_no_partner_of_its_own() -> None:
    own = busy(NORTH, 1, 60.0)
    order = mall_order(own.doors[0].order_id, NORTH)
    assert trips(pool(PlanState((order,), idle(1), recent=(own,)))) == [(order.id,)]


def test_order_does_not_wait_past_its_promise() -> None:
    alone_s = 2 * 120 + 300 + 120
    order = mall_order(1, NORTH, promise_s=NOW_S + alone_s + POOLING.margin_s)
    assert trips(pool(PlanState((order,), idle(1), recent=(busy(NORTH),)))) == [(1,)]


def test_full_trip_does_not_wait() -> None:
    orders = tuple(mall_order(number, NORTH) for number in (1, 2))
    assert trips(pool(PlanState(orders, idle(1, slots=2), recent=(busy(NORTH),)))) == [(1, 2)]


def test_order_that_no_driver_can_take_is_told() -> None:
    assert pool(PlanState((mall_order(1, NORTH, units=9),), idle(1, capacity_units=8))).unplanned == (1,)
    assert pool(PlanState((mall_order(1, NORTH),), ())).unplanned == (1,)


# -- what partners to come are worth ----------------------------------------------------------------------


def test_potential_rises_with_the_demand_and_never_exceeds_half_of_the_best_pair() -> None:
    far = Spot(*NORTH)
    found = [
        Prospects(busy(NORTH, count), MALL, SETTINGS.travel, POOLING).potential_s(1, far, 300.0)
        for count in (0, 1, 5, 40)
    ]
    assert found == sorted(found)
    assert found[0] == 0.0
    # 600 s of driving are saved by two orders to one door.
    assert found[-1] == pytest.approx(300.0, rel=1e-3)


def test_sites_are_stores_near_the_first_of_them() -> None:
    places = {7: Spot(0.0, 0.0), 3: Spot(90.0, 0.0), 9: Spot(-20.0, 0.0), 4: Spot(5000.0, 0.0)}
    assert sites_of(places, 100.0) == {3: 3, 7: 3, 4: 4, 9: 9}
    assert sites_of(places, 0.0) == {number: number for number in places}
    assert sites_of({1: MALL, 2: MALL}, 0.0) == {1: 1, 2: 2}, "without a radius even at one address"


def test_recent_doors_are_the_newest_of_the_last_hour_by_site() -> None:
    recent = RecentDoors()
    for number in range(100):
        recent.note(mall_order(number, (float(number), 0.0), store_id=number % 2, placed_s=NOW_S + number))
    recent.note(mall_order(200, NORTH, store_id=5, placed_s=NOW_S - 3600))
    [site] = recent.demand({0: 0, 1: 0, 5: 5}, NOW_S + 100)
    assert isinstance(site, SiteDemand)
    assert (site.site_id, site.period_s, len(site.doors)) == (0, 600.0, 48)
    assert [door.order_id for door in site.doors[:2]] == [99, 98]
    assert recent.demand({}, NOW_S + 3 * 3600) == ()
