"""The grid finds whom a look at everybody would find."""

from __future__ import annotations

from math import cos, radians

from hypothesis import given, settings
from hypothesis import strategies as st

from dispatch.domain.fleet import Fleet
from dispatch.domain.geo import Place

MALL = Place(52.52, 13.405)

near = st.floats(-0.02, 0.02)
far = st.floats(-2.0, 2.0)
places = st.builds(
    lambda north, east: Place(52.52 + north, 13.405 + east), st.one_of(near, far), st.one_of(near, far)
)
drivers = st.dictionaries(
    st.integers(1, 10_000), st.tuples(st.one_of(st.none(), places), st.integers(0, 3)), max_size=120
)


def everybody(
    fleet: dict[int, tuple[Place | None, int]], k: int, without: set[int], offered: dict[int, int]
) -> list[int]:
    """The plain way: look at all."""
    shrink = cos(radians(MALL.lat))

    def distance(number: int) -> tuple[float, int]:
        place = fleet[number][0]
        if place is None:
            return float("inf"), number
        north, east = place.lat - MALL.lat, (place.lon - MALL.lon) * shrink
        return north * north + east * east, number

    free = [n for n, (_, slots) in fleet.items() if n not in without and slots > offered.get(n, 0)]
    return sorted(free, key=distance)[:k]


@settings(max_examples=200, deadline=None)
@given(drivers, st.integers(1, 8), st.data())
def test_grid_finds_whom_a_look_at_everybody_finds(
    known: dict[int, tuple[Place | None, int]], k: int, data: st.DataObject
) -> None:
    fleet = Fleet()
    for number, (place, slots) in known.items():
        fleet.put(number, place, slots)
    numbers = sorted(known) or [0]
    without = data.draw(st.sets(st.sampled_from(numbers), max_size=20))
    offered = data.draw(st.dictionaries(st.sampled_from(numbers), st.integers(0, 3), max_size=20))
    assert fleet.nearest(MALL, k, without, offered) == everybody(known, k, without, offered)


def test_driver_that_moved_or_left_is_found_where_it_is() -> None:
    fleet = Fleet()
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
