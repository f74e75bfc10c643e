"""Predictions of a zone: when its drivers will be free, and when the orders under way will be at the door.

A prediction follows a driver through what it has to do, in the sequence in which it is expected to do it. An order
whose time at the door has moved clearly is told so; one whose promise would break may get another driver
(zone_planning.py).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import NamedTuple

from actors.messages import ActorId, Tell
from dispatch.domain.commands import SetEta
from dispatch.domain.order import ASSIGNED, Eta, Order
from dispatch.domain.planning import AssignedOrder, PlanOrder, Spot
from dispatch.zone_plan import ZonePlan
from dispatch.zone_state import ZoneState

# How far from the first store a driver counts as whose place is not known, in metres.
UNKNOWN_AWAY_M = 2_000.0
# An order is told when its time at the door has moved by so much, on the planner's clock.
ETA_MOVED_S = 120.0
# Orders of a zone that are told at once.
ETAS_MAX = 100


class Prediction(NamedTuple):
    """Where and when a driver will be free, and when each of its orders is picked up and at the door, in seconds."""

    spot: Spot
    free_s: float
    doors: dict[int, tuple[float, float]]


def predicted_end(plan: ZonePlan, driver_id: int, tasks: Sequence[Order], now_ms: int) -> tuple[Spot, float]:
    """Where and when a driver will be free; see `predicted`."""
    found = predicted(plan, driver_id, tasks, now_ms)
    return found.spot, found.free_s


def predicted(plan: ZonePlan, driver_id: int, tasks: Sequence[Order], now_ms: int) -> Prediction:
    """Follow a driver through its trips.

    What is picked up already comes first. Without tasks it is the last known place, and a time that is over. A driver
    whose place is not known may be anywhere: it counts as rather far from the stores.
    """
    known_place = plan.known_places.get(driver_id)
    if known_place is None:
        at, time_s = Spot(UNKNOWN_AWAY_M, 0.0), plan.seconds(now_ms)
    else:
        at, time_s = plan.spot(known_place.place), plan.seconds(known_place.at_ms)
    doors: dict[int, tuple[float, float]] = {}
    if not tasks:
        return Prediction(at, 0.0, doors)
    travel_s = plan.settings.travel.seconds
    half_pickup_s, half_dropoff_s = plan.settings.pickup_s / 2, plan.settings.dropoff_s / 2
    for trip in _trips(tasks):
        picked_s: dict[int, float] = {}
        for order in sorted(trip, key=lambda each: each.ready_ms):
            if order.status == "picked_up":
                picked_s[order.id] = plan.seconds(
                    order.updated_ms if order.eta is None else order.eta.pickup_ms
                )
                continue
            # An order that nobody has yet cannot be under way since long.
            time_s = max(time_s, plan.seconds(order.updated_ms))
            store = plan.spot(order.facts.first.place)
            arrived_s = time_s + (travel_s(at, store) + half_pickup_s if store != at else 0.0)
            picked_s[order.id] = time_s = max(arrived_s, plan.seconds(order.ready_ms))
            at = store
        time_s += half_pickup_s
        for order in trip:
            # Goods that nobody took go back to the store.
            back = order.returning_ms is not None
            door = plan.spot(order.facts.first.place if back else order.facts.dropoff)
            time_s += travel_s(at, door) + half_dropoff_s
            doors[order.id] = picked_s[order.id], time_s
            time_s += half_dropoff_s
            at = door
    return Prediction(at, time_s, doors)


def _trips(tasks: Iterable[Order]) -> list[list[Order]]:
    """Orders by trip, in the sequence of their delivery; trips that are under way first."""
    trips: defaultdict[str, list[Order]] = defaultdict(list)
    for order in tasks:
        trips[order.trip.id if order.trip is not None else f"alone {order.id}"].append(order)
    for members in trips.values():
        members.sort(key=lambda each: each.trip.order_ids.index(each.id) if each.trip is not None else 0)
    begun = {"picked_up": 0, ASSIGNED: 1}
    return sorted(
        trips.values(),
        key=lambda members: (
            min(begun.get(each.status, 2) for each in members),
            members[0].ready_ms,
            members[0].id,
        ),
    )


def _doors_of(plan: ZonePlan, driver_id: int, now_ms: int) -> dict[int, tuple[float, float]]:
    """A driver's orders with their predicted times of pick-up and at the door, in seconds. No time is over."""
    now_s = plan.seconds(now_ms)
    tasks = [plan.carried[number] for number in sorted(plan.loads[driver_id])]
    doors = predicted(plan, driver_id, tasks, now_ms).doors
    late_s = max((now_s - doors[order.id][0] for order in tasks if order.status == ASSIGNED), default=0.0)
    found = {}
    for order in tasks:
        pickup_s, door_s = doors[order.id]
        if order.status == ASSIGNED:
            pickup_s, door_s = max(now_s, pickup_s), door_s + max(0.0, late_s)
        found[order.id] = pickup_s, max(now_s, door_s)
    return found


def eta_changes(plan: ZonePlan, now_ms: int) -> list[Tell]:
    """Tell orders under way whose time at the door has moved clearly from what they know."""
    tells: list[Tell] = []
    for driver_id in plan.loads:
        for number, (pickup_s, door_s) in _doors_of(plan, driver_id, now_ms).items():
            order = plan.carried[number]
            known_ms = order.expected_ms
            if order.returning_ms is not None or known_ms is None:
                continue
            if abs(door_s - plan.seconds(known_ms)) >= ETA_MOVED_S:
                eta = Eta(plan.milliseconds(pickup_s), plan.milliseconds(door_s))
                tells.append(Tell(ActorId("order", number), SetEta(eta)))
        if len(tells) >= ETAS_MAX:
            break
    return tells


def promises_at_risk(state: ZoneState, plan: ZonePlan, now_ms: int) -> tuple[AssignedOrder, ...]:
    """Orders that their drivers would deliver after the promise, and have not picked up. Each is moved once at most.

    Their known times, which `eta_changes` keeps right, say which drivers to follow: a step must not follow all of them.
    """
    found = []
    for order in plan.carried.values():
        promised_ms, driver_id, eta = order.facts.promised_ms, order.driver_id, order.eta
        if order.status != ASSIGNED or order.released or promised_ms is None or driver_id is None:
            continue
        if eta is None or eta.door_ms <= promised_ms:
            continue
        _, door_s = _doors_of(plan, driver_id, now_ms)[order.id]
        if door_s > plan.seconds(promised_ms):
            found.append(AssignedOrder(_plan_order(state, plan, order), driver_id, door_s))
    return tuple(found)


def _plan_order(state: ZoneState, plan: ZonePlan, order: Order) -> PlanOrder:
    far = [driver for driver, orders in plan.far.items() if order.id in orders and driver in state.drivers]
    return replace(plan.plan_order(order), declined_by=frozenset((*order.tried, *far)))
