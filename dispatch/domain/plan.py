"""Who is offered what: a pure function from a zone's picture to proposals.

This plan is the simple one: the oldest order first, the k nearest drivers with a free slot that were not
asked in this round. A driver has at most as many offers open as it has free slots, so that an acceptance
rarely finds the driver busy. When all were asked in vain, they are asked again.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping

from actors.frozen import frozen
from dispatch.domain.fleet import Fleet
from dispatch.domain.geo import Place, distance_m


@frozen
class OpenOrder:
    """An order that looks for a driver and has no live offer.

    `may_repeat`: it is time to ask those again who were asked in vain.
    """

    id: int
    pickup: Place
    created_ms: int
    round: int
    wave: int
    tried: frozenset[int] = frozenset()
    may_repeat: bool = True


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


def plan(orders: Iterable[OpenOrder], fleet: Fleet, k: int, *, offered: Mapping[int, int]) -> list[Proposal]:
    """Proposals for one moment. Deterministic: ties go to the lower id.

    `k` drivers are asked at once. `offered`: slots that are spoken for by live offers, by driver.
    """
    spoken = Counter(offered)
    proposals = []
    for order in sorted(orders, key=lambda x: (x.created_ms, x.id)):
        if not order.may_repeat and fleet.within(order.tried):
            continue  # everybody who is here was asked a moment ago
        asked = fleet.nearest(order.pickup, k, order.tried, spoken)
        again = not asked
        if again:
            asked = fleet.nearest(order.pickup, k, (), spoken)
            if not asked:
                break  # nobody has a slot left
            if not order.may_repeat:
                continue
        spoken.update(asked)
        metres = tuple(_metres(order.pickup, fleet.place_of(driver)) for driver in asked)
        proposals.append(Proposal(order, tuple(asked), metres, again))
    return proposals


def _metres(at: Place, place: Place | None) -> int:
    return -1 if place is None else round(distance_m(at, place))
