"""Places and distances on the sphere (WGS 84 degrees in, metres out)."""

from __future__ import annotations

from math import asin, cos, radians, sin, sqrt
from typing import NamedTuple

# The mean radius that PostGIS uses for spheres, so that both implementations of the radius search agree.
EARTH_RADIUS_M = 6_371_008.7714


class Place(NamedTuple):
    """Latitude and longitude in degrees."""

    lat: float
    lon: float


def turn_deg(east_deg: float) -> float:
    """Difference of two longitudes, the short way round, from -180 to 180: 179.9 and -179.9 differ by 0.2."""
    if east_deg > 180:
        return east_deg - 360
    return east_deg + 360 if east_deg < -180 else east_deg


def distance_m(a: Place, b: Place) -> float:
    """Great-circle distance by the haversine formula; stable for small distances."""
    lat_a, lat_b = radians(a.lat), radians(b.lat)
    half_lat = sin((lat_b - lat_a) / 2)
    half_lon = sin(radians(b.lon - a.lon) / 2)
    chord = half_lat * half_lat + cos(lat_a) * cos(lat_b) * half_lon * half_lon
    return 2 * EARTH_RADIUS_M * asin(min(1.0, sqrt(chord)))
