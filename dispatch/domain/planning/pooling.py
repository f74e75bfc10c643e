"""Partner choice for trips of one site: what partners still to come are worth, and whether it pays to wait for them.

All is counted in seconds of driving. Two orders in one trip save the way back from the first door and the way out to
the second one, less the way between the doors; a trip saves the sum over its neighbours.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from math import exp

from actors.values import frozen
from dispatch.domain.planning.travel import Travel
from dispatch.domain.planning.values import PlanOrder, SiteDemand, Spot


@frozen
class PoolSettings:
    """How long orders wait for partners.

    Attributes:
        wait_max_s: no order leaves later than this after it could, for the sake of a partner.
        wait_weight: seconds of driving that a second of one customer's waiting must be expected to save.
        detour_weight: the same for a second by which a customer's order is longer under way than alone.
        margin_s: a trip with partners is at each door this long before the promise.
        partners: partners that are looked at closely, of those that save most.
    """

    wait_max_s: float = 300.0
    wait_weight: float = 0.5
    detour_weight: float = 0.2
    margin_s: float = 60.0
    partners: int = 8


def neighbours_save_s(travel: Travel, site: Spot, one: Spot, other: Spot) -> float:
    """Driving that two doors save as neighbours in a trip from a site and back."""
    seconds = travel.seconds
    return seconds(site, one) + seconds(site, other) - seconds(one, other)


class Prospects:
    """What is expected of a site's orders to come, as learned from its recent ones.

    Each recent door stands for orders to come at the same rate, each as long before it is ready as that one was. No
    order stands for a partner of its own.
    """

    def __init__(self, demand: SiteDemand | None, site: Spot, travel: Travel, settings: PoolSettings) -> None:
        self._site, self._travel, self._settings = site, travel, settings
        self._doors = demand.doors if demand is not None else ()
        self._rate_per_s = 1 / demand.period_s if demand is not None else 0.0
        self._potentials: list[float] | None = None

    def potential_s(self, order_id: int, door: Spot, window_s: float) -> float:
        """What an order is expected to save with partners to come within a time: half of what the best pair saves."""
        others = (each for each in self._doors if each.order_id != order_id)
        found = sorted(((self._save_s(door, each.spot), each.lead_s) for each in others), reverse=True)
        expected_s, none = 0.0, 1.0
        for saved_s, lead_s in found:
            if saved_s <= 0.0:
                break
            left = none * exp(-self._rate_per_s * max(0.0, window_s - lead_s))
            expected_s += saved_s * (none - left)
            none = left
        return expected_s / 2

    def waiting_pays(self, orders: Sequence[PlanOrder], window_s: float) -> bool:
        """True if a trip that could leave now is expected to save more by waiting than its customers lose.

        It waits for the first partner worth having. `window_s`: how long it may wait at most.
        """
        doors, known = [order.dropoff for order in orders], {order.id for order in orders}
        coming = gains_s = leads_s = 0.0
        for each, potential_s in zip(self._doors, self._of_doors_s(), strict=True):
            if each.order_id in known:
                continue
            gain_s = self._joins_s(doors, each.spot) - potential_s
            if gain_s > 0.0 and each.lead_s < window_s:
                coming += 1.0
                gains_s += gain_s
                leads_s += each.lead_s
        if not coming:
            return False
        rate_per_s, lead_s = coming * self._rate_per_s, leads_s / coming
        chance = 1.0 - exp(-rate_per_s * (window_s - lead_s))
        waited_s = lead_s + chance / rate_per_s
        return chance * gains_s / coming > self._settings.wait_weight * len(doors) * waited_s

    def _of_doors_s(self) -> list[float]:
        if self._potentials is None:
            window_s = self._settings.wait_max_s
            self._potentials = [self.potential_s(each.order_id, each.spot, window_s) for each in self._doors]
        return self._potentials

    def _save_s(self, one: Spot, other: Spot) -> float:
        return neighbours_save_s(self._travel, self._site, one, other)

    def _joins_s(self, doors: Sequence[Spot], door: Spot) -> float:
        """What one more door saves at its best place in a trip."""
        best_s = max(self._save_s(door, doors[0]), self._save_s(doors[-1], door))
        for one, other in pairwise(doors):
            between_s = self._save_s(one, door) + self._save_s(door, other) - self._save_s(one, other)
            best_s = max(best_s, between_s)
        return best_s
