"""Distances as the database computes them (`metres_between` in SQL), for the store in memory."""

from __future__ import annotations

from math import asin, cos, radians, sin, sqrt

# Radius of PostGIS's sphere: a third of twice the equator's radius and the poles' (WGS 84).
EARTH_RADIUS_M = 6_371_008.771_415_059_8


def metres_between(a_lat: float, a_lon: float, b_lat: float, b_lon: float) -> float:
    """Great-circle distance of two places in degrees, by the haversine formula."""
    half_lat = sin(radians(b_lat - a_lat) / 2)
    half_lon = sin(radians(b_lon - a_lon) / 2)
    chord = half_lat * half_lat + cos(radians(a_lat)) * cos(radians(b_lat)) * half_lon * half_lon
    return 2 * EARTH_RADIUS_M * asin(min(1.0, sqrt(chord)))
