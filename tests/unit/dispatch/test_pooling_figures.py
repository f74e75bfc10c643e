"""What the trips of a day saved, from the rows of its orders."""

from __future__ import annotations

from dataclasses import fields

import pytest

from dispatch.reports.pooling import USUAL, PoolingFigures, pooling_figures
from dispatch.zone_plan import ZonePlanSettings

# A degree of the meridian is 111,195 m.
NORTH_M = 0.01 * 111_195
ONE_WAY = {"street_factor": 1.0}


def row(number: int, north: float, **more: object) -> list[object]:
    """An order of store 11, which is ready at 0, to a door some hundredths of a degree to the north."""
    values = {
        "store": 11, "at": 0.0, "ready_s": 0.0, "picked_up_s": 60.0, "promised_s": None, "trip": None, "place": None,
        **more,
    }  # fmt: skip
    return [
        number, values["store"], values["at"], 2.0, north / 100, 2.0, values["ready_s"], values["picked_up_s"],
        values["promised_s"], values["trip"], values["place"],
    ]  # fmt: skip


def test_what_a_zone_leaves_out_is_what_its_planner_assumes() -> None:
    assumed = {each.name: each.default for each in fields(ZonePlanSettings) if each.name in USUAL}
    assert assumed == dict(USUAL)


def test_trip_is_compared_with_each_order_alone() -> None:
    rows = [row(1, 1.0, trip="trp_1_1", place=2), row(2, 2.0, trip="trp_1_1", place=1), row(3, -1.0)]
    found = pooling_figures(ONE_WAY, rows)
    assert found.alone_m == pytest.approx(8 * NORTH_M, rel=1e-3)
    assert found.saved_m == pytest.approx(2 * NORTH_M, rel=1e-3)
    assert found.bound_m == pytest.approx(2 * NORTH_M, rel=1e-3)


def test_what_could_have_been_saved_is_known_though_nothing_was() -> None:
    found = pooling_figures(ONE_WAY, [row(1, 1.0), row(2, 2.0)])
    assert found.saved_m == 0.0
    assert found.bound_m == pytest.approx(2 * NORTH_M, rel=1e-3)


def test_stores_of_one_site_may_share_trips() -> None:
    rows = [row(1, 1.0), row(2, 1.0, store=12, at=0.0005)]
    assert pooling_figures(ONE_WAY, rows).bound_m == 0.0
    assert pooling_figures({**ONE_WAY, "site_radius_m": 100}, rows).bound_m > NORTH_M


def test_what_was_saved_was_possible_whatever_the_limits_say() -> None:
    rows = [
        row(1, 1.0, trip="trp_1_1", place=1),
        row(2, 2.0, ready_s=9000.0, picked_up_s=9100.0, trip="trp_1_1", place=2),
    ]
    found = pooling_figures(ONE_WAY, rows)
    assert found.saved_m == found.bound_m == pytest.approx(2 * NORTH_M, rel=1e-3)


def test_zone_that_lives_faster_has_shorter_waits() -> None:
    rows = [row(1, 1.0, picked_up_s=None), row(2, 1.0, ready_s=200.0)]
    assert pooling_figures(ONE_WAY, rows).bound_m > 0.0
    assert pooling_figures({**ONE_WAY, "time_scale": 2.0}, rows).bound_m == 0.0


def test_day_without_deliveries_is_nothing() -> None:
    assert pooling_figures(None, []) == PoolingFigures()
