"""The profiles of the rush, how they are resized, and the file in which they travel to locust."""

from __future__ import annotations

from pathlib import Path

import pytest

from loadtests.rush.plan import Participant, RunPlan, read_plan
from loadtests.rush.profiles import PROFILES, Profile

ALL = pytest.mark.parametrize("profile", PROFILES.values(), ids=PROFILES)


def test_there_are_four_profiles() -> None:
    assert sorted(PROFILES) == ["flash", "peak", "reconnect", "smoke"]


@ALL
def test_drivers_come_first_then_customers_then_the_end(profile: Profile) -> None:
    assert profile.users_at(0.0) == (profile.drivers, profile.drivers / profile.drivers_s)
    assert profile.users_at(profile.drivers_s) == (
        profile.customers + profile.drivers,
        profile.customers / profile.ramp_s,
    )
    assert profile.users_at(profile.seconds) is None


@ALL
def test_everybody_is_there_long_before_the_end(profile: Profile) -> None:
    assert profile.drivers_s + profile.ramp_s < profile.seconds / 2


@ALL
def test_storms_leave_time_to_come_and_to_read_again(profile: Profile) -> None:
    for at_s in profile.storms_s:
        assert profile.drivers_s + profile.ramp_s < at_s < profile.seconds - 3 * profile.away_s


def test_smoke_allows_no_error_and_no_profile_many() -> None:
    assert PROFILES["smoke"].bounds.error_share == 0
    assert all(profile.bounds.error_share <= 0.001 for profile in PROFILES.values())


def test_users_are_shared_out_in_proportion() -> None:
    small = PROFILES["flash"].resized(44, None)
    assert (small.customers, small.drivers, small.users) == (40, 4, 44)
    assert small.stock == 10


def test_two_users_are_a_customer_and_a_driver() -> None:
    for profile in PROFILES.values():
        small = profile.resized(2, None)
        assert (small.customers, small.drivers) == (1, 1)


def test_shorter_run_has_the_same_shape_and_asks_for_less() -> None:
    whole, half = PROFILES["reconnect"], PROFILES["reconnect"].resized(None, 30)
    assert half.seconds == 30
    assert half.storms_s == tuple(at_s / 2 for at_s in whole.storms_s)
    assert (half.drivers_s, half.ramp_s) == (whole.drivers_s / 2, whole.ramp_s / 2)
    assert half.bounds.orders_per_customer == whole.bounds.orders_per_customer / 2
    assert half.bounds.rest_p99_ms == whole.bounds.rest_p99_ms


def test_longer_run_does_not_ask_for_more_than_the_profile() -> None:
    assert PROFILES["smoke"].resized(None, 300).bounds == PROFILES["smoke"].bounds


@ALL
def test_play_is_read_as_it_was_written_and_is_nobody_elses_to_read(profile: Profile, tmp_path: Path) -> None:
    plan = RunPlan(
        "http://mall",
        "owner",
        profile,
        (Participant("a", "zon_1"),),
        (Participant("b", "zon_2"),),
        ("prd_1", "prd_2"),
    )
    path = tmp_path / "play.json"
    plan.write(path)
    assert read_plan(path) == plan
    assert path.stat().st_mode & 0o077 == 0
