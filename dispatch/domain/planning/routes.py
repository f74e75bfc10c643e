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
UNKNOWN = float("-inf")

Trips = tuple[TripShape, ...]
# Additional cost of an order in a route, and the trips then; without trips, the least that it can cost.
Insertion = tuple[float, Trips | None]
# A trip, the number of trips before it, and the place of the first trip after it in the old route.
Place = tuple[int, int, TripShape]
NO_INSERTION: Insertion = (INFEASIBLE, ())


class DriverRoute:
    """A driver's trips. `before[i]`: (time, spot, cost) at which trip i begins; the last one is the end.

    `departed_s`: when the first trip leaves its last store. `end_worth_s`: worth of the place at which the route ends.
    """

    __slots__ = ("before", "cost_s", "departed_s", "end_worth_s", "insertions", "trips")

    def __init__(
        self, trips: Trips, before: list[tuple[float, int, float]], cost_s: float, end_worth_s: float
    ) -> None:
        self.trips = trips
        self.before = before
        self.cost_s = cost_s
        self.departed_s = before[1][0] - trips[0].drive_s if trips else before[0][0]
        self.end_worth_s = end_worth_s
        self.insertions: dict[int, Insertion] = {}


# An order as the only one of a driver: its cost, when it leaves its store, and what that costs without the places.
Alone = tuple[float, float, float]
NOT_ALONE: Alone = (INFEASIBLE, INFEASIBLE, INFEASIBLE)


