"""Malls for the planner that pools, and a check of its trips that shares nothing with it."""

from __future__ import annotations

from itertools import pairwise
from random import Random

from dispatch.domain.planning import (
    PlanDriver,
    PlanOrder,
    PlanSettings,
    PlanState,
    PlanStop,
    PoolSettings,
    RecentDoor,
    SiteDemand,
    Spot,
    TripProposal,
)
from tests.unit.dispatch.planning_worlds import NOW_S, SETTINGS

MALL = Spot(0.0, 0.0)


def mall_order(number: int, to: tuple[float, float], **more: object) -> PlanOrder:
    """An order of the mall that is ready now, and was placed five minutes ago."""
    values: dict[str, object] = {
        "store_id": 1,
        "pickup": MALL,
        "placed_s": NOW_S - 300,
        "ready_s": NOW_S,
        **more,
    }
    return PlanOrder(id=number, site_id=1, dropoff=Spot(*to), **values)  # type: ignore[arg-type]


def idle(count: int, **more: object) -> tuple[PlanDriver, ...]:
    """Drivers who wait at the mall."""
    values: dict[str, object] = {"free_s": 0.0, "shift_end_s": NOW_S + 9000, **more}
    return tuple(PlanDriver(number, MALL, **values) for number in range(1, count + 1))  # type: ignore[arg-type]


def busy(
    to: tuple[float, float], count: int = 40, period_s: float = 600.0, lead_s: float = 0.0
) -> SiteDemand:
    """A mall whose orders of late all went to one place."""
    return SiteDemand(1, period_s, tuple(RecentDoor(1000 + n, Spot(*to), lead_s) for n in range(count)))


def mall_world(seed: int, orders: int, drivers: int) -> PlanState:
    """A town with two malls of some stores: drivers near and far, promises near and far, some orders declined."""
    chance = Random(seed)

    def spot(width_m: int, about: Spot = MALL) -> Spot:
        return Spot(
            about[0] + chance.randint(-width_m, width_m), about[1] + chance.randint(-width_m, width_m)
        )

    malls = [MALL, Spot(4000.0, 1000.0)]
    stores = [(number, site, spot(150, malls[site])) for number, site in enumerate((0, 0, 0, 1, 1))]
    made = []
    for number in range(1, orders + 1):
        store, site, place = chance.choice(stores)
        placed_s = NOW_S - chance.randrange(1500)
        ready_s, promise_s = placed_s + chance.randrange(1200), placed_s + chance.randrange(600, 4000)
        declined_by = frozenset(n for n in range(1, drivers + 1) if chance.random() < 0.1)
        made.append(
            PlanOrder(
                number, site, store, place, spot(3000, malls[site]), placed_s, ready_s,
                promise_s if chance.random() < 0.8 else None, chance.randint(1, 3), declined_by,
            )
        )  # fmt: skip
    riders = tuple(
        PlanDriver(
            number, spot(3000), NOW_S + chance.choice((-60, 0, 0, 400)), NOW_S + chance.choice((300, 2000, 9000)),
            chance.randint(1, 4), chance.randint(2, 7),
        )
        for number in range(1, drivers + 1)
    )  # fmt: skip
    recent = tuple(
        SiteDemand(
            site,
            chance.choice((600.0, 3600.0)),
            tuple(
                RecentDoor(1000 + n, spot(3000, malls[site]), chance.choice((0.0, 200.0)))
                for n in range(chance.choice((0, 5, 48)))
            ),
        )
        for site in (0, 1)
    )
    return PlanState(tuple(made), riders, recent=recent)


def trip_faults(
    proposal: TripProposal, state: PlanState, pooling: PoolSettings, settings: PlanSettings = SETTINGS
) -> list[str]:
    """What a trip breaks: each order against the same driver with that order alone."""
    orders = {order.id: order for order in state.orders}
    [driver] = [each for each in state.drivers if each.id == proposal.driver_id]
    travel, half_s = settings.travel.seconds, settings.pickup_half_s
    start_s, trip, found = max(NOW_S, driver.free_s), [orders[number] for number in proposal.order_ids], []
    doors_s = {stop.order_ids[0]: stop.at_s for stop in proposal.trip.stops if stop.kind == "dropoff"}
    pickups = [stop for stop in proposal.trip.stops if stop.kind == "pickup"]
    last = pickups[-1]
    begun_s = last.leave_s - _lead_s(pickups, settings)
    for order in trip:
        alone_s = travel(order.pickup, order.dropoff)
        arrived_s = start_s + travel(driver.spot, order.pickup)
        left_s = max(arrived_s + 2 * half_s, order.ready_s + half_s)
        door_s = left_s + alone_s + settings.dropoff_half_s
        if order.promise_s is not None and doors_s[order.id] > max(order.promise_s, door_s) + 1e-6:
            found.append(f"order {order.id} breaks its promise for the sake of a partner")
        if doors_s[order.id] - settings.dropoff_half_s - last.leave_s - travel(last.spot, order.dropoff) > (
            settings.detour_max_s + 1e-6
        ):
            found.append(f"order {order.id} makes too long a detour")
        if len(trip) > 1 and begun_s > max(left_s - 2 * half_s, order.ready_s + pooling.wait_max_s) + 1e-6:
            found.append(f"order {order.id} waits too long for its partners")
        if driver.id in order.declined_by:
            found.append(f"order {order.id} is offered again")
    if len({order.site_id for order in trip}) > 1:
        found.append("orders of two sites")
    if len(trip) > min(driver.slots, settings.trip_orders_max):
        found.append("too many orders")
    if sum(order.units for order in trip) > driver.capacity_units:
        found.append("too large")
    if last.at_s > driver.shift_end_s + 1e-6:
        found.append("a pick-up after the shift")
    return found


def _lead_s(pickups: list[PlanStop], settings: PlanSettings) -> float:
    """From the first store to departure, if nothing is waited for."""
    walk_s = 0.0
    for one, other in pairwise(pickups):
        walk_s += settings.travel.seconds(one.spot, other.spot)
    return walk_s + 2 * settings.pickup_half_s * len(pickups)
