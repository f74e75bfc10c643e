"""Recent orders of stores, from which it is learned what partners are to come."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from typing import NamedTuple

from dispatch.domain.planning.values import PlanOrder, RecentDoor, SiteDemand

# The newest orders of a site stand for those to come; older ones than that for none.
DOORS_MAX, MEMORY_S = 48, 3600.0
# Orders within less time than this say little about how many are to come.
PERIOD_MIN_S = 600.0


class _Placed(NamedTuple):
    """An order: when it was placed, and its door."""

    at_s: float
    door: RecentDoor


class RecentDoors:
    """The newest orders of each store."""

    def __init__(self) -> None:
        self._stores: dict[int, deque[_Placed]] = {}

    def note(self, order: PlanOrder) -> None:
        """Remember an order. It is told once."""
        placed = self._stores.setdefault(order.store_id, deque(maxlen=DOORS_MAX))
        door = RecentDoor(order.id, order.dropoff, max(0.0, order.ready_s - order.placed_s))
        placed.append(_Placed(order.placed_s, door))

    def demand(self, site_of: Mapping[int, int], now_s: float) -> tuple[SiteDemand, ...]:
        """What the orders of the last hour say, by site. Stores without any are forgotten."""
        by_site: dict[int, list[_Placed]] = {}
        for store, placed in list(self._stores.items()):
            while placed and placed[0].at_s < now_s - MEMORY_S:
                placed.popleft()
            if not placed:
                del self._stores[store]
                continue
            by_site.setdefault(site_of.get(store, store), []).extend(placed)
        found = []
        for site in sorted(by_site):
            newest = sorted(by_site[site], reverse=True)[:DOORS_MAX]
            period_s = max(PERIOD_MIN_S, now_s - newest[-1].at_s)
            found.append(SiteDemand(site, period_s, tuple(each.door for each in newest)))
        return tuple(found)
