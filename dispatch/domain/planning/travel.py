"""Travel times between spots: the metric is part of the settings, so that a plan depends on nothing else."""

from __future__ import annotations

from collections.abc import Callable
from math import ceil, cos, hypot, radians

from actors.values import frozen
from dispatch.domain.geo import EARTH_RADIUS_M, Place, turn_deg
from dispatch.domain.planning.values import Spot

DEGREE_M = radians(EARTH_RADIUS_M)


@frozen
class Travel:
    """A metric. `seconds` may be anything that is never less than the straight line at `metres_per_s`."""

    seconds: Callable[[Spot, Spot], float]
    metres_per_s: float


def straight_travel(metres_per_s: float, detour: float = 1.0) -> Travel:
    """The straight line, times a factor for streets."""
    pace = detour / metres_per_s

    def seconds(a: Spot, b: Spot) -> float:
        return hypot(a[0] - b[0], a[1] - b[1]) * pace

    return Travel(seconds, metres_per_s / detour)


def whole_minutes_travel(metres_per_minute: float) -> Travel:
    """The straight line, rounded up to whole minutes: the rule of the public delivery days."""

    def seconds(a: Spot, b: Spot) -> float:
        return 60.0 * ceil(hypot(a[0] - b[0], a[1] - b[1]) / metres_per_minute)

    return Travel(seconds, metres_per_minute / 60)


@frozen
class Plane:
    """A plane that touches the sphere at `origin`. Distances within a city are true to a few metres."""

    origin: Place

    def spot(self, place: Place) -> Spot:
        """The spot of a place."""
        east_deg = turn_deg(place.lon - self.origin.lon)
        return Spot(
            east_deg * DEGREE_M * cos(radians(self.origin.lat)), (place.lat - self.origin.lat) * DEGREE_M
        )
