"""Regret insertion: the order that loses most if it does not get its best driver comes first."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from dispatch.domain.planning.candidates import DriverGrid
from dispatch.domain.planning.draws import Draws
from dispatch.domain.planning.route_set import RouteSet
from dispatch.domain.planning.routes import INFEASIBLE, Alone
from dispatch.domain.planning.settings import PlanSettings
from dispatch.domain.planning.trips import TripShapes
from dispatch.domain.planning.values import PlanOrder


class Rank:
    """The best two drivers of an order with their costs; -1 if there is none."""

    __slots__ = ("best", "best_s", "second", "second_s")

    def __init__(self, best: int, best_s: float, second: int, second_s: float) -> None:
        self.best, self.best_s, self.second, self.second_s = best, best_s, second, second_s

    def take(self, driver: int, cost_s: float) -> None:
        """Take in one more driver."""
        if cost_s < self.best_s:
            self.second, self.second_s, self.best, self.best_s = self.best, self.best_s, driver, cost_s
        elif cost_s < self.second_s:
            self.second, self.second_s = driver, cost_s


INFINITE = float("inf")


class Inserter:
    """Puts orders into routes. Which drivers are near an order is found out when it is first asked for."""

    def __init__(
        self,
        orders: Sequence[PlanOrder],
        routes: RouteSet,
        grid: DriverGrid,
        shapes: TripShapes,
        settings: PlanSettings,
        draws: Draws,
    ) -> None:
        self._orders = orders
        self._routes = routes
        self._grid = grid
        self._shapes = shapes
        self._count = settings.candidates
        self._pickup_half_s = settings.pickup_half_s
        self._unplanned_s = settings.unplanned_s
        self._draws = draws
        self._near: list[dict[int, Alone] | None] = [None] * len(orders)

    def insert(
        self, pool: Sequence[int], relieved: Sequence[int], *, regret: bool, noise_s: float, below_s: float
    ) -> list[int] | None:
        """Insert all orders of the pool. Returns those that no driver can take; None: it would cost too much.

        `relieved`: drivers from whom orders were taken; they are considered for all orders of the pool.
        `regret`: False takes the cheapest order first. `noise_s`: choices are blurred by up to this. `below_s`: a plan
        that costs as much is of no use.
        """
        others = {number: self._others(number, relieved) for number in sorted(pool)}
        ranks = {number: self._rank(number, others[number]) for number in others}
        left: list[int] = []
        while ranks:
            if self._least_s(ranks, left) >= below_s:
                return None
            number = self._most_urgent(ranks, regret, noise_s)
            rank = ranks.pop(number)
            if rank.best_s >= self._unplanned_s:
                left.append(number)
                continue
            driver = self._chosen(rank, noise_s)
            self._put(number, driver)
            site_id = self._orders[number].site_id
            for other, found in ranks.items():
                known = driver in self.near(other) or driver in others[other]
                if not known and self._orders[other].site_id == site_id and self._may(other, driver):
                    others[other].append(driver)
                    known = True
                if driver == found.best or driver == found.second:
                    ranks[other] = self._rank(other, others[other])
                elif known:
                    self._compare(other, driver, found)
        return left

    def _least_s(self, ranks: dict[int, Rank], left: Sequence[int]) -> float:
        """What the plan will cost if each order gets its best driver, as if it were the only one."""
        least_s, unplanned_s = self._routes.cost_s + self._unplanned_s * len(left), self._unplanned_s
        for rank in ranks.values():
            least_s += min(rank.best_s, unplanned_s)
        return least_s

    def _most_urgent(self, ranks: dict[int, Rank], regret: bool, noise_s: float) -> int:
        """The first one of the most urgent orders: those that lose most without their best driver, or the cheapest."""
        found, most_s, unplanned_s = -1, -INFINITE, self._unplanned_s
        for number, rank in ranks.items():
            if rank.best_s >= unplanned_s:
                urgency_s = INFEASIBLE
            else:
                urgency_s = -rank.best_s
                if regret:
                    urgency_s += min(rank.second_s, unplanned_s)
                if noise_s:
                    urgency_s += noise_s * self._draws.unit()
            if urgency_s > most_s:
                found, most_s = number, urgency_s
        return found

    def _chosen(self, rank: Rank, noise_s: float) -> int:
        """The best driver; with noise, the second one if it is not much worse, by chance."""
        if not noise_s or rank.second < 0 or rank.second_s >= self._unplanned_s:
            return rank.best
        more_s = rank.second_s - rank.best_s
        return rank.second if more_s < noise_s * (self._draws.unit() - self._draws.unit()) else rank.best

    def _compare(self, number: int, driver: int, rank: Rank) -> None:
        """Take a driver into an order's rank whose route has changed, and who was not among its best two."""
        book, route = self._routes.books[driver], self._routes.routes[driver]
        alone = self.near(number).get(driver)
        if alone is None:
            cost_s = book.insertion(route, number)[0]
        else:
            cost_s = book.cost_below(route, number, alone, rank.second_s)
        if cost_s < rank.second_s:
            rank.take(driver, cost_s)

    def _put(self, number: int, driver: int) -> None:
        book, route = self._routes.books[driver], self._routes.routes[driver]
        trips = book.insertion(route, number)[1]
        longer = None if trips is None else book.route(trips)
        assert longer is not None, "an insertion is a route"
        self._routes.put(driver, longer)

    def _may(self, number: int, driver: int) -> bool:
        """False if the driver has declined the order."""
        declined = self._orders[number].declined_by
        return not declined or self._routes.books[driver].driver.id not in declined

    def near(self, number: int) -> dict[int, Alone]:
        """Drivers who can be at an order's store first, and what it costs if it is their only one."""
        found = self._near[number]
        if found is None:
            order, spot = self._orders[number], self._shapes.pickup(number)
            due_s = order.ready_s - self._pickup_half_s
            drivers = self._grid.soonest(spot, due_s, self._count, order.declined_by)
            books, single = self._routes.books, self._shapes.single[number]
            found = self._near[number] = {driver: books[driver].alone(single) for driver in drivers}
        return found

    def _others(self, number: int, relieved: Iterable[int]) -> list[int]:
        """Drivers to consider beside those who are near: relieved ones, and all who come to the order's site anyway."""
        near, routes = self.near(number), self._routes
        others = dict.fromkeys(routes.drivers_at(self._orders[number].site_id))
        others |= dict.fromkeys(relieved)
        own = routes.driver_of.get(number)
        if own is not None:
            others[own] = None
        return [driver for driver in others if driver not in near and self._may(number, driver)]

    def considered(self, number: int) -> list[int]:
        """All drivers who are worth considering for an order."""
        return [*self.near(number), *self._others(number, ())]

    def _rank(self, number: int, others: list[int]) -> Rank:
        """The best two drivers of an order.

        Drivers without trips come first. Then most of the others need not be asked: they cost too much at the least.
        """
        routes, books = self._routes.routes, self._routes.books
        best_s = second_s = INFEASIBLE
        best = second = -1
        busy: list[tuple[int, Alone]] = []
        for driver, alone in self.near(number).items():
            route = routes[driver]
            if not route.trips:
                cost_s = alone[0]
            else:
                known = route.insertions.get(number)
                if known is None or known[1] is None:
                    if known is None or known[0] < second_s:
                        busy.append((driver, alone))
                    continue
                cost_s = known[0]
            if cost_s < second_s:
                if cost_s < best_s:
                    second, second_s, best, best_s = best, best_s, driver, cost_s
                else:
                    second, second_s = driver, cost_s
        rank = Rank(best, best_s, second, second_s)
        for driver in others:
            cost_s = books[driver].insertion(routes[driver], number)[0]
            if cost_s < rank.second_s:
                rank.take(driver, cost_s)
        for driver, alone in busy:
            cost_s = books[driver].cost_below(routes[driver], number, alone, rank.second_s)
            if cost_s < rank.second_s:
                rank.take(driver, cost_s)
        return rank
