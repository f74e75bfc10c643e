"""What trips could have saved: the bound is above the best of all trips, and the plan that is found is possible."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import permutations
from random import Random

import pytest

from dispatch.domain.planning import Spot
from dispatch.domain.planning.hindsight import (
    PastOrder,
    TripLimits,
    alone_m,
    saved_m,
    saving_bound_m,
    saving_found_m,
)

MALL = Spot(0.0, 0.0)
LIMITS = TripLimits(metres_per_s=10.0, street_factor=1.5, trip_orders_max=3, detour_max_s=400.0)


def past(to: tuple[float, float], ready_s: float = 0.0, **more: float) -> PastOrder:
    """An order of the mall that could wait for five minutes."""
    values = {"until_s": ready_s + 300, **more}
    return PastOrder(1, MALL, Spot(*to), ready_s, values["until_s"], values.get("promise_s", float("inf")))


def random_orders(seed: int, count: int) -> list[PastOrder]:
    chance = Random(seed)
    return [
        past(
            (chance.uniform(-2000, 2000), chance.uniform(-2000, 2000)),
            ready_s := chance.uniform(0, 700),
            promise_s=ready_s + chance.choice((400, 800, 9000)),
        )._replace(site_id=chance.choice((1, 1, 2)))
        for _ in range(count)
    ]


def is_possible(trip: Sequence[PastOrder]) -> bool:
    """The limits once more: it leaves when the last order is ready."""
    leaves_s, way_m, at = max(each.ready_s for each in trip), 0.0, MALL
    for each in trip:
        way_m, at = way_m + LIMITS.way_m(at, each.door), each.door
        alone_s, after_s = LIMITS.way_m(MALL, each.door) / 10.0, way_m / 10.0
        if (
            leaves_s > each.until_s
            or each.site_id != trip[0].site_id
            or after_s - alone_s > LIMITS.detour_max_s
        ):
            return False
        if leaves_s + after_s > max(each.promise_s, each.ready_s + alone_s):
            return False
    return True


def partings(numbers: tuple[int, ...]) -> Iterator[list[tuple[int, ...]]]:
    """All ways to part orders into trips."""
    if not numbers:
        yield []
        return
    first, rest = numbers[0], numbers[1:]
    for mask in range(1 << len(rest)):
        mine = tuple(number for place, number in enumerate(rest) if mask >> place & 1)
        if len(mine) < LIMITS.trip_orders_max:
            others = tuple(number for place, number in enumerate(rest) if not mask >> place & 1)
            for parting in partings(others):
                yield [(first, *mine), *parting]


def best_m(orders: Sequence[PastOrder]) -> float:
    """What the best trips save."""

    def trip_m(members: tuple[int, ...]) -> float:
        found = 0.0
        for sequence in permutations(members):
            trip = [orders[number] for number in sequence]
            if is_possible(trip):
                found = max(found, saved_m(trip, LIMITS))
        return found

    return max(sum(map(trip_m, parting)) for parting in partings(tuple(range(len(orders)))))


@pytest.mark.parametrize("seed", range(30))
def test_best_trips_are_between_what_is_found_and_the_bound(seed: int) -> None:
    orders = random_orders(seed, 6)
    best = best_m(orders)
    assert saving_found_m(orders, LIMITS) <= best + 1e-6
    assert best <= saving_bound_m(orders, LIMITS) + 1e-6


def test_trip_saves_the_ways_between_its_orders() -> None:
    trip = [past((0.0, 1000.0)), past((0.0, 2000.0)), past((0.0, -1000.0))]
    # 1000 out and back is on the way to 2000; the third one is on no way.
    assert saved_m(trip, LIMITS) == pytest.approx(2 * 1500.0)
    assert saving_found_m(trip, LIMITS) == pytest.approx(2 * 1500.0)
    assert alone_m(trip, LIMITS) == pytest.approx(2 * (1500 + 3000 + 1500))


def test_bound_never_exceeds_what_trips_of_that_size_can_save() -> None:
    orders = [past((0.0, 1000.0)) for _ in range(6)]
    assert saving_bound_m(orders, LIMITS) == pytest.approx(alone_m(orders, LIMITS) * 2 / 3)
    assert saving_found_m(orders, LIMITS) == pytest.approx(alone_m(orders, LIMITS) * 2 / 3)


@pytest.mark.parametrize(
    "other",
    [past((0.0, 1000.0), 301.0), past((0.0, 1000.0))._replace(site_id=2), past((0.0, -1000.0))],
    ids=["too late", "another site", "another way"],
)
def test_orders_that_could_not_ride_together_save_nothing(other: PastOrder) -> None:
    orders = [past((0.0, 1000.0)), other]
    assert (saving_found_m(orders, LIMITS), saving_bound_m(orders, LIMITS)) == (0.0, 0.0)


def test_trips_of_one_order_save_nothing() -> None:
    alone = TripLimits(10.0, 1.5, 1, 400.0)
    assert saving_bound_m([past((0.0, 1000.0)), past((0.0, 1000.0))], alone) == 0.0


def test_trip_that_is_found_leaves_while_all_of_its_orders_may_wait() -> None:
    """The first and the last order never wait at the same time."""
    orders = [past((0.0, 1000.0), ready_s) for ready_s in (0.0, 250.0, 500.0)]
    assert saving_found_m(orders, LIMITS) == pytest.approx(2 * 1500.0)
