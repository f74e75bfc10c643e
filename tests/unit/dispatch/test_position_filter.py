"""Which positions are believed."""

from __future__ import annotations

import pytest

from dispatch.domain.geo import Place
from dispatch.domain.position_filter import INACCURATE, JUMP, JUMPS_OVER_MS, NOWHERE, Track

NOW = 1_790_000_000_000
HERE = Place(52.52, 13.405)
FAR = Place(48.85, 2.35)


def known(at_ms: int = NOW) -> Track:
    """The track of a driver that was here."""
    return Track().judge(None, HERE, 10.0, at_ms)[0]


@pytest.mark.parametrize("place", [Place(0.0, 0.0), Place(-0.0, 0.0), Place(0.0009, -0.0009)])
def test_phone_that_says_nowhere_is_not_believed(place: Place) -> None:
    for track, before in ((known(), HERE), (Track(), None)):
        after, why = track.judge(before, place, None, NOW + 3_600_000)
        assert (why, after.apart, after.at_ms) == (NOWHERE, place, track.at_ms)


def test_place_on_the_equator_or_on_the_prime_meridian_is_a_place() -> None:
    for place in (Place(0.0, 32.5), Place(51.48, 0.0)):
        assert Track().judge(None, place, None, NOW)[1] is None


@pytest.mark.parametrize(
    ("accuracy_m", "why"), [(50_000.0, INACCURATE), (5_000.1, INACCURATE), (5_000.0, None)]
)
def test_fix_that_may_be_wrong_by_kilometres_is_not_believed(accuracy_m: float, why: str | None) -> None:
    assert known().judge(HERE, HERE, accuracy_m, NOW + 1000)[1] == why


def test_jump_that_no_vehicle_can_make_is_kept_apart_and_a_fast_ride_is_not() -> None:
    track, why = known().judge(HERE, FAR, 10.0, NOW + 60_000)
    assert (why, track.apart, track.at_ms) == (JUMP, FAR, NOW)
    assert known().judge(HERE, Place(52.56, 13.405), 10.0, NOW + 60_000)[1] is None
    assert known().judge(HERE, FAR, 10.0, NOW + 4 * 3_600_000)[1] is None


def test_fixes_that_a_phone_sends_at_once_after_a_silence_are_believed() -> None:
    track, before = known(), HERE
    for step in range(1, 20):
        place = Place(52.52 + step * 0.008, 13.405)
        track, why = track.judge(before, place, 10.0, NOW + 600_000)
        assert why is None
        before = place


def test_one_fix_in_between_ends_a_row_of_jumps() -> None:
    track, _ = known().judge(HERE, FAR, 10.0, NOW + 1000)
    track, why = track.judge(HERE, HERE, 10.0, NOW + 2000)
    assert (why, track.jumps, track.apart) == (None, 0, None)


def test_known_place_is_given_up_after_three_jumps_in_a_row_over_a_while() -> None:
    track, why = known().judge(HERE, FAR, 10.0, NOW + 1000)
    track, why = track.judge(HERE, FAR, 10.0, NOW + 2000)
    track, why = track.judge(HERE, FAR, 10.0, NOW + 3000)
    assert why == JUMP, "three in two seconds are one mistake"
    _, why = track.judge(HERE, FAR, 10.0, NOW + 1000 + JUMPS_OVER_MS)
    assert why is None


def test_way_across_the_180th_meridian_is_no_jump() -> None:
    east, west = Place(-16.5, 179.9995), Place(-16.5, -179.9995)
    track, _ = Track().judge(None, east, None, NOW)
    assert track.judge(east, west, None, NOW + 1000)[1] is None


def test_place_that_was_read_from_the_row_yields_to_the_first_fix() -> None:
    assert Track().judge(HERE, FAR, 10.0, NOW)[1] is None
