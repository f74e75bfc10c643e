"""Small worlds for the planner, a walk through its trips that shares nothing with it, and the best of all plans."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import permutations
from random import Random

from dispatch.domain.planning import (
    DemandPoint,
    PlanDriver,
    PlanOrder,
    PlanSettings,
    PlanState,
    Spot,
    straight_travel,
)

# Ten metres a second; two minutes of service before and after each stop.
SETTINGS = PlanSettings(straight_travel(10.0))
NOW_S = 6000.0
# Without the worth of places, the planner minimises what `best_plan_s` does.
PLAIN = replace(SETTINGS, position_s=0.0, iterations=200, candidates=20)


def order(number: int, at: tuple[float, float], to: tuple[float, float], **more: object) -> PlanOrder:
    """An order placed at NOW_S and ready ten minutes later, of the site and store 1."""
    values: dict[str, object] = {
        "site_id": 1,
        "store_id": 1,
        "placed_s": NOW_S,
        "ready_s": NOW_S + 600,
        **more,
    }
    return PlanOrder(id=number, pickup=Spot(*at), dropoff=Spot(*to), **values)  # type: ignore[arg-type]


def driver(number: int, at: tuple[float, float], **more: object) -> PlanDriver:
    """A driver who is idle and stays for three hours."""
    values: dict[str, object] = {"free_s": NOW_S, "shift_end_s": NOW_S + 3 * 3600, **more}
    return PlanDriver(id=number, spot=Spot(*at), **values)  # type: ignore[arg-type]


def world(seed: int, orders: int, drivers: int, *, sites: int = 3, town_m: int = 6000) -> PlanState:
    """A random town: some drivers under way, some shifts that end soon, some orders declined."""
    chance = Random(seed)

    def spot() -> Spot:
        return Spot(float(chance.randrange(town_m)), float(chance.randrange(town_m)))

    stores = [spot() for _ in range(sites)]
    made_orders = []
    for number in range(1, orders + 1):
        site, placed_s = chance.randrange(sites), NOW_S - chance.randrange(900)
        made_orders.append(
            PlanOrder(
                number, site, site, stores[site], spot(), placed_s, placed_s + chance.randrange(1800),
                units=chance.randint(1, 3),
                declined_by=frozenset(n for n in range(1, drivers + 1) if chance.random() < 0.15),
            )
        )  # fmt: skip
    made_drivers = [
        PlanDriver(
            number, spot(), NOW_S + chance.choice((0, 0, 300, 1100)), NOW_S + chance.choice((1200, 3600, 9000)),
            chance.randint(1, 4), chance.randint(2, 7),
        )
        for number in range(1, drivers + 1)
    ]  # fmt: skip
    demand = tuple(DemandPoint(at, chance.random()) for at in stores)
    return PlanState(tuple(made_orders), tuple(made_drivers), (), demand, seed)


class TripWalk:
    """One trip, stop by stop, with the rules written out once more. For sites with one store."""

    def __init__(self, orders: Sequence[PlanOrder], at: Spot, free_s: float, settings: PlanSettings) -> None:
        travel = settings.travel.seconds
        store, half_s = orders[0].pickup, settings.dropoff_half_s
        arrival_s = free_s + travel(at, store)
        self.pickup_s = max(arrival_s + settings.pickup_half_s, max(each.ready_s for each in orders))
        time_s, place = self.pickup_s + settings.pickup_half_s, store
        self.doors_s, self.detours_s = [], []
        departed_s = time_s
        for each in orders:
            time_s += travel(place, each.dropoff) + half_s
            self.doors_s.append(time_s)
            self.detours_s.append(time_s - half_s - departed_s - travel(store, each.dropoff))
            time_s, place = time_s + half_s, each.dropoff
        self.end_s, self.end = time_s, place

    def cost_s(self, orders: Sequence[PlanOrder]) -> float:
        """Placing to the door, summed."""
        return sum(door_s - each.placed_s for door_s, each in zip(self.doors_s, orders, strict=True))


def partings(orders: tuple[PlanOrder, ...], most: int) -> Iterator[list[tuple[PlanOrder, ...]]]:
    """All ways to part a sequence into trips of one site."""
    if not orders:
        yield []
    for count in range(1, min(most, len(orders)) + 1):
        head = orders[:count]
        if len({each.site_id for each in head}) == 1:
            for rest in partings(orders[count:], most):
                yield [head, *rest]


def best_route_s(driver_: PlanDriver, orders: Sequence[PlanOrder], settings: PlanSettings) -> float:
    """Lowest cost of all orders by one driver; infinite if that is not possible."""
    best_s = 0.0 if not orders else float("inf")
    if any(driver_.id in each.declined_by for each in orders):
        return float("inf")
    for sequence in permutations(orders):
        for trips in partings(sequence, min(driver_.slots, settings.trip_orders_max)):
            cost_s, at, time_s, possible = 0.0, driver_.spot, max(NOW_S, driver_.free_s), True
            for trip in trips:
                walk = TripWalk(trip, at, time_s, settings)
                possible &= walk.pickup_s <= driver_.shift_end_s
                possible &= max(walk.detours_s) <= settings.detour_max_s
                possible &= sum(each.units for each in trip) <= driver_.capacity_units
                cost_s, at, time_s = cost_s + walk.cost_s(trip), walk.end, walk.end_s
            if possible and trips:
                best_s = min(best_s, cost_s)
    return best_s


def best_plan_s(state: PlanState, settings: PlanSettings) -> float:
    """Lowest cost of all plans; an order may stay without a driver. Only for tiny states."""

    def rest(orders: tuple[PlanOrder, ...], drivers: tuple[PlanDriver, ...]) -> float:
        if not drivers:
            return settings.unplanned_s * len(orders)
        found = float("inf")
        for chosen in range(1 << len(orders)):
            mine = [each for place, each in enumerate(orders) if chosen >> place & 1]
            own_s = best_route_s(drivers[0], mine, settings)
            if own_s < found:
                others = tuple(each for place, each in enumerate(orders) if not chosen >> place & 1)
                found = min(found, own_s + rest(others, drivers[1:]))
        return found

    return rest(state.orders, state.drivers)
