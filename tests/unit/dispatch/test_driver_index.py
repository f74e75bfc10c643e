"""The grid finds whom a look at everybody would find."""

from __future__ import annotations

from math import cos, radians

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dispatch.domain.driver_index import DriverIndex
from dispatch.domain.geo import Place, turn_deg

MALL = Place(52.52, 13.405)
# On both sides of the 180th meridian, and on it by either name.
EDGES = [Place(-16.5, 179.9995), Place(-16.5, -179.9995), Place(52.0, 180.0), Place(52.0, -180.0)]

near = st.floats(-0.02, 0.02)
far = st.floats(-2.0, 2.0)
moves = st.tuples(st.one_of(near, far), st.one_of(near, far))
drivers = st.dictionaries(
    st.integers(1, 10_000), st.tuples(st.one_of(st.none(), moves), st.integers(0, 3)), max_size=120
)


def moved(place: Place, move: tuple[float, float] | None) -> Place | None:
    """Where one is after so many degrees north and east; longitudes go on at the other side."""
    if move is None:
        return None
    return Place(place.lat + move[0], (place.lon + move[1] + 540) % 360 - 180)


def everybody(
    at: Place, fleet: dict[int, tuple[Place | None, int]], k: int, without: set[int], offered: dict[int, int]
) -> list[int]:
    """The plain way: look at all."""
    shrink = cos(radians(at.lat))

    def distance(number: int) -> tuple[float, int]:
        place = fleet[number][0]
        if place is None:
            return float("inf"), number
        north = place.lat - at.lat
        east = min((place.lon - at.lon + turn for turn in (-360, 0, 360)), key=abs) * shrink
        return north * north + east * east, number

    free = [n for n, (_, slots) in fleet.items() if n not in without and slots > offered.get(n, 0)]
    return sorted(free, key=distance)[:k]


@settings(max_examples=200, deadline=None)
@given(st.sampled_from([MALL, *EDGES]), drivers, st.integers(1, 8), st.data())
def test_grid_finds_whom_a_look_at_everybody_finds(
    at: Place, there: dict[int, tuple[tuple[float, float] | None, int]], k: int, data: st.DataObject
) -> None:
    fleet = DriverIndex()
    known = {number: (moved(at, move), slots) for number, (move, slots) in there.items()}
    for number, (place, slots) in known.items():
        fleet.put(number, place, slots)
    numbers = sorted(known) or [0]
    without = data.draw(st.sets(st.sampled_from(numbers), max_size=20))
    offered = data.draw(st.dictionaries(st.sampled_from(numbers), st.integers(0, 3), max_size=20))
    assert fleet.nearest(at, k, without, offered) == everybody(at, known, k, without, offered)


@pytest.mark.parametrize("crowd", [0, 40])
@pytest.mark.parametrize(("lon", "beyond"), [(179.9995, -179.9995), (-179.9995, 179.9995), (180.0, -180.0)])
def test_nearest_driver_is_found_across_the_180th_meridian(lon: float, beyond: float, crowd: int) -> None:
    fleet = DriverIndex()
    fleet.put(1, Place(-16.5, beyond), 1)
    fleet.put(2, Place(-16.5, lon - 1.0 if lon > 0 else lon + 1.0), 1)
    for number in range(crowd):
        # Enough cells that are not empty for the search to go ring by ring.
        fleet.put(10 + number, Place(-17.0 - number / 100, lon), 1)
    assert fleet.nearest(Place(-16.5, lon), 1, (), {}) == [1]


def test_difference_of_longitudes_goes_the_short_way_round() -> None:
    assert [round(turn_deg(x), 9) for x in (359.8, -359.8, 10.0, -10.0, 180.0, -180.0)] == [
        -0.2, 0.2, 10.0, -10.0, 180.0, -180.0,
    ]  # fmt: skip


def test_driver_that_moved_or_left_is_found_where_it_is() -> None:
    fleet = DriverIndex()
    for number in range(1, 100):
        fleet.put(number, Place(52.52 + number / 100, 13.405), 1)
    fleet.put(99, MALL, 1)
    assert fleet.nearest(MALL, 2, (), {}) == [99, 1]
    fleet.put(99, MALL, 0)
    fleet.drop(1)
    fleet.drop(1)
    assert fleet.nearest(MALL, 2, (), {}) == [2, 3]
    assert len(fleet) == 97
    assert fleet.slots_of(99) == 0
