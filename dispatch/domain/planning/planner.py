"""One step of the planner: a pure function of the state, the time, the seed and the settings."""

from __future__ import annotations

from dispatch.domain.planning.candidates import DriverGrid
from dispatch.domain.planning.draws import Draws
from dispatch.domain.planning.insertion import INFINITE, Inserter
from dispatch.domain.planning.legs import Legs
from dispatch.domain.planning.position import PositionWorth
from dispatch.domain.planning.proposals import Proposer
from dispatch.domain.planning.reassignment import Reassigner
from dispatch.domain.planning.route_set import RouteSet
from dispatch.domain.planning.routes import RouteBook
from dispatch.domain.planning.search import Search
from dispatch.domain.planning.settings import PlanSettings
from dispatch.domain.planning.trips import TripShape, TripShapes
from dispatch.domain.planning.values import PlannedRoute, PlanResult, PlanState


def plan(state: PlanState, now_s: float, seed: int, settings: PlanSettings) -> PlanResult:
    """Plan trips of all open orders, and propose those whose last harmless moment has come.

    The same arguments give the same result. Orders and drivers of `state.before` that are gone are passed over.
    """
    return _Step(state, now_s, seed, settings).run()


class _Step:
    """What one step builds up: all orders and drivers are known by their numbers in it."""

    def __init__(self, state: PlanState, now_s: float, seed: int, settings: PlanSettings) -> None:
        self.state, self.now_s, self.seed, self.settings = state, now_s, seed, settings
        self.legs = Legs(settings.travel.seconds)
        self.orders = sorted(state.orders, key=lambda order: order.id)
        self.number_of = {order.id: number for number, order in enumerate(self.orders)}
        self.shapes = TripShapes(self.orders, self.legs, settings)
        drivers = sorted(state.drivers, key=lambda driver: (driver.rank, driver.id))
        worth = PositionWorth(state.demand, drivers, now_s, self.legs, settings)
        horizon_s = now_s + settings.horizon_s
        self.books = [
            RouteBook(driver, now_s, self.legs, self.shapes, settings, worth)
            for driver in drivers
            if max(driver.free_s, now_s) <= min(driver.shift_end_s, horizon_s) and driver.slots > 0
        ]
        self.routes = RouteSet(self.books, self.shapes, settings.pickup_half_s)

    def run(self) -> PlanResult:
        """Build on the plan before, insert what is new, search, propose."""
        draws = Draws(self.seed)
        pool = self._start_from(self.state.before)
        grid = DriverGrid(self.books, self.legs, self.settings.travel.metres_per_s, self.now_s)
        inserter = Inserter(self.orders, self.routes, grid, self.shapes, self.settings, draws)
        search = Search(self.orders, self.routes, inserter, self.settings, draws)
        search.left = inserter.insert(pool, (), regret=True, noise_s=0.0, below_s=INFINITE) or []
        self.routes.commit()
        improvements = search.improve()
        proposer = Proposer(
            self.orders, self.shapes, self.legs, self.routes, self.settings, inserter.considered
        )
        proposals = proposer.due(self.now_s, self.state.number, self.seed)
        reassigner = Reassigner(self.routes, grid, self.legs, self.settings)
        reassignments = reassigner.due(self.state.assigned, self.now_s, self.state.number, self.seed)
        return PlanResult(
            tuple(proposals),
            tuple(self._named(driver, route.trips) for driver, route in self.routes.planned()),
            tuple(self.orders[number].id for number in sorted(search.left)),
            search.cost_s,
            improvements,
            tuple(reassignments),
        )

    def _named(self, driver: int, trips: tuple[TripShape, ...]) -> PlannedRoute:
        named = tuple(tuple(self.orders[number].id for number in trip.numbers) for trip in trips)
        return PlannedRoute(self.books[driver].driver.id, named)

    def _start_from(self, before: tuple[PlannedRoute, ...]) -> list[int]:
        """Take over as much of a plan as is still possible. Returns the orders that are in no route."""
        driver_of = {book.driver.id: number for number, book in enumerate(self.books)}
        pool = dict.fromkeys(range(len(self.orders)))
        for planned in before:
            driver = driver_of.get(planned.driver_id)
            if driver is None:
                continue
            trips = self._still_possible(driver, planned.trips, pool)
            route = self.books[driver].route(trips)
            while route is None:
                trips = trips[:-1]
                route = self.books[driver].route(trips)
            for trip in trips:
                for number in trip.numbers:
                    del pool[number]
            self.routes.put(driver, route)
        return list(pool)

    def _still_possible(
        self, driver: int, trips: tuple[tuple[int, ...], ...], pool: dict[int, None]
    ) -> tuple[TripShape, ...]:
        """Trips of orders that are open, in no other route, and not declined by the driver."""
        book, found = self.books[driver], []
        taken: set[int] = set()
        for trip in trips:
            numbers = []
            for order_id in trip:
                number = self.number_of.get(order_id)
                if number is None or number not in pool or number in taken:
                    continue
                if book.driver.id not in self.orders[number].declined_by:
                    numbers.append(number)
                    taken.add(number)
            same_site = len({self.orders[number].site_id for number in numbers}) == 1
            shape = self.shapes.of(tuple(numbers)) if same_site else None
            if shape is not None and book.fits(shape):
                found.append(shape)
        return tuple(found)
