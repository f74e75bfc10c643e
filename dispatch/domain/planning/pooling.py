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
    partners: int = 6


class Prospects:
    """What is expected of a site's orders to come, as learned from its recent ones.

    Each recent door stands for orders to come at the same rate, each as long before it is ready as that one was. No
    order stands for a partner of its own.
    """

    def __init__(self, demand: SiteDemand | None, site: Spot, travel: Travel, settings: PoolSettings) -> None:
        self._site, self._seconds, self._settings = site, travel.seconds, settings
        self._doors = demand.doors if demand is not None else ()
        self._rate_per_s = 1 / demand.period_s if demand is not None else 0.0
        self._away_s = [self._seconds(site, each.spot) for each in self._doors]
        # Of recent doors, by their places in the list.
        self._potentials: dict[int, float] = {}

    def potential_s(self, order_id: int, door: Spot, window_s: float) -> float:
        """What an order is expected to save with partners to come within a time: half of what the best pair saves."""
        seconds, away_s, found = self._seconds, self._seconds(self._site, door), []
        for each, other_s in zip(self._doors, self._away_s, strict=True):
            if each.lead_s < window_s and each.order_id != order_id:
                saved_s = away_s + other_s - seconds(door, each.spot)
                if saved_s > 0.0:
                    found.append((saved_s, each.lead_s))
        found.sort(reverse=True)
        expected_s, none = 0.0, 1.0
        for saved_s, lead_s in found:
            left = none * exp(-self._rate_per_s * (window_s - lead_s))
            expected_s += saved_s * (none - left)
            none = left
        return expected_s / 2

    def waiting_pays(self, orders: Sequence[PlanOrder], window_s: float) -> bool:
        """True if a trip that could leave now is expected to save more by waiting than its customers lose.

        It waits for the first partner worth having. `window_s`: how long it may wait at most.
        """
        trip = [(order.dropoff, self._seconds(self._site, order.dropoff)) for order in orders]
        known = {order.id for order in orders}
        coming = gains_s = leads_s = 0.0
        for place, each in enumerate(self._doors):
            if each.lead_s >= window_s or each.order_id in known:
                continue
            gain_s = self._joins_s(trip, each.spot, self._away_s[place])
            if gain_s > 0.0:
                gain_s -= self._of_door_s(place)
            if gain_s > 0.0:
                coming += 1.0
                gains_s += gain_s
                leads_s += each.lead_s
        if not coming:
            return False
        rate_per_s, lead_s = coming * self._rate_per_s, leads_s / coming
        chance = 1.0 - exp(-rate_per_s * (window_s - lead_s))
        waited_s = lead_s + chance / rate_per_s
        return chance * gains_s / coming > self._settings.wait_weight * len(trip) * waited_s

    def _of_door_s(self, place: int) -> float:
        """What an order to a recent door is expected to save with others."""
        found = self._potentials.get(place)
        if found is None:
            each = self._doors[place]
            found = self._potentials[place] = self.potential_s(
                each.order_id, each.spot, self._settings.wait_max_s
            )
        return found

    def _joins_s(self, trip: Sequence[tuple[Spot, float]], door: Spot, away_s: float) -> float:
        """What one more door saves at its best place in a trip: doors, each with its way from the site."""
        seconds = self._seconds
        ways_s = [seconds(each, door) for each, _ in trip]
        best_s = away_s + max(trip[0][1] - ways_s[0], trip[-1][1] - ways_s[-1])
        for place, ((one, _), (other, _)) in enumerate(pairwise(trip)):
            # Out and back alone, less the way round by this door.
            between_s = 2 * away_s - ways_s[place] - ways_s[place + 1] + seconds(one, other)
            best_s = max(best_s, between_s)
        return best_s
