"""Routes: a driver's trips in sequence with their cost, and the cheapest place for one more order.

A route is made once per step and remembers the best insertion of every order that was tried, so that the search, which
comes back to the same routes again and again, mostly looks up.
"""

from __future__ import annotations

from collections.abc import Mapping

from dispatch.domain.planning.legs import Legs
from dispatch.domain.planning.settings import PlanSettings
from dispatch.domain.planning.trips import TripShape, TripShapes
from dispatch.domain.planning.values import CostTerms, PlanDriver

INFEASIBLE = 1e12

Trips = tuple[TripShape, ...]
Insertion = tuple[float, Trips]
NO_INSERTION: Insertion = (INFEASIBLE, ())


class DriverRoute:
    """A driver's trips. `before[i]`: (time, spot, cost) at which trip i begins; the last one is the end."""

    __slots__ = ("before", "cost_s", "insertions", "trips")

    def __init__(self, trips: Trips, before: list[tuple[float, int, float]], cost_s: float) -> None:
        self.trips = trips
        self.before = before
        self.cost_s = cost_s
        self.insertions: dict[int, Insertion] = {}


class RouteBook:
    """All routes of one driver that a step comes across."""

    __slots__ = (
        "_left_share", "_made", "_rows", "_settings", "_shapes", "_shift_end_s", "_weighted", "_worth_now_s",
        "_worth_s", "driver", "empty", "limit_s", "spot", "start_s",
    )  # fmt: skip

    def __init__(
        self,
        driver: PlanDriver,
        now_s: float,
        legs: Legs,
        shapes: TripShapes,
        settings: PlanSettings,
        worth_s: Mapping[int, float],
    ) -> None:
        self.driver = driver
        self.spot = legs.number(driver.spot)
        self.start_s = max(now_s, driver.free_s)
        self.limit_s = driver.shift_end_s + settings.pickup_half_s
        self._rows = legs.rows
        self._shapes = shapes
        self._settings = settings
        self._worth_s = worth_s
        self._left_share = 1 / settings.position_shift_s
        self._shift_end_s = driver.shift_end_s
        # Most plans have neither weight, and then a trip costs one multiplication.
        self._weighted = bool(settings.driving_weight or settings.late_weight)
        self._worth_now_s = self._worth_at_s(self.start_s, self.spot)
        self.empty = DriverRoute((), [(self.start_s, self.spot, 0.0)], 0.0)
        self._made: dict[Trips, DriverRoute] = {(): self.empty}

    def fits(self, trip: TripShape) -> bool:
        """True if the driver may take so many orders at once."""
        return (
            trip.count <= min(self.driver.slots, self._settings.trip_orders_max)
            and trip.units <= self.driver.capacity_units
        )

    def route(self, trips: Trips) -> DriverRoute | None:
        """The route with these trips; None if the shift ends before some pick-up."""
        made = self._made.get(trips)
        if made is None:
            time_s, at, cost_s = self.empty.before[0]
            before = [(time_s, at, cost_s)]
            for trip in trips:
                departed_s = max(time_s + self._rows[at][trip.first] + trip.lead_s, trip.ready_s)
                if departed_s > self.limit_s:
                    return None
                cost_s += self.trip_cost_s(trip, departed_s, self._rows[at][trip.first])
                time_s, at = departed_s + trip.drive_s, trip.end
                before.append((time_s, at, cost_s))
            made = DriverRoute(trips, before, cost_s + self.moved_s(time_s, at))
            self._made[trips] = made
        return made

    def trip_cost_s(self, trip: TripShape, departed_s: float, approach_s: float) -> float:
        """Cost of a trip whose last pick-up ends at `departed_s`."""
        cost_s = trip.count * departed_s + trip.door_s
        if self._settings.driving_weight:
            cost_s += self._settings.driving_weight * (approach_s + trip.moving_s)
        if trip.promises and self._settings.late_weight:
            cost_s += self._settings.late_weight * trip.late_s(departed_s)
        return cost_s

    def moved_s(self, end_s: float, end: int) -> float:
        """What the driver's place is worth now, less what it is worth at the end of its trips."""
        return self._worth_now_s - self._worth_at_s(end_s, end)

    def terms(self, trips: Trips) -> CostTerms:
        """Cost of a route in its parts."""
        settings, (time_s, at, _) = self._settings, self.empty.before[0]
        door_s = driving_s = late_s = 0.0
        for trip in trips:
            approach_s = self._rows[at][trip.first]
            departed_s = max(time_s + approach_s + trip.lead_s, trip.ready_s)
            door_s += trip.count * departed_s + trip.door_s
            driving_s += settings.driving_weight * (approach_s + trip.moving_s)
            late_s += settings.late_weight * trip.late_s(departed_s)
            time_s, at = departed_s + trip.drive_s, trip.end
        return CostTerms(door_s, driving_s, late_s, self.moved_s(time_s, at) if trips else 0.0)

    def _worth_at_s(self, at_s: float, spot: int) -> float:
        """Worth of a place, for what is left of the shift."""
        return self._worth_s[spot] * min(1.0, max(0.0, (self.driver.shift_end_s - at_s) * self._left_share))

    def insertion(self, route: DriverRoute, number: int) -> Insertion:
        """Lowest additional cost of an order in a route, and the trips then."""
        found = route.insertions.get(number)
        if found is None:
            found = route.insertions[number] = self._insertion(route, number)
        return found

    def _insertion(self, route: DriverRoute, number: int) -> Insertion:
        trips, single = route.trips, self._shapes.single[number]
        if single.units > self.driver.capacity_units or self.driver.slots < 1:
            return NO_INSERTION
        if not trips:
            cost_s = self.tail_cost_s(route, 0, (single,))
            return (cost_s, (single,)) if cost_s < INFEASIBLE else NO_INSERTION
        best_s, best = INFEASIBLE, (0, 0, single)
        for place in range(len(trips) + 1):
            cost_s = self._changed_cost_s(route, place, single, place)
            if cost_s < best_s:
                best_s, best = cost_s, (place, place, single)
        slots = min(self.driver.slots, self._settings.trip_orders_max)
        for place, trip in enumerate(trips):
            if trip.site_id != single.site_id or trip.count >= slots:
                continue
            if trip.units + single.units > self.driver.capacity_units:
                continue
            for joined in self._shapes.with_order(trip, number):
                cost_s = self._changed_cost_s(route, place, joined, place + 1)
                if cost_s < best_s:
                    best_s, best = cost_s, (place, place + 1, joined)
        if best_s >= INFEASIBLE:
            return NO_INSERTION
        place, rest, trip = best
        return best_s - route.cost_s, (*trips[:place], trip, *trips[rest:])

    def tail_cost_s(self, route: DriverRoute, place: int, tail: Trips) -> float:
        """Cost of the route if these trips stand from `place` on."""
        return self._from(route.before[place], tail)

    def _changed_cost_s(self, route: DriverRoute, place: int, trip: TripShape, rest: int) -> float:
        """Cost of the route if a trip stands at `place`, followed by the trips from `rest` on."""
        time_s, at, cost_s = route.before[place]
        first, lead_s, ready_s, count, door_s, drive_s, end = trip.facts
        approach_s = self._rows[at][first]
        departed_s = time_s + approach_s + lead_s
        if departed_s < ready_s:
            departed_s = ready_s
        if departed_s > self.limit_s:
            return INFEASIBLE
        if self._weighted:
            cost_s += self.trip_cost_s(trip, departed_s, approach_s)
        else:
            cost_s += count * departed_s + door_s
        return self._from((departed_s + drive_s, end, cost_s), route.trips[rest:])

    def _from(self, start: tuple[float, int, float], trips: Trips) -> float:
        """Cost of a route that goes on with these trips, from (time, spot, cost)."""
        time_s, at, cost_s = start
        rows, limit_s = self._rows, self.limit_s
        for trip in trips:
            first, lead_s, ready_s, count, door_s, drive_s, end = trip.facts
            approach_s = rows[at][first]
            departed_s = time_s + approach_s + lead_s
            if departed_s < ready_s:
                departed_s = ready_s
            if departed_s > limit_s:
                return INFEASIBLE
            if self._weighted:
                cost_s += self.trip_cost_s(trip, departed_s, approach_s)
            else:
                cost_s += count * departed_s + door_s
            time_s, at = departed_s + drive_s, end
        share = (self._shift_end_s - time_s) * self._left_share
        if share >= 1.0:
            return cost_s + self._worth_now_s - self._worth_s[at]
        return cost_s + self._worth_now_s - (self._worth_s[at] * share if share > 0.0 else 0.0)
