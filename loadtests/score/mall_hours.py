"""Some hours of a mall in virtual time: orders of its stores, doors around it, drivers who come back to it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from math import cos, hypot, pi, sin, sqrt
from random import Random
from statistics import fmean

from dispatch.domain.planning import (
    DemandPoint,
    PlanDriver,
    PlannedRoute,
    PlanOrder,
    PlanResult,
    PlanSettings,
    PlanState,
    PlanTrip,
    PoolSettings,
    RecentDoors,
    Spot,
    plan,
    plan_pooled,
    straight_travel,
)
from dispatch.domain.planning.hindsight import PastOrder, TripLimits, saving_bound_m, saving_found_m

MALL = Spot(0.0, 0.0)
STORES, MALL_RADIUS_M, TOWN_RADIUS_M = 8, 80.0, 3000.0
# As a zone has them that says nothing else, and as an order is promised where nothing is learned yet.
SPEED_M_PER_S, STREET_FACTOR, SERVICE_HALF_S, TRIP_ORDERS_MAX, DETOUR_MAX_S = 5.0, 1.3, 60.0, 3, 900.0
PROMISE_REST_S = 1800.0
TRAVEL = straight_travel(SPEED_M_PER_S, STREET_FACTOR)
SETTINGS = PlanSettings(
    TRAVEL, SERVICE_HALF_S, SERVICE_HALF_S, trip_orders_max=TRIP_ORDERS_MAX, detour_max_s=DETOUR_MAX_S
)
STEP_S = 15.0
# Drivers for each order a minute: nobody waits long for one who goes alone.
DRIVERS_PER_RATE = 36
# A run that takes so much longer than its orders come has lost some.
DRAIN_S = 4 * 3600.0

Planner = Callable[[PlanState, float, int], PlanResult]


@dataclass(frozen=True, slots=True)
class MallCase:
    """Hours to play. Goods are ready up to `preparation_s` after an order, at random."""

    rate: float
    seed: int
    minutes: float = 120.0
    preparation_s: float = 600.0

    @property
    def drivers(self) -> int:
        """Number of drivers."""
        return round(DRIVERS_PER_RATE * self.rate)

    def orders(self) -> list[PlanOrder]:
        """Orders as they come; each store of the mall is a site of its own."""
        chance, at_s = Random(self.seed), 0.0
        found: list[PlanOrder] = []
        while (at_s := at_s + chance.expovariate(self.rate / 60)) < self.minutes * 60:
            number, store = len(found) + 1, chance.randrange(STORES)
            place = _around(MALL_RADIUS_M, store / STORES)
            door = _around(TOWN_RADIUS_M * sqrt(chance.random()), chance.random())
            ready_s = at_s + chance.uniform(0.0, self.preparation_s)
            promise_s = ready_s + TRAVEL.seconds(place, door) + PROMISE_REST_S
            found.append(PlanOrder(number, store, store, place, door, at_s, ready_s, promise_s))
        return found


def _around(radius_m: float, turn: float) -> Spot:
    return Spot(radius_m * cos(2 * pi * turn), radius_m * sin(2 * pi * turn))


def today(state: PlanState, now_s: float, seed: int) -> PlanResult:
    """The planner, as a zone without pooling has it."""
    return plan(state, now_s, seed, SETTINGS)


def pooled(state: PlanState, now_s: float, seed: int) -> PlanResult:
    """The planner of a zone that pools: all stores are one site."""
    return plan_pooled(state, now_s, seed, SETTINGS, PoolSettings())


@dataclass(slots=True)
class MallOutcome:
    """What came of it. `doors_s`: when each order was delivered."""

    orders: Sequence[PlanOrder]
    driven_m: float = 0.0
    trips: int = 0
    doors_s: dict[int, float] = field(default_factory=dict)
    worst_detour_s: float = 0.0

    @property
    def alone_m(self) -> float:
        """Distance if each order were driven alone, from the middle of the mall and back."""
        return sum(
            _way_m(MALL, order.pickup) + _way_m(order.pickup, order.dropoff) + _way_m(order.dropoff, MALL)
            for order in self.orders
        )

    @property
    def kept(self) -> float:
        """Share of promises that were kept; an order that was not delivered breaks its promise."""
        kept = (self.doors_s.get(each.id, float("inf")) <= (each.promise_s or 0.0) for each in self.orders)
        return fmean(kept) if self.orders else 1.0

    @property
    def click_to_door_s(self) -> float:
        """Mean of those that were delivered."""
        took = [self.doors_s[each.id] - each.placed_s for each in self.orders if each.id in self.doors_s]
        return fmean(took) if took else 0.0

    def took(self, trip: PlanTrip) -> float:
        """Count a trip that a driver does; returns when the driver is back at the mall."""
        placed = {order.id: order for order in self.orders}
        at, last = MALL, [stop for stop in trip.stops if stop.kind == "pickup"][-1]
        for stop in trip.stops:
            self.driven_m += _way_m(at, stop.spot)
            at = stop.spot
            if stop.kind == "dropoff":
                order = placed[stop.order_ids[0]]
                under_way_s = stop.at_s - SETTINGS.dropoff_half_s - last.leave_s
                alone_s = TRAVEL.seconds(last.spot, order.dropoff)
                self.worst_detour_s = max(self.worst_detour_s, under_way_s - alone_s)
                self.doors_s[order.id] = stop.at_s
        self.driven_m += _way_m(at, MALL)
        self.trips += 1
        return trip.end_s + TRAVEL.seconds(at, MALL)


def _way_m(one: Spot, other: Spot) -> float:
    return hypot(one[0] - other[0], one[1] - other[1]) * STREET_FACTOR


def play(case: MallCase, planner: Planner, *, one_site: bool) -> MallOutcome:
    """The hours with one planner, until everything is delivered."""
    orders = case.orders()
    outcome, coming, at = MallOutcome(orders), list(orders), 0
    free_s, open_orders, recent = [0.0] * case.drivers, dict[int, PlanOrder](), RecentDoors()
    before: tuple[PlannedRoute, ...] = ()
    sites = dict.fromkeys(range(STORES), 0) if one_site else {}
    for number in range(round((case.minutes * 60 + DRAIN_S) / STEP_S)):
        now_s = number * STEP_S
        while at < len(coming) and coming[at].placed_s <= now_s:
            recent.note(coming[at])
            open_orders[coming[at].id] = _at_site(coming[at], sites)
            at += 1
        if not open_orders:
            if at == len(coming):
                break
            continue
        drivers = tuple(PlanDriver(n, MALL, at_s, float("inf")) for n, at_s in enumerate(free_s))
        demand = (DemandPoint(MALL, 1.0),)
        state = PlanState(
            tuple(open_orders.values()),
            drivers,
            before,
            demand,
            number,
            recent=recent.demand(sites, now_s),
        )
        result = planner(state, now_s, case.seed * 1_000_003 + number)
        before = result.routes
        for proposal in result.proposals:
            free_s[proposal.driver_id] = outcome.took(proposal.trip)
            for order_id in proposal.order_ids:
                del open_orders[order_id]
    return outcome


def _at_site(order: PlanOrder, sites: dict[int, int]) -> PlanOrder:
    site_id = sites.get(order.store_id, order.store_id)
    return PlanOrder(
        order.id, site_id, order.store_id, order.pickup, order.dropoff, order.placed_s, order.ready_s, order.promise_s
    )  # fmt: skip


@dataclass(frozen=True, slots=True)
class Hindsight:
    """What could be saved if everything were known: by good trips, and at most."""

    found_m: float
    bound_m: float


def hindsight(orders: Sequence[PlanOrder]) -> Hindsight:
    """With the limits that pooling has."""
    limits = TripLimits(SPEED_M_PER_S, STREET_FACTOR, TRIP_ORDERS_MAX, DETOUR_MAX_S, 2 * SERVICE_HALF_S)
    wait_max_s = PoolSettings().wait_max_s
    past = [
        PastOrder(
            0, each.pickup, each.dropoff, each.ready_s, each.ready_s + wait_max_s, each.promise_s or 0.0
        )
        for each in orders
    ]
    return Hindsight(saving_found_m(past, limits), saving_bound_m(past, limits))
