"""Large-neighbourhood search: take related orders out, put them back in another way, keep what is better."""

from __future__ import annotations

from collections.abc import Sequence
from math import hypot

from dispatch.domain.planning.draws import Draws
from dispatch.domain.planning.insertion import Inserter
from dispatch.domain.planning.route_set import RouteSet
from dispatch.domain.planning.settings import PlanSettings
from dispatch.domain.planning.values import PlanOrder

# Shares of rounds: orders at random instead of related ones; regret; blurred costs.
RANDOM_SHARE, REGRET_SHARE, NOISE_SHARE = 0.25, 0.8, 0.5
# Orders of one store, and orders of one driver, are that much closer.
SAME_SITE, SAME_DRIVER = 0.3, 0.5
# An order waits for its driver if it leaves the store later than this after it could.
WAITING_S = 60.0
# The same cost, but for rounding.
EPSILON_S = 1e-6


class Search:
    """One step's search. `left`: orders without a driver so far."""

    def __init__(
        self,
        orders: Sequence[PlanOrder],
        routes: RouteSet,
        inserter: Inserter,
        settings: PlanSettings,
        draws: Draws,
    ) -> None:
        self._orders = orders
        self._routes = routes
        self._inserter = inserter
        self._settings = settings
        self._draws = draws
        self._apart: dict[int, list[float]] = {}
        self._pace = 1 / settings.travel.metres_per_s
        self._marks = [(*order.pickup, *order.dropoff, order.ready_s, order.site_id) for order in orders]
        self.left: list[int] = []

    @property
    def cost_s(self) -> float:
        """What the search minimises."""
        return self._cost_s(self.left)

    def _cost_s(self, left: Sequence[int]) -> float:
        return self._routes.cost_s + self._settings.unplanned_s * len(left)

    def improve(self) -> int:
        """Run all rounds. Returns how many of them were better."""
        better = 0
        planned = self._routes.numbers()
        for _ in range(self._rounds(planned)):
            cost_s = self.cost_s
            left = self._round(planned, cost_s - EPSILON_S)
            if left is not None and self._cost_s(left) < cost_s - EPSILON_S:
                self._routes.commit()
                self.left, better = left, better + 1
                planned = self._routes.numbers()
            else:
                self._routes.roll_back()
        return better

    def _rounds(self, planned: Sequence[int]) -> int:
        """With drivers enough, there is little to search for."""
        settings = self._settings
        if not planned or not settings.iterations:
            return 0
        late = sum(delay_s > WAITING_S for delay_s in self._routes.delays_s(self._orders))
        more = settings.iterations_per_waiting * (late + len(self.left))
        refused = settings.iterations_per_refused * sum(bool(order.declined_by) for order in self._orders)
        rounds = max(settings.iterations, min(settings.iterations + round(more), settings.iterations_max))
        return min(rounds + refused, settings.iterations_max_refused)

    def _round(self, planned: Sequence[int], below_s: float) -> list[int] | None:
        """One round. Returns the orders that found no driver; None: it makes the plan no cheaper than `below_s`."""
        draws = self._draws
        most = min(self._settings.removed_max, len(planned))
        least = min(self._settings.removed_min, most)
        count = least + draws.below(most - least + 1)
        out, relieved = self._routes.take_out(self._chosen(planned, count))
        noise_s = self._settings.noise_s if draws.unit() < NOISE_SHARE else 0.0
        regret = draws.unit() < REGRET_SHARE
        return self._inserter.insert(
            out + self.left, relieved, regret=regret, noise_s=noise_s, below_s=below_s
        )

    def _chosen(self, planned: Sequence[int], count: int) -> list[int]:
        """An order and some others: related ones as a rule."""
        draws = self._draws
        middle = planned[draws.below(len(planned))]
        count_all = len(planned)
        if draws.unit() < RANDOM_SHARE:
            scores: Sequence[float] = draws.many(count_all)
        else:
            scores = self._scores(planned, middle, draws.many(count_all))
        nearest = sorted(range(count_all), key=scores.__getitem__)[:count]
        chosen = [planned[at] for at in nearest if planned[at] != middle]
        return [middle, *chosen[: count - 1]]

    def _scores(self, planned: Sequence[int], middle: int, blurs: Sequence[float]) -> list[float]:
        """How far orders are from one, blurred."""
        driver_of, apart = self._routes.driver_of, self._apart_from(middle)
        driver, scores = driver_of[middle], []
        for at, number in enumerate(planned):
            score = apart[number] * (0.5 + blurs[at])
            scores.append(score * SAME_DRIVER if driver_of[number] == driver else score)
        return scores

    def _apart_from(self, middle: int) -> list[float]:
        """How far all orders are from one, in place and time: as a trip before it, and as a trip after it."""
        found = self._apart.get(middle)
        if found is None:
            pickup_x, pickup_y, dropoff_x, dropoff_y, ready_s, site_id = self._marks[middle]
            pace = self._pace
            found = self._apart[middle] = [
                (
                    abs(ready - ready_s)
                    + pace * hypot(dropoff_x - from_x, dropoff_y - from_y)
                    + pace * hypot(to_x - pickup_x, to_y - pickup_y)
                )
                * (SAME_SITE if site == site_id else 1.0)
                for from_x, from_y, to_x, to_y, ready, site in self._marks
            ]
        return found
