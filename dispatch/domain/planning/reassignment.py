"""Reassignments: orders that a driver has and would deliver late, for drivers whom the plan leaves free.

Only promises count here. A driver who has accepted an order is on its way, so it loses the order for nothing less.
"""

from __future__ import annotations

from collections.abc import Sequence

from dispatch.domain.planning.candidates import DriverGrid
from dispatch.domain.planning.legs import Legs
from dispatch.domain.planning.route_set import RouteSet
from dispatch.domain.planning.routes import INFEASIBLE
from dispatch.domain.planning.settings import PlanSettings
from dispatch.domain.planning.trips import TripShapes
from dispatch.domain.planning.values import AssignedOrder, Reassignment

# Lateness with a driver, cost of the order with it, its number, and when it is at the door.
Option = tuple[float, float, int, float]


class Reassigner:
    """Reads a finished plan, and the orders under way beside it."""

    def __init__(self, routes: RouteSet, grid: DriverGrid, legs: Legs, settings: PlanSettings) -> None:
        self._routes = routes
        self._grid = grid
        self._legs = legs
        self._settings = settings

    def due(
        self, assigned: Sequence[AssignedOrder], now_s: float, plan_number: int, seed: int
    ) -> list[Reassignment]:
        """Reassignments to make now; the order that would be latest chooses first."""
        breaking = sorted((each for each in assigned if _breaks(each)), key=_urgency)
        shapes = TripShapes([each.order for each in breaking], self._legs, self._settings)
        taken: set[int] = set()
        seen: set[int] = set()
        found = []
        for number, each in enumerate(breaking):
            if each.order.id in seen:
                continue
            seen.add(each.order.id)
            best = self._best(shapes, number, each, now_s, taken)
            if best is None:
                continue
            late_s, _, driver, door_s = best
            taken.add(driver)
            to_id = self._routes.books[driver].driver.id
            found.append(
                Reassignment(
                    each.order.id, each.driver_id, to_id, door_s, each.door_s - door_s, late_s == 0.0,
                    plan_number, seed,
                )
            )  # fmt: skip
        return found

    def _best(
        self, shapes: TripShapes, number: int, each: AssignedOrder, now_s: float, taken: set[int]
    ) -> Option | None:
        """The free driver with whom an order is least late; None if that is not clearly better than now."""
        order, single = each.order, shapes.single[number]
        assert order.promise_s is not None, "only promises break"
        without = order.declined_by | {each.driver_id}
        due_s = order.ready_s - self._settings.pickup_half_s
        found: list[Option] = []
        for driver in self._grid.soonest(shapes.pickup(number), due_s, self._settings.candidates, without):
            book = self._routes.books[driver]
            if driver in taken or self._routes.routes[driver].trips or book.driver.asked_from_s > now_s:
                continue
            cost_s, departed_s, _ = book.alone(single)
            if cost_s < INFEASIBLE:
                door_s = departed_s + single.drive_s - self._settings.dropoff_half_s
                found.append((max(0.0, door_s - order.promise_s), cost_s, driver, door_s))
        if not found:
            return None
        best = min(found)
        gain_s = each.door_s - best[3]
        least_s = self._settings.reassign_kept_s if best[0] == 0.0 else self._settings.reassign_late_s
        return best if gain_s >= least_s else None


def _breaks(each: AssignedOrder) -> bool:
    """True for an order that will be late, and that can still be had by another driver."""
    return not each.picked_up and each.order.promise_s is not None and each.door_s > each.order.promise_s


def _urgency(each: AssignedOrder) -> tuple[float, int]:
    promise_s = each.order.promise_s
    return (promise_s if promise_s is not None else 0.0) - each.door_s, each.order.id
