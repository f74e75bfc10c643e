"""The planner: which trips it makes of orders, when it proposes them, and what it says about them."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from dispatch.domain.planning import PlannedRoute, PlanOrder, PlanResult, PlanState, plan
from tests.unit.dispatch.planning_worlds import (
    NOW_S,
    PLAIN,
    SETTINGS,
    TripWalk,
    best_plan_s,
    driver,
    order,
    world,
)

WORLDS = st.builds(world, st.integers(0, 10_000), st.integers(0, 12), st.integers(0, 6))


def in_routes(result: PlanResult) -> list[int]:
    return [number for route in result.routes for trip in route.trips for number in trip]


# -- rules that always hold ----------------------------------------------------------------------------


@given(WORLDS, st.integers(0, 99))
@hypothesis_settings(max_examples=60, deadline=None)
def test_every_trip_keeps_slots_capacity_shift_detour_and_declines(state: PlanState, seed: int) -> None:
    settings = replace(SETTINGS, detour_max_s=400.0, trip_orders_max=3)
    result = plan(state, NOW_S, seed, settings)
    orders = {each.id: each for each in state.orders}
    drivers = {each.id: each for each in state.drivers}
    assert sorted([*in_routes(result), *result.unplanned]) == sorted(orders)
    for route in result.routes:
        who = drivers[route.driver_id]
        at, time_s = who.spot, max(NOW_S, who.free_s)
        for trip in route.trips:
            carried = [orders[number] for number in trip]
            walk = TripWalk(carried, at, time_s, settings)
            assert len(trip) <= min(who.slots, 3)
            assert sum(each.units for each in carried) <= who.capacity_units
            assert walk.pickup_s <= who.shift_end_s
            assert max(walk.detours_s) <= 400.0 + 1e-6
            assert len({each.site_id for each in carried}) == 1
            assert not any(who.id in each.declined_by for each in carried)
            at, time_s = walk.end, walk.end_s


@given(WORLDS, st.integers(0, 99))
@hypothesis_settings(max_examples=40, deadline=None)
def test_proposals_are_first_trips_of_free_drivers_with_times_that_are_true(
    state: PlanState, seed: int
) -> None:
    result = plan(state, NOW_S, seed, SETTINGS)
    first = {route.driver_id: route.trips[0] for route in result.routes}
    drivers = {each.id: each for each in state.drivers}
    orders = {each.id: each for each in state.orders}
    assert len({each.driver_id for each in result.proposals}) == len(result.proposals)
    for each in result.proposals:
        who = drivers[each.driver_id]
        assert first[who.id] == each.order_ids
        assert who.free_s <= NOW_S
        carried = [orders[number] for number in each.order_ids]
        walk = TripWalk(carried, who.spot, NOW_S, SETTINGS)
        assert each.chosen.pickup_s == pytest.approx(walk.pickup_s)
        assert [stop.at_s for stop in each.trip.stops] == pytest.approx([walk.pickup_s, *walk.doors_s])
        assert each.trip.end_s == pytest.approx(walk.end_s)
        for other in each.next_best:
            assert other.driver_id != who.id
            assert not any(other.driver_id in one.declined_by for one in carried)


@given(WORLDS, st.integers(0, 99))
@hypothesis_settings(max_examples=30, deadline=None)
def test_same_arguments_give_the_same_plan_in_whatever_sequence_they_come(
    state: PlanState, seed: int
) -> None:
    turned = replace(state, orders=state.orders[::-1], drivers=state.drivers[::-1])
    result = plan(state, NOW_S, seed, SETTINGS)
    assert plan(state, NOW_S, seed, SETTINGS) == result
    assert plan(turned, NOW_S, seed, SETTINGS) == result


@given(WORLDS, st.integers(0, 99), st.integers(0, 99))
@hypothesis_settings(max_examples=30, deadline=None)
def test_plan_before_is_a_hint_that_may_be_wrong(state: PlanState, seed: int, other: int) -> None:
    stale = world(other, 12, 6)
    before = plan(stale, NOW_S - 60, seed, SETTINGS).routes
    result = plan(replace(state, before=before), NOW_S, seed, SETTINGS)
    assert sorted([*in_routes(result), *result.unplanned]) == [each.id for each in state.orders]


def test_plan_before_with_an_order_twice_or_trips_over_sites_gives_each_order_once() -> None:
    orders = (order(1, (0, 0), (500, 0)), order(2, (0, 900), (500, 900), site_id=2, store_id=2))
    before = (PlannedRoute(1, ((1, 2), (1,))), PlannedRoute(2, ((2, 2), (7,))))
    state = PlanState(orders, (driver(1, (0, 0)), driver(2, (0, 900))), before)
    assert sorted(in_routes(plan(state, NOW_S, 1, SETTINGS))) == [1, 2]


@given(WORLDS, st.integers(0, 99), st.booleans())
@hypothesis_settings(max_examples=40, deadline=None)
def test_no_proposal_exceeds_slots_capacity_shift_or_detour_or_repeats_to_who_declined(
    state: PlanState, seed: int, fair: bool
) -> None:
    """Whatever was planned before, with promises, a lead and fairness."""
    settings = replace(
        SETTINGS, detour_max_s=300.0, trip_orders_max=3, offer_lead_s=900.0, fair_weight=float(fair)
    )
    promised = tuple(replace(each, promise_s=each.ready_s + 700.0) for each in state.orders)
    drivers = tuple(replace(each, fair_s=100.0 * (each.id % 5 - 2)) for each in state.drivers)
    willing = tuple(replace(each, declined_by=frozenset()) for each in promised)
    before = plan(replace(state, orders=willing), NOW_S - 30, seed, SETTINGS).routes
    result = plan(replace(state, orders=promised, drivers=drivers, before=before), NOW_S, seed, settings)
    orders, known = {each.id: each for each in promised}, {each.id: each for each in drivers}
    assert len({number for each in result.proposals for number in each.order_ids}) == sum(
        len(each.order_ids) for each in result.proposals
    )
    for proposal in result.proposals:
        who, carried = known[proposal.driver_id], [orders[number] for number in proposal.order_ids]
        walk = TripWalk(carried, who.spot, max(NOW_S, who.free_s), settings)
        assert len(carried) <= min(who.slots, 3)
        assert sum(each.units for each in carried) <= who.capacity_units
        assert walk.pickup_s <= who.shift_end_s
        assert max(walk.detours_s) <= 300.0 + 1e-6
        assert not any(who.id in each.declined_by for each in carried)


# -- how good it is -------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(25))
def test_tiny_plan_is_the_best_of_all_plans(seed: int) -> None:
    state = world(seed, 4, 2, sites=2, town_m=4000)
    result = plan(state, NOW_S, seed, PLAIN)
    assert result.cost_s == pytest.approx(best_plan_s(state, PLAIN))


@pytest.mark.parametrize("seed", range(5))
def test_search_makes_a_plan_no_worse(seed: int) -> None:
    state = world(seed, 40, 8, sites=6)
    without = plan(state, NOW_S, seed, replace(SETTINGS, iterations=0))
    assert plan(state, NOW_S, seed, SETTINGS).cost_s <= without.cost_s


# -- when it proposes -----------------------------------------------------------------------------------


def test_trip_is_proposed_at_the_last_moment_that_costs_nothing() -> None:
    # Ready in 10 minutes; 2 minutes of service before the pick-up and 100 s of way: 380 s are left.
    state = PlanState((order(1, (1000, 0), (2000, 0)),), (driver(1, (0, 0)),))
    assert plan(state, NOW_S + 379, 1, SETTINGS).proposals == ()
    assert [each.order_ids for each in plan(state, NOW_S + 380, 1, SETTINGS).proposals] == [(1,)]


def test_lead_brings_offers_forward() -> None:
    state = PlanState((order(1, (1000, 0), (2000, 0)),), (driver(1, (0, 0)),))
    early = plan(state, NOW_S + 350, 1, replace(SETTINGS, offer_lead_s=30.0))
    assert [each.latest_start_s for each in early.proposals] == [NOW_S + 380]


def test_driver_with_a_lead_of_its_own_is_asked_by_it() -> None:
    settings = replace(SETTINGS, offer_lead_s=30.0)
    for lead_s, asked in ((None, True), (0.0, False), (29.0, False), (31.0, True)):
        state = PlanState((order(1, (1000, 0), (2000, 0)),), (driver(1, (0, 0), lead_s=lead_s),))
        assert bool(plan(state, NOW_S + 350, 1, settings).proposals) == asked


def test_driver_who_is_about_to_be_free_is_waited_for() -> None:
    near, far = driver(1, (1000, 0), free_s=NOW_S + 60), driver(2, (9000, 0))
    state = PlanState((order(1, (1000, 0), (2000, 0), ready_s=NOW_S),), (near, far))
    result = plan(state, NOW_S, 1, SETTINGS)
    assert result.proposals == ()
    assert result.routes == (PlannedRoute(1, ((1,),)),)


def test_driver_beyond_the_horizon_is_not() -> None:
    state = PlanState(
        (order(1, (0, 0), (100, 0)),), (driver(1, (0, 0), free_s=NOW_S + SETTINGS.horizon_s + 1),)
    )
    assert plan(state, NOW_S, 1, SETTINGS).unplanned == (1,)


def test_order_that_all_have_declined_stays_unplanned() -> None:
    state = PlanState((order(1, (0, 0), (100, 0), declined_by=frozenset({1})),), (driver(1, (0, 0)),))
    assert plan(state, NOW_S, 1, SETTINGS).unplanned == (1,)


def test_driver_who_has_not_answered_yet_is_proposed_nothing() -> None:
    state = PlanState(
        (order(1, (0, 0), (500, 0), ready_s=NOW_S),), (driver(1, (0, 0), asked_from_s=NOW_S + 20),)
    )
    settings = replace(SETTINGS, offer_lead_s=60.0)
    assert plan(state, NOW_S, 1, settings).proposals == ()
    assert len(plan(state, NOW_S + 20, 1, settings).proposals) == 1


def test_store_far_away_from_all_drivers_is_reached_all_the_same() -> None:
    """Or somebody would walk over millions of empty cells."""
    far = order(1, (9e8, 0), (9e8, 500), ready_s=NOW_S)
    drivers = tuple(driver(number, (number, 0), shift_end_s=NOW_S + 1e9) for number in range(40))
    state = PlanState((far,), drivers)
    assert plan(state, NOW_S, 1, replace(PLAIN, unplanned_s=1e10)).unplanned == ()


# -- trips ----------------------------------------------------------------------------------------------


def test_orders_of_one_store_to_one_street_share_a_trip() -> None:
    orders = (order(1, (0, 0), (3000, 0)), order(2, (0, 0), (3000, 50)))
    result = plan(PlanState(orders, (driver(1, (0, 0)),)), NOW_S + 480, 1, SETTINGS)
    assert [sorted(each.order_ids) for each in result.proposals] == [[1, 2]]
    assert [stop.kind for stop in result.proposals[0].trip.stops] == ["pickup", "dropoff", "dropoff"]


def test_orders_of_two_stores_in_a_mall_are_picked_up_one_after_the_other() -> None:
    mall: dict[str, float] = {"site_id": 9, "placed_s": NOW_S, "ready_s": NOW_S}
    orders = (
        order(1, (0, 0), (4000, 0), store_id=1, **mall),
        order(2, (100, 0), (4000, 20), store_id=2, **mall),
    )
    (proposal,) = plan(PlanState(orders, (driver(1, (0, 0)),)), NOW_S, 1, SETTINGS).proposals
    first, second, *doors = proposal.trip.stops
    assert [first.kind, second.kind] == ["pickup", "pickup"]
    # Two minutes at the first store, two more there, ten seconds of way, two minutes at the second.
    assert (first.at_s, second.at_s) == (NOW_S + 120, NOW_S + 370)
    assert proposal.chosen.pickup_s == second.at_s
    assert sorted(stop.order_ids[0] for stop in doors) == [1, 2]


def test_pickups_in_a_mall_wait_for_the_later_store_only_once() -> None:
    orders = (
        order(1, (0, 0), (4000, 0), site_id=9, store_id=1, ready_s=NOW_S),
        order(2, (100, 0), (4000, 20), site_id=9, store_id=2, ready_s=NOW_S + 500),
    )
    (proposal,) = plan(PlanState(orders, (driver(1, (0, 0)),)), NOW_S + 130, 1, SETTINGS).proposals
    assert [stop.at_s for stop in proposal.trip.stops[:2]] == [NOW_S + 250, NOW_S + 500]


def test_promise_weighs_when_it_is_given_a_weight() -> None:
    # One driver and two stores: the later order is promised early, the earlier one is not promised.
    later: PlanOrder = order(
        2, (0, 3000), (0, 3500), site_id=2, store_id=2, placed_s=NOW_S, promise_s=NOW_S + 900
    )
    orders = (order(1, (0, 0), (500, 0), ready_s=NOW_S), replace(later, ready_s=NOW_S))
    state = PlanState(orders, (driver(1, (0, 0)),))
    assert plan(state, NOW_S, 1, PLAIN).routes[0].trips == ((1,), (2,))
    assert plan(state, NOW_S, 1, replace(PLAIN, late_weight=9.0)).routes[0].trips == ((2,), (1,))


# -- stores that may be late ------------------------------------------------------------------------------


def _trips(spread_s: float, promise_s: float | None) -> set[tuple[int, ...]]:
    """Trips of two orders for one driver: one that may be ready late, and one that was promised a time.

    It is 100 s to their door. In time, the trip departs at NOW_S + 720: ready after ten minutes, and two of service.
    """
    orders = (
        order(1, (0, 0), (0, 1000), ready_spread_s=spread_s),
        order(2, (0, 0), (0, 1000), promise_s=promise_s),
    )
    state = PlanState(orders, (driver(1, (0, 0)),))
    result = plan(state, NOW_S, 1, SETTINGS)
    return {tuple(sorted(trip)) for route in result.routes for trip in route.trips}


def test_order_is_no_partner_where_a_late_store_would_break_its_promise() -> None:
    promise_s = NOW_S + 1500
    assert _trips(0, promise_s) == {(1, 2)}
    assert _trips(300, promise_s) == {(1, 2)}
    assert _trips(1200, promise_s) == {(1,), (2,)}
    assert _trips(1200, None) == {(1, 2)}


def test_promise_that_cannot_be_kept_alone_either_keeps_nobody_apart() -> None:
    assert _trips(1200, NOW_S + 700) == {(1, 2)}


def test_of_equally_good_drivers_the_one_with_the_lowest_rank_is_chosen() -> None:
    drivers = (
        driver(1, (0, 0)),
        driver(2, (0, 0), rank=8),
        driver(3, (0, 0), rank=7),
        driver(4, (500, 0), rank=1),
    )
    result = plan(PlanState((order(1, (0, 0), (0, 1000), ready_s=NOW_S),), drivers), NOW_S, 1, SETTINGS)
    assert [proposal.driver_id for proposal in result.proposals] == [3]
