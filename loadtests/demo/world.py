"""The demo's world: a flat town in metres, driven through in straight lines, faster than ours."""

from __future__ import annotations

from collections.abc import Mapping
from math import cos, hypot, radians
from typing import Any, NamedTuple

from loadtests.kit.fixtures import LAT, LON

# A second of ours is this many seconds of the town, so that a ride takes seconds instead of minutes.
SPEEDUP = 20.0
SPEED_MPS = 8.0
# Half of a side of the town, and of its middle where the stores are.
TOWN_M, MIDDLE_M = 1200.0, 600.0

_LAT_M = 111_320.0
_LON_M = _LAT_M * cos(radians(LAT))


class Spot(NamedTuple):
    """Metres east and north of the middle of the town."""

    east_m: float
    north_m: float


def place_of(spot: Spot) -> dict[str, float]:
    """A spot as the API wants it: degrees."""
    return {"lat": LAT + spot.north_m / _LAT_M, "lon": LON + spot.east_m / _LON_M}


def spot_of(place: Mapping[str, Any]) -> Spot:
    """Where a place of the API is; the inverse of `place_of`."""
    return Spot((place["lon"] - LON) * _LON_M, (place["lat"] - LAT) * _LAT_M)


def distance_m(a: Spot, b: Spot) -> float:
    """How far it is from one spot to another."""
    return hypot(b.east_m - a.east_m, b.north_m - a.north_m)


def driven(a: Spot, b: Spot, real_s: float) -> Spot:
    """Where a driver is after `real_s` seconds of our time from `a` towards `b`; `b` at the furthest."""
    way_m, done_m = distance_m(a, b), real_s * SPEEDUP * SPEED_MPS
    if done_m >= way_m:
        return b
    share = done_m / way_m
    return Spot(a.east_m + (b.east_m - a.east_m) * share, a.north_m + (b.north_m - a.north_m) * share)
