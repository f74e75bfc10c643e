"""What trips could have saved, had everything been known: a bound, and a plan that is good.

Distances are of the street: the straight line times a factor. A trip saves, against each order alone and back, the sum
over its neighbours of the ways to both doors less the way between them.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from itertools import pairwise
from math import hypot
from typing import NamedTuple

from actors.values import frozen
from dispatch.domain.planning.values import Spot


class PastOrder(NamedTuple):
    """An order as it was. It could leave its store from `ready_s` to `until_s`; `promise_s` is infinite without one."""

    site_id: int
    store: Spot
    door: Spot
    ready_s: float
    until_s: float
    promise_s: float = float("inf")


@frozen
class TripLimits:
    """What a trip has to keep."""

    metres_per_s: float
    street_factor: float
    trip_orders_max: int
    detour_max_s: float
    dropoff_s: float = 0.0

    def way_m(self, one: Spot, other: Spot) -> float:
        """Distance along the way."""
        return hypot(one[0] - other[0], one[1] - other[1]) * self.street_factor


def saved_m(trip: Sequence[PastOrder], limits: TripLimits) -> float:
    """What a trip saves; doors in the sequence of the trip. The way from store to store is left out."""
    total_m = 0.0
    for one, other in pairwise(trip):
        total_m += _link_m(one, other, limits)
    return total_m


def _link_m(one: PastOrder, other: PastOrder, limits: TripLimits) -> float:
    ways_m = limits.way_m(one.store, one.door) + limits.way_m(other.store, other.door)
    return ways_m - limits.way_m(one.door, other.door)


def alone_m(orders: Sequence[PastOrder], limits: TripLimits) -> float:
    """Distance if each order were driven alone, out and back."""
    return sum(2 * limits.way_m(order.store, order.door) for order in orders)


def saving_bound_m(orders: Sequence[PastOrder], limits: TripLimits) -> float:
    """No trips of these orders save more than this.

    Half of what two neighbours save is counted for each of them. An order has two neighbours at most, and one at the
    end of a trip. So it counts at most half of its best pair, and half of its second best if it is in the middle, which
    is not so for two of the orders of each trip. Pairs count only if the two could have been in one trip. And a trip of
    n orders is no shorter than the longest of them alone, so it saves n - 1 parts of n at most.
    """
    most = limits.trip_orders_max
    if most < 2:
        return 0.0
    best, second = [0.0] * len(orders), [0.0] * len(orders)
    for one, other, saving_m in _pairs(orders, limits):
        for order in (one, other):
            if saving_m > best[order]:
                best[order], second[order] = saving_m, best[order]
            elif saving_m > second[order]:
                second[order] = saving_m
    middles = len(orders) * (most - 2) // most
    neighbours_m = sum(best) / 2 + sum(sorted(second, reverse=True)[:middles]) / 2
    return min(neighbours_m, alone_m(orders, limits) * (most - 1) / most)


def saving_found_m(orders: Sequence[PastOrder], limits: TripLimits) -> float:
    """What good trips of these orders save: pairs that save most are joined first, as far as trips are possible."""
    trips = {number: [number] for number in range(len(orders))}
    for one, other, _ in sorted(_pairs(orders, limits), key=lambda pair: (-pair[2], pair[0], pair[1])):
        first, last = trips[one], trips[other]
        if first is last or len(first) + len(last) > limits.trip_orders_max:
            continue
        for head, tail in ((first, last), (last, first)):
            joined = _joined(head, tail, one, other)
            if joined is not None and _possible([orders[number] for number in joined], limits):
                trips.update(dict.fromkeys(joined, joined))
                break
    made = {id(trip): trip for trip in trips.values()}
    return sum(saved_m([orders[number] for number in trip], limits) for trip in made.values())


def _joined(head: list[int], tail: list[int], one: int, other: int) -> list[int] | None:
    """Two trips one after the other, with the two orders as neighbours; None if one is in the middle of its trip."""
    ends = {head[-1], tail[0]}
    return [*head, *tail] if ends == {one, other} else None


def _pairs(orders: Sequence[PastOrder], limits: TripLimits) -> Iterator[tuple[int, int, float]]:
    """Pairs of orders that could be neighbours, and what they save."""
    sequence = sorted(range(len(orders)), key=lambda number: orders[number].ready_s)
    ready_s = [orders[number].ready_s for number in sequence]
    for place, one in enumerate(sequence):
        for other in sequence[place + 1 : bisect_right(ready_s, orders[one].until_s)]:
            a, b = orders[one], orders[other]
            if a.site_id != b.site_id:
                continue
            saving_m = _link_m(a, b, limits)
            if saving_m > 0 and (_possible((a, b), limits, 0.0) or _possible((b, a), limits, 0.0)):
                yield one, other, saving_m


def _possible(trip: Sequence[PastOrder], limits: TripLimits, dropoff_s: float | None = None) -> bool:
    """True if a trip of these orders in this sequence keeps all limits, if it leaves when the last one is ready."""
    leaves_s = max(order.ready_s for order in trip)
    if leaves_s > min(order.until_s for order in trip):
        return False
    service_s = limits.dropoff_s if dropoff_s is None else dropoff_s
    way_m, after_s, at = 0.0, 0.0, trip[0].store
    for place, order in enumerate(trip):
        way_m += limits.way_m(at, order.door)
        after_s = way_m / limits.metres_per_s + place * service_s
        alone_s = limits.way_m(order.store, order.door) / limits.metres_per_s
        if after_s - alone_s > limits.detour_max_s or leaves_s + after_s > max(
            order.promise_s, order.ready_s + alone_s
        ):
            return False
        at = order.door
    return True
