"""Metrics, and the plane for degrees."""

from __future__ import annotations

import pytest

from dispatch.domain.geo import Place, distance_m
from dispatch.domain.planning import Plane, Spot, straight_travel, whole_minutes_travel


def test_whole_minutes_are_rounded_up() -> None:
    travel = whole_minutes_travel(320)
    assert [travel.seconds(Spot(0, 0), Spot(x, 0)) for x in (0, 1, 320, 321)] == [0, 60, 60, 120]


def test_straight_way_with_a_detour_factor() -> None:
    travel = straight_travel(5.0, 1.3)
    assert travel.seconds(Spot(0, 0), Spot(300, 400)) == pytest.approx(130)
    assert travel.seconds(Spot(0, 0), Spot(300, 400)) == pytest.approx(500 / travel.metres_per_s)


@pytest.mark.parametrize("origin", [Place(59.3, 18.1), Place(-33.9, 151.2), Place(0.0, 179.99)])
def test_plane_keeps_the_distances_of_a_city(origin: Place) -> None:
    plane = Plane(origin)
    there = Place(origin.lat + 0.03, origin.lon + 0.04)
    there = there._replace(lon=there.lon - 360 if there.lon > 180 else there.lon)
    a, b = plane.spot(origin), plane.spot(there)
    flat_m = ((a.x_m - b.x_m) ** 2 + (a.y_m - b.y_m) ** 2) ** 0.5
    assert flat_m == pytest.approx(distance_m(origin, there), rel=1e-3)
