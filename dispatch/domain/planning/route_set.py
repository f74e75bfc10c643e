"""The plan under construction: one route per driver, with its total cost and an undo."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from dispatch.domain.planning.routes import DriverRoute, RouteBook
from dispatch.domain.planning.trips import TripShapes
from dispatch.domain.planning.values import PlanOrder


class RouteSet:
    """Routes by driver number. `driver_of`: who had an order last; it may be out of all routes now."""

    def __init__(self, books: Sequence[RouteBook], shapes: TripShapes, pickup_half_s: float) -> None:
        self.books = books
        self.routes: list[DriverRoute] = [book.empty for book in books]
        self.driver_of: dict[int, int] = {}
        self.cost_s = 0.0
        # Drivers with trips of a site, and the number of these trips.
        self._at_site: dict[int, dict[int, int]] = {}
        self._shapes = shapes
        self._pickup_half_s = pickup_half_s
        self._undo: dict[int, DriverRoute] = {}

    def drivers_at(self, site_id: int) -> dict[int, int]:
        """Drivers who have a trip of this site."""
        return self._at_site.get(site_id, {})

    def numbers(self) -> list[int]:
        """Orders that are in a route."""
        return [number for route in self.routes for trip in route.trips for number in trip.numbers]

    def delays_s(self, orders: Sequence[PlanOrder]) -> Iterator[float]:
        """How much later than it could each order leaves its store: for want of a driver, or for the trip's others."""
        for route in self.routes:
            for trip, (end_s, _, _) in zip(route.trips, route.before[1:], strict=True):
                departed_s = end_s - trip.drive_s
                for number in trip.numbers:
                    yield departed_s - orders[number].ready_s - self._pickup_half_s

    def put(self, driver: int, route: DriverRoute) -> None:
        """Replace a driver's route."""
        old = self.routes[driver]
        if old is route:
            return
        self._undo.setdefault(driver, old)
        self.cost_s += route.cost_s - old.cost_s
        self.routes[driver] = route
        for trip in old.trips:
            there = self._at_site[trip.site_id]
            if there[driver] == 1:
                del there[driver]
            else:
                there[driver] -= 1
        for trip in route.trips:
            there = self._at_site.setdefault(trip.site_id, {})
            there[driver] = there.get(driver, 0) + 1
            for number in trip.numbers:
                self.driver_of[number] = driver

    def take_out(self, numbers: Sequence[int]) -> tuple[list[int], list[int]]:
        """Take orders out of their routes.

        Returns all orders that are out, for a trip may not be possible without one of them, and the drivers.
        """
        gone, by_driver = set(numbers), dict.fromkeys(self.driver_of[number] for number in numbers)
        out = list(numbers)
        for driver in by_driver:
            route = self.routes[driver]
            trips = []
            for trip in route.trips:
                left = trip if gone.isdisjoint(trip.numbers) else self._shapes.without(trip, gone)
                if left is not None:
                    trips.append(left)
                else:
                    out += [number for number in trip.numbers if number not in gone]
            shorter = self.books[driver].route(tuple(trips))
            if shorter is None:  # with a metric that breaks the triangle inequality
                out += [number for trip in trips for number in trip.numbers]
                shorter = self.books[driver].empty
            self.put(driver, shorter)
        return out, list(by_driver)

    def commit(self) -> None:
        """Keep the changes since the last call."""
        self._undo = {}

    def roll_back(self) -> None:
        """Take the changes back."""
        undo, self._undo = self._undo, {}
        for driver, route in undo.items():
            self.put(driver, route)
        self._undo = {}

    def planned(self) -> Iterator[tuple[int, DriverRoute]]:
        """Drivers with trips."""
        return ((driver, route) for driver, route in enumerate(self.routes) if route.trips)
