"""Regret insertion: the order that loses most if it does not get its best driver comes first."""

from __future__ import annotations

from collections.abc import Sequence

from dispatch.domain.planning.draws import Draws
from dispatch.domain.planning.route_set import RouteSet
from dispatch.domain.planning.routes import INFEASIBLE, Insertion
from dispatch.domain.planning.settings import PlanSettings
from dispatch.domain.planning.values import PlanOrder

Options = dict[int, Insertion]
Ranks = dict[int, tuple[float, int]]


class Inserter:
    """Puts orders into routes. `candidates[number]`: drivers worth considering for an order."""

    def __init__(
        self,
        orders: Sequence[PlanOrder],
        routes: RouteSet,
        candidates: Sequence[Sequence[int]],
        settings: PlanSettings,
        draws: Draws,
    ) -> None:
        self._orders = orders
        self._routes = routes
        self._candidates = candidates
        self._unplanned_s = settings.unplanned_s
        self._draws = draws

    def insert(
        self, pool: Sequence[int], relieved: Sequence[int], *, regret: bool, noise_s: float
    ) -> list[int]:
        """Insert all orders of the pool. Returns those that no driver can take.

        `relieved`: drivers from whom orders were taken; they are considered for all orders of the pool.
        `regret`: False takes the cheapest order first. `noise_s`: each comparison is blurred by up to this.
        """
        options = {number: self.options(number, relieved) for number in sorted(pool)}
        ranks = {number: self._rank(found, regret, noise_s) for number, found in options.items()}
        left = []
        while ranks:
            number = _most_urgent(ranks)
            _, driver = ranks.pop(number)
            found = options.pop(number)
            if driver < 0:
                left.append(number)
                continue
            route = self._routes.books[driver].route(found[driver][1])
            assert route is not None, "an insertion is a route"
            self._routes.put(driver, route)
            site_id = self._orders[number].site_id
            for other, others in options.items():
                if driver in others or (self._orders[other].site_id == site_id and self._may(other, driver)):
                    others[driver] = self._routes.books[driver].insertion(route, other)
                    ranks[other] = self._rank(others, regret, noise_s)
        return left

    def _may(self, number: int, driver: int) -> bool:
        """False if the driver has declined the order."""
        declined = self._orders[number].declined_by
        return not declined or self._routes.books[driver].driver.id not in declined

    def options(self, number: int, relieved: Sequence[int] = ()) -> Options:
        """Insertions by driver: the candidates, those relieved, and all who come to the order's site anyway."""
        routes, books = self._routes.routes, self._routes.books
        found: Options = {}
        for driver in self._candidates[number]:
            route = routes[driver]
            found[driver] = route.insertions.get(number) or books[driver].insertion(route, number)
        others = [*self._routes.drivers_at(self._orders[number].site_id), *relieved]
        if number in self._routes.driver_of:
            others.append(self._routes.driver_of[number])
        for driver in others:
            if driver not in found and self._may(number, driver):
                found[driver] = books[driver].insertion(routes[driver], number)
        return found

    def _rank(self, options: Options, regret: bool, noise_s: float) -> tuple[float, int]:
        """Urgency of an order, and its best driver; -1 if there is none."""
        best_s = second_s = INFEASIBLE
        best = -1
        blurs = self._draws.many(len(options)) if noise_s else ()
        at = 0
        for driver, insertion in options.items():
            cost_s = insertion[0]
            if noise_s:
                cost_s += noise_s * blurs[at]
                at += 1
            if cost_s < second_s:
                if cost_s < best_s:
                    best_s, second_s, best = cost_s, best_s, driver
                else:
                    second_s = cost_s
        if best_s >= self._unplanned_s:
            return INFEASIBLE, -1
        return (min(second_s, self._unplanned_s) - best_s if regret else -best_s), best


def _most_urgent(ranks: Ranks) -> int:
    """The first one of the most urgent orders."""
    found, most = -1, float("-inf")
    for number, (urgency_s, _) in ranks.items():
        if urgency_s > most:
            found, most = number, urgency_s
    return found
