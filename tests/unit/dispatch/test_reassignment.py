"""Reassignments: which orders under way get another driver for the sake of their promise, and which never do."""

from __future__ import annotations

from dataclasses import replace
from random import Random

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from dispatch.domain.planning import AssignedOrder, PlanOrder, PlanResult, PlanState, Reassignment, plan
from tests.unit.dispatch.planning_worlds import NOW_S, SETTINGS, TripWalk, driver, order, world

DOOR_S = NOW_S + 600


def carried(door_s: float, promise_s: float | None, **more: object) -> AssignedOrder:
    """Order 9 at (0, 0), ready now, with driver 1 who is at its door at `door_s`."""
    picked_up = bool(more.pop("picked_up", False))
    made = order(9, (0, 0), (2000, 0), ready_s=NOW_S, promise_s=promise_s, **more)
    return AssignedOrder(made, 1, door_s, picked_up)


def moved(
    assigned: AssignedOrder, *drivers: object, orders: tuple[PlanOrder, ...] = ()
) -> tuple[Reassignment, ...]:
    state = PlanState(orders, drivers, number=7, assigned=(assigned,))  # type: ignore[arg-type]
    return plan(state, NOW_S, 3, SETTINGS).reassignments


def mixed(seed: int) -> PlanState:
    """A random town in which some drivers carry orders, some of them picked up, some of them late."""
    state, chance = world(seed, 12, 8), Random(seed)
    assigned = tuple(
        AssignedOrder(
            replace(
                each,
                promise_s=each.ready_s + chance.choice((300, 900, 2400)) if chance.random() < 0.8 else None,
            ),
            chance.randint(1, 9),
            each.ready_s + chance.randrange(200, 4000),
            chance.random() < 0.3,
        )
        for each in state.orders
        if each.id % 2
    )
    waiting = tuple(each for each in state.orders if each.id % 2 == 0)
    drivers = tuple(
        replace(each, asked_from_s=NOW_S + 30 if chance.random() < 0.2 else 0.0) for each in state.drivers
    )
    return replace(state, orders=waiting, drivers=drivers, assigned=assigned)


WORLDS = st.builds(mixed, st.integers(0, 10_000))


def result_of(state: PlanState, seed: int) -> PlanResult:
    return plan(state, NOW_S, seed, SETTINGS)


# -- rules that always hold ------------------------------------------------------------------------------


@given(WORLDS, st.integers(0, 9))
@hypothesis_settings(max_examples=60, deadline=None)
def test_only_orders_that_would_be_late_and_are_not_picked_up_change_their_driver(
    state: PlanState, seed: int
) -> None:
    assigned = {each.order.id: each for each in state.assigned}
    for found in result_of(state, seed).reassignments:
        old = assigned[found.order_id]
        assert not old.picked_up
        assert old.order.promise_s is not None
        assert old.door_s > old.order.promise_s
        assert found.from_driver_id == old.driver_id
        assert found.gain_s == pytest.approx(old.door_s - found.door_s)
        assert found.gain_s >= (SETTINGS.reassign_kept_s if found.promise_kept else SETTINGS.reassign_late_s)
        assert found.promise_kept == (found.door_s <= old.order.promise_s)


@given(WORLDS, st.integers(0, 9))
@hypothesis_settings(max_examples=60, deadline=None)
def test_only_free_drivers_who_can_and_have_not_declined_get_them(state: PlanState, seed: int) -> None:
    result = result_of(state, seed)
    drivers = {each.id: each for each in state.drivers}
    assigned = {each.order.id: each for each in state.assigned}
    planned = {route.driver_id for route in result.routes}
    for found in result.reassignments:
        who, each = drivers[found.to_driver_id], assigned[found.order_id].order
        assert who.id not in each.declined_by
        assert who.id != found.from_driver_id
        assert who.id not in planned
        assert who.asked_from_s <= NOW_S
        assert each.units <= who.capacity_units
        walk = TripWalk([each], who.spot, max(NOW_S, who.free_s), SETTINGS)
        assert walk.pickup_s <= who.shift_end_s
        assert walk.doors_s[0] == pytest.approx(found.door_s)


