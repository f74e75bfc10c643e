"""Matching: a pure function from a zone's open orders and free drivers to proposals of offers.

The oldest order comes first. It is offered to the k nearest drivers with a free slot that had no offer of it in this
round. A driver has at most as many open offers as free slots, so that an acceptance rarely finds the driver busy. When
all drivers had an offer without success, they get another one. Drivers that are too far away get none. A driver from
whom the order was taken gets one only if there is no other driver. A driver without a known place may be near, and
comes last.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from functools import partial

from actors.values import frozen
from dispatch.domain.driver_index import DriverIndex
from dispatch.domain.geo import Place, distance_m


@frozen
class OpenOrder:
    """Order in search of a driver, without a live offer.

    `may_repeat`: drivers that had an offer in this round may get another. `released`: drivers from whom the order was
    taken recently; they get an offer only if there is no other driver.
    """

    id: int
    pickup: Place
    created_ms: int
    round: int
    wave: int
    tried: frozenset[int] = frozenset()
    may_repeat: bool = True
    released: frozenset[int] = frozenset()


@frozen
class Proposal:
    """Proposal: offer this order to these drivers, nearest first.

    Attributes:
        distances_m: from driver to pick-up, in the same order; -1 if the driver's place is unknown.
        again: the drivers had an offer before in this round.
    """

    order: OpenOrder
    driver_ids: tuple[int, ...]
    distances_m: tuple[int, ...]
    again: bool


def plan(
    orders: Iterable[OpenOrder], fleet: DriverIndex, k: int, *, offered: Mapping[int, int], reach_m: int
) -> list[Proposal]:
    """Match orders with drivers. Deterministic: ties go to the lower id.

    `k`: drivers per order. `offered`: number of slots with live offers, by driver. `reach_m`: greatest distance from
    the pick-up.
    """
    spoken = Counter(offered)
    left = fleet.slots_left(spoken)
    deserted: set[Place] = set()
    proposals = []
    for order in sorted(orders, key=lambda x: (x.created_ms, x.id)):
        if left <= 0:
            break  # no slot is left
        if order.pickup in deserted or (not order.may_repeat and fleet.within(order.tried)):
            continue  # all drivers had an offer a moment ago
        look = partial(fleet.nearest, order.pickup, reach_m=reach_m)
        asked, again = _chosen(order, look, k, spoken)
        metres = [_metres(order.pickup, fleet.place_of(driver)) for driver in asked]
        near = [(driver, away_m) for driver, away_m in zip(asked, metres, strict=True) if away_m <= reach_m]
        if not near:
            if not look(1, (), {}):
                deserted.add(order.pickup)
            continue
        spoken.update(driver for driver, _ in near)
        left -= len(near)
        ids, away = zip(*near, strict=True)
        proposals.append(Proposal(order, ids, away, again))
    return proposals


def _chosen(
    order: OpenOrder, look: Callable[..., list[int]], k: int, spoken: Mapping[int, int]
) -> tuple[list[int], bool]:
    """Drivers for an order's next wave, and whether they had an offer before."""
    asked = look(k, order.tried | order.released if order.released else order.tried, spoken)
    if asked:
        return asked, False
    # There are other drivers, though perhaps all have offers now: drivers from whom the order was taken wait.
    spared = order.released if order.released and look(1, order.released, {}) else frozenset[int]()
    if order.released and not spared:
        asked = look(k, order.tried, spoken)
    if asked or not order.may_repeat:
        return asked, False
    return look(k, spared, spoken), True


def _metres(at: Place, place: Place | None) -> int:
    return -1 if place is None else round(distance_m(at, place))
