"""Proposals: trips whose last harmless moment has come, each with its reasons."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from dispatch.domain.planning.legs import Legs
from dispatch.domain.planning.route_set import RouteSet
from dispatch.domain.planning.routes import INFEASIBLE, RouteBook, Trips
from dispatch.domain.planning.settings import PlanSettings
from dispatch.domain.planning.trips import TripShape, TripShapes
from dispatch.domain.planning.values import (
    CandidateDriver,
    CostTerms,
    PlanOrder,
    PlanStop,
    PlanTrip,
    TripProposal,
)

NEXT_BEST = 2


class Proposer:
    """Reads a finished plan. `options`: drivers who could do an order, to be compared with the one who has it."""

    def __init__(
        self,
        orders: Sequence[PlanOrder],
        shapes: TripShapes,
        legs: Legs,
        routes: RouteSet,
        settings: PlanSettings,
        options: Callable[[int], Iterable[int]],
    ) -> None:
        self._orders = orders
        self._shapes = shapes
        self._legs = legs
        self._routes = routes
        self._settings = settings
        self._options = options

    def due(self, now_s: float, plan_number: int, seed: int) -> list[TripProposal]:
        """First trips of drivers who would be late if they were asked later.

        A trip waits as long as waiting costs nothing: until then another driver, or another order for the trip, may
        turn up.
        """
        found, usual_s = [], self._settings.offer_lead_s
        for driver, route in self._routes.planned():
            book, trip = self._routes.books[driver], route.trips[0]
            until_s = now_s + (usual_s if book.driver.lead_s is None else book.driver.lead_s)
            latest_s = max(book.start_s, trip.ready_s - trip.lead_s - self._legs.rows[book.spot][trip.first])
            if book.driver.asked_from_s > now_s:
                continue
            if book.start_s <= until_s and latest_s <= until_s:
                found.append(
                    TripProposal(
                        self._chosen(book, route.trips),
                        self._trip(book, trip),
                        latest_s,
                        tuple(self._next_best(driver, trip)),
                        plan_number,
                        seed,
                    )
                )
        return found

    def _chosen(self, book: RouteBook, trips: Trips) -> CandidateDriver:
        return self._candidate(book, trips[1:], trips)

    def _candidate(self, book: RouteBook, without: Trips, trips: Trips) -> CandidateDriver:
        """Cost of a trip: a driver's route with it, less the route without it."""
        more, less = book.terms(trips), book.terms(without)
        terms = CostTerms(
            more.door_s - less.door_s,
            more.driving_s - less.driving_s,
            more.late_s - less.late_s,
            more.position_s - less.position_s,
            more.fair_s - less.fair_s,
        )
        return CandidateDriver(book.driver.id, self._pickup_s(book, trips[0]), terms)

    def _pickup_s(self, book: RouteBook, trip: TripShape) -> float:
        departed_s = book.start_s + self._legs.rows[book.spot][trip.first] + trip.lead_s
        return max(departed_s, trip.ready_s) - self._settings.pickup_half_s

    def _next_best(self, driver: int, trip: TripShape) -> list[CandidateDriver]:
        """The trip as the first one of other drivers, before the trips that they have."""
        found: list[tuple[float, int, int]] = []
        for other in self._options(trip.numbers[0]):
            book, route = self._routes.books[other], self._routes.routes[other]
            declined = any(book.driver.id in self._orders[number].declined_by for number in trip.numbers)
            if other == driver or declined or not book.fits(trip):
                continue
            cost_s = book.tail_cost_s(route, 0, (trip, *route.trips))
            if cost_s < INFEASIBLE:
                found.append((cost_s - route.cost_s, book.driver.id, other))
        best = [other for _, _, other in sorted(found)[:NEXT_BEST]]
        rest = [(self._routes.books[other], self._routes.routes[other].trips) for other in best]
        return [self._candidate(book, trips, (trip, *trips)) for book, trips in rest]

    def _trip(self, book: RouteBook, trip: TripShape) -> PlanTrip:
        """All stops with their times, if the driver sets out as soon as it is free."""
        spots, ids = self._legs.spots, [order.id for order in self._orders]
        arrival_s = book.start_s + self._legs.rows[book.spot][trip.first]
        half_s, stops, last, at_s = self._settings.pickup_half_s, [], trip.first, arrival_s
        for last, group, at_s in self._shapes.pickups(trip, arrival_s):
            order_ids = tuple(ids[number] for number in group)
            stops.append(PlanStop("pickup", spots[last], order_ids, at_s, at_s + half_s))
        after_s = self._settings.dropoff_half_s
        for spot, number, at_s in self._shapes.dropoffs(trip, last, at_s + half_s):  # noqa: B020
            stops.append(PlanStop("dropoff", spots[spot], (ids[number],), at_s, at_s + after_s))
        return PlanTrip(tuple(ids[number] for number in trip.numbers), book.start_s, tuple(stops))