@given(WORLDS, st.integers(0, 9))
@hypothesis_settings(max_examples=30, deadline=None)
def test_no_order_and_no_driver_is_in_two_reassignments(state: PlanState, seed: int) -> None:
    twice = replace(state, assigned=state.assigned * 2)
    found = result_of(twice, seed).reassignments
    assert len({each.order_id for each in found}) == len(found)
    assert len({each.to_driver_id for each in found}) == len(found)


@given(WORLDS, st.integers(0, 9))
@hypothesis_settings(max_examples=30, deadline=None)
def test_same_state_gives_the_same_reassignments_and_leaves_the_plan_as_it_is(
    state: PlanState, seed: int
) -> None:
    result = result_of(state, seed)
    turned = replace(state, assigned=state.assigned[::-1], drivers=state.drivers[::-1])
    assert result_of(turned, seed) == result
    assert replace(result, reassignments=()) == result_of(replace(state, assigned=()), seed)


def test_random_towns_have_reassignments_of_both_kinds() -> None:
    """Or the rules above would hold for nothing."""
    found = [each for seed in range(60) for each in result_of(mixed(seed), seed).reassignments]
    assert {each.promise_kept for each in found} == {True, False}


# -- one order -------------------------------------------------------------------------------------------


def test_late_order_goes_to_the_free_driver_who_keeps_its_promise() -> None:
    # 100 s of way and 120 s of service twice, 200 s of way, 120 s of service: at the door after 660 s.
    found = moved(
        carried(NOW_S + 1800, NOW_S + 900), driver(1, (9000, 0), free_s=NOW_S + 900), driver(2, (1000, 0))
    )
    assert found == (Reassignment(9, 1, 2, NOW_S + 660, 1140, promise_kept=True, plan_number=7, seed=3),)


def test_order_in_time_stays_where_it_is() -> None:
    assert moved(carried(NOW_S + 900, NOW_S + 900), driver(2, (1000, 0))) == ()


def test_order_without_a_promise_stays_where_it_is() -> None:
    assert moved(carried(NOW_S + 9000, None), driver(2, (1000, 0))) == ()


def test_order_that_is_picked_up_stays_where_it_is() -> None:
    assert moved(carried(NOW_S + 1800, NOW_S + 900, picked_up=True), driver(2, (1000, 0))) == ()


def test_driver_who_declined_does_not_get_it() -> None:
    late = carried(NOW_S + 1800, NOW_S + 900, declined_by=frozenset({2}))
    assert moved(late, driver(2, (1000, 0))) == ()
    assert [each.to_driver_id for each in moved(late, driver(2, (1000, 0)), driver(3, (1500, 0)))] == [3]


def test_order_that_is_late_with_everybody_changes_only_for_a_clear_gain() -> None:
    """With driver 2 it is at the door after 660 s, and promised for 300 s."""
    least_s = SETTINGS.reassign_late_s
    assert moved(carried(NOW_S + 660 + least_s - 1, NOW_S + 300), driver(2, (1000, 0))) == ()
    (found,) = moved(carried(NOW_S + 660 + least_s, NOW_S + 300), driver(2, (1000, 0)))
    assert not found.promise_kept


def test_order_that_is_a_little_late_does_not_change_for_a_few_seconds() -> None:
    assert moved(carried(NOW_S + 700, NOW_S + 690), driver(2, (1000, 0))) == ()


def test_driver_with_a_trip_in_the_plan_is_not_free() -> None:
    """Order 1 waits for the only driver, who is not taken from it."""
    waiting = (order(1, (0, 0), (500, 0), ready_s=NOW_S + 1200),)
    assert moved(carried(NOW_S + 1800, NOW_S + 900), driver(2, (1000, 0)), orders=waiting) == ()


def test_latest_order_chooses_first() -> None:
    late = carried(NOW_S + 1800, NOW_S + 900)
    later = replace(late, order=replace(late.order, id=4), door_s=NOW_S + 2400)
    state = PlanState((), (driver(2, (1000, 0)),), assigned=(late, later))
    assert [each.order_id for each in plan(state, NOW_S, 1, SETTINGS).reassignments] == [4]
