"""Who is offered what: a pure function from a zone's picture to proposals.

This plan is the simple one: the oldest order first, the k nearest drivers with a free slot that were not
asked in this round. A driver has at most as many offers open as it has free slots, so that an acceptance
rarely finds the driver busy. When all were asked in vain, they are asked again.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable
from dataclasses import dataclass
from math import cos, radians

from dispatch.domain.geo import Place, distance_m


@dataclass(frozen=True, slots=True)
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


@dataclass(frozen=True, slots=True)
class FreeDriver:
    """A driver that is online; `slots` is what it may still be offered."""

    id: int
    place: Place | None
    slots: int


@dataclass(frozen=True, slots=True)
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


def plan(orders: Iterable[OpenOrder], drivers: Iterable[FreeDriver], k: int) -> list[Proposal]:
    """Proposals for one moment. Deterministic: ties go to the lower id."""
    slots = {d.id: d.slots for d in drivers if d.slots > 0}
    places = {d.id: d.place for d in drivers}
    proposals = []
    for order in sorted(orders, key=lambda x: (x.created_ms, x.id)):
        if not slots:
            break
        if not order.may_repeat and len(order.tried) >= len(places):
            continue  # everybody was asked a moment ago
        fresh = [d for d in slots if d not in order.tried]
        again = not fresh
        if again and not order.may_repeat:
            continue
        nearest = _nearest(order.pickup, fresh or list(slots), places, k)
        proposals.append(
            Proposal(
                order,
                tuple(nearest),
                tuple(_metres(order.pickup, places[d]) for d in nearest),
                again,
            )
        )
        for driver in nearest:
            slots[driver] -= 1
            if slots[driver] == 0:
                del slots[driver]
    return proposals


def _nearest(at: Place, ids: list[int], places: dict[int, Place | None], k: int) -> list[int]:
    """The k nearest by flat distance, which orders a city as the sphere does and costs a tenth."""
    shrink = cos(radians(at.lat))

    def far(driver: int) -> tuple[float, int]:
        place = places[driver]
        if place is None:
            return (float("inf"), driver)
        north, east = place.lat - at.lat, (place.lon - at.lon) * shrink
        return (north * north + east * east, driver)

    return heapq.nsmallest(k, ids, key=far)


def _metres(at: Place, place: Place | None) -> int:
    return -1 if place is None else round(distance_m(at, place))