class RouteBook:
    """All routes of one driver that a step comes across."""

    __slots__ = (
        "_capacity_units", "_fair_s", "_known_worth_s", "_left_share", "_made", "_row", "_rows", "_settings", "_shapes",
        "_shift_end_s", "_slots", "_weighted", "_worth_s", "driver", "empty", "limit_s", "spot", "start_s",
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
        self._row = legs.rows[self.spot]
        self._shapes = shapes
        self._settings = settings
        self._worth_s = worth_s
        self._left_share = 1 / settings.position_shift_s
        self._shift_end_s = driver.shift_end_s
        self._slots = min(driver.slots, settings.trip_orders_max)
        self._capacity_units = driver.capacity_units
        # Without it, a trip of orders without promises costs one multiplication.
        self._weighted = bool(settings.driving_weight)
        self._fair_s = settings.fair_weight * max(
            -settings.fair_max_s, min(driver.fair_s, settings.fair_max_s)
        )
        self._known_worth_s = UNKNOWN
        self.empty = DriverRoute((), [(self.start_s, self.spot, 0.0)], 0.0, 0.0)
        self._made: dict[Trips, DriverRoute] = {(): self.empty}

    def fits(self, trip: TripShape) -> bool:
        """True if the driver may take so many orders at once."""
        return trip.count <= self._slots and trip.units <= self._capacity_units

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
            end_worth_s = self._worth_at_s(time_s, at)
            made = DriverRoute(trips, before, cost_s + self._worth_now() - end_worth_s, end_worth_s)
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
        if not trips:
            return CostTerms(door_s, driving_s, late_s, 0.0)
        position_s = self._worth_now() + self._fair_s - self._worth_at_s(time_s, at)
        return CostTerms(door_s, driving_s, late_s, position_s, -self._fair_s)

    def _worth_now(self) -> float:
        """What the driver's place is worth now, less its advantage: asked for only if somebody has work for it."""
        known_s = self._known_worth_s
        if known_s == UNKNOWN:
            known_s = self._known_worth_s = self._worth_at_s(self.start_s, self.spot) - self._fair_s
        return known_s

    def _worth_at_s(self, at_s: float, spot: int) -> float:
        """Worth of a place, for what is left of the shift."""
        return self._worth_s[spot] * min(1.0, max(0.0, (self.driver.shift_end_s - at_s) * self._left_share))

    def insertion(self, route: DriverRoute, number: int) -> Insertion:
        """Lowest additional cost of an order in a route, and the trips then."""
        found = route.insertions.get(number)
        if found is None or found[1] is None:
            found = route.insertions[number] = self._insertion(route, number)
        return found

    def cost_below(self, route: DriverRoute, number: int, alone: Alone, limit_s: float) -> float:
        """Lowest additional cost of an order in a route with other trips; INFEASIBLE if it is not below a limit.

        A route is asked for the least cost first, and for all places only if that is below the limit.
        """
        found = route.insertions.get(number)
        if found is None:
            single = self._shapes.single[number]
            least_s = self._least_s(route, single, alone)
            if least_s >= limit_s:
                route.insertions[number] = (least_s, None)
                return INFEASIBLE
        elif found[1] is not None:
            return found[0]
        elif found[0] >= limit_s:
            return INFEASIBLE
        found = route.insertions[number] = self._insertion(route, number)
        return found[0]

    def alone(self, single: TripShape) -> Alone:
        """A trip as the only one of the driver."""
        first, lead_s, ready_s, count, door_s, drive_s, end, promises = single.facts
        approach_s = self._row[first]
        departed_s = self.start_s + approach_s + lead_s
        if departed_s < ready_s:
            departed_s = ready_s
        if departed_s > self.limit_s or single.units > self._capacity_units:
            return NOT_ALONE
        if self._weighted or promises:
            own_s = self.trip_cost_s(single, departed_s, approach_s)
        else:
            own_s = count * departed_s + door_s
        cost_s = own_s + (self._known_worth_s if self._known_worth_s != UNKNOWN else self._worth_now())
        share = (self._shift_end_s - departed_s - drive_s) * self._left_share
        if share >= 1.0:
            cost_s -= self._worth_s[end]
        elif share > 0.0:
            cost_s -= self._worth_s[end] * share
        return cost_s, departed_s, own_s

    def _least_s(self, route: DriverRoute, single: TripShape, alone: Alone) -> float:
        """What a trip costs at the least in a route that has others.

        It holds as long as no detour is shorter than the straight way.
        """
        trips, (_, departed_s, own_s) = route.trips, alone
        for trip in trips:
            if trip.site_id == single.site_id:  # they may share a trip
                return -INFEASIBLE
        head = trips[0]
        # Before all others: the first of them is late by as much. Its end, and the place there, stay.
        late_s = departed_s + single.drive_s + head.lead_s - route.departed_s
        before_s = own_s + late_s * head.count if late_s > 0.0 else own_s
        # Or after the first of them, and then the route may end elsewhere.
        later_s = route.before[1][0] + single.lead_s - departed_s
        after_s = own_s + later_s if later_s > 0.0 else own_s
        gain_s = self._worth_s[single.end] - route.end_worth_s
        if gain_s > 0.0:
            after_s -= gain_s
        return min(before_s, after_s)

    def _insertion(self, route: DriverRoute, number: int) -> Insertion:
        trips, single = route.trips, self._shapes.single[number]
        if not trips:
            cost_s = self.alone(single)[0]
            return (cost_s, (single,)) if cost_s < INFEASIBLE else NO_INSERTION
        if single.units > self._capacity_units:
            return NO_INSERTION
        best_s, best = self._parted(route, single)
        for place, trip in enumerate(trips):
            if trip.site_id != single.site_id or trip.count >= self._slots:
                continue
            if trip.units + single.units > self._capacity_units:
                continue
            for joined in self._shapes.with_order(trip, number):
                cost_s = self._changed_cost_s(route, place, joined, place + 1)
                if cost_s < best_s:
                    best_s, best = cost_s, (place, place + 1, joined)
        if best_s >= INFEASIBLE:
            return NO_INSERTION
        place, rest, trip = best
        return best_s - route.cost_s, (*trips[:place], trip, *trips[rest:])

    def _parted(self, route: DriverRoute, single: TripShape) -> tuple[float, Place]:
        """Lowest cost of a route with one more trip, and where that stands: before one of its trips, or after all."""
        rows, limit_s = self._rows, self.limit_s
        first, lead_s, ready_s, count, door_s, drive_s, end, promises = single.facts
        weighted, last = self._weighted or promises, len(route.trips)
        best_s, best = INFEASIBLE, last
        place = last
        while place >= 0:
            time_s, at, cost_s = route.before[place]
            approach_s = rows[at][first]
            departed_s = time_s + approach_s + lead_s
            if departed_s < ready_s:
                departed_s = ready_s
            if departed_s <= limit_s:
                if weighted:
                    own_s = self.trip_cost_s(single, departed_s, approach_s)
                else:
                    own_s = count * departed_s + door_s
                # Before another trip: what follows is no earlier than without it, and the route ends where it did.
                if place == last or route.cost_s + own_s < best_s:
                    cost_s = self._from(departed_s + drive_s, end, cost_s + own_s, route.trips, place)
                    if cost_s < best_s:
                        best_s, best = cost_s, place
            place -= 1
        return best_s, (best, best, single)

    def tail_cost_s(self, route: DriverRoute, place: int, tail: Trips) -> float:
        """Cost of the route if these trips stand from `place` on."""
        return self._from(*route.before[place], tail, 0)

    def _changed_cost_s(self, route: DriverRoute, place: int, trip: TripShape, rest: int) -> float:
        """Cost of the route if a trip stands at `place`, followed by the trips from `rest` on."""
        time_s, at, cost_s = route.before[place]
        first, lead_s, ready_s, count, door_s, drive_s, end, promises = trip.facts
        approach_s = self._rows[at][first]
        departed_s = time_s + approach_s + lead_s
        if departed_s < ready_s:
            departed_s = ready_s
        if departed_s > self.limit_s:
            return INFEASIBLE
        if self._weighted or promises:
            cost_s += self.trip_cost_s(trip, departed_s, approach_s)
        else:
            cost_s += count * departed_s + door_s
        return self._from(departed_s + drive_s, end, cost_s, route.trips, rest)

    def _from(self, time_s: float, at: int, cost_s: float, trips: Trips, rest: int) -> float:
        """Cost of a route that goes on with the trips from `rest` on, from a time, a spot and a cost."""
        rows, limit_s = self._rows, self.limit_s
        for place in range(rest, len(trips)):
            trip = trips[place]
            first, lead_s, ready_s, count, door_s, drive_s, end, promises = trip.facts
            approach_s = rows[at][first]
            departed_s = time_s + approach_s + lead_s
            if departed_s < ready_s:
                departed_s = ready_s
            if departed_s > limit_s:
                return INFEASIBLE
            if self._weighted or promises:
                cost_s += self.trip_cost_s(trip, departed_s, approach_s)
            else:
                cost_s += count * departed_s + door_s
            time_s, at = departed_s + drive_s, end
        cost_s += self._known_worth_s if self._known_worth_s != UNKNOWN else self._worth_now()
        share = (self._shift_end_s - time_s) * self._left_share
        if share >= 1.0:
            return cost_s - self._worth_s[at]
        return cost_s - self._worth_s[at] * share if share > 0.0 else cost_s
