"""Who is offered what: a pure function from a zone's picture to proposals.

This plan is the simple one: the oldest order first, the k nearest drivers with a free slot that were not
asked in this round. A driver has at most as many offers open as it has free slots, so that an acceptance
rarely finds the driver busy. When all were asked in vain, they are asked again. Nobody is asked who is too far away,
and one whom the order was taken from only when nobody else is there. Who has not said where he is may be near: he
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
    """An order that looks for a driver and has no live offer.

    `may_repeat`: it is time to ask those again who were asked in vain. `released`: drivers that it was taken from not
    long ago; they are asked when nobody else is there.
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
    """Offer this order to these drivers, the nearest first.

    Attributes:
        distances_m: from driver to pick-up, in the same order; -1 where the driver's place is unknown.
        again: the drivers were asked before in this round.
    """

    order: OpenOrder
    driver_ids: tuple[int, ...]
    distances_m: tuple[int, ...]
    again: bool


def plan(
    orders: Iterable[OpenOrder], fleet: DriverIndex, k: int, *, offered: Mapping[int, int], reach_m: int
) -> list[Proposal]:
    """Proposals for one moment. Deterministic: ties go to the lower id.

    `k` drivers are asked at once. `offered`: slots that are spoken for by live offers, by driver. `reach_m`: nobody
    who is farther from the pick-up is asked.
    """
    spoken = Counter(offered)
    left = fleet.slots_left(spoken)
    deserted: set[Place] = set()
    proposals = []
    for order in sorted(orders, key=lambda x: (x.created_ms, x.id)):
        if left <= 0:
            break  # nobody has a slot left
        if order.pickup in deserted or (not order.may_repeat and fleet.within(order.tried)):
            continue  # everybody who is here was asked a moment ago
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
    """Whom to ask, and whether they were asked before."""
    asked = look(k, order.tried | order.released if order.released else order.tried, spoken)
    if asked:
        return asked, False
    # Somebody else is there, though perhaps with an offer at the moment: then it is not yet the turn of those whom the
    # order was taken from.
    spared = order.released if order.released and look(1, order.released, {}) else frozenset[int]()
    if order.released and not spared:
        asked = look(k, order.tried, spoken)
    if asked or not order.may_repeat:
        return asked, False
    return look(k, spared, spoken), True


def _metres(at: Place, place: Place | None) -> int:
    return -1 if place is None else round(distance_m(at, place))
