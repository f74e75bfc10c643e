"""What the trips of a day saved is computed once the day is over, and kept in the zone's row."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from dispatch.jobs.cleanup import Nothing
from tests.integration.reports.world import JOB, STORES, Placed, ReportWorld

# Noon in Berlin and New York, yesterday and today, whatever time it is now.
NOW = datetime.now(UTC)
YESTERDAY = (NOW - timedelta(days=2)).replace(hour=16, minute=0, second=0, microsecond=0)
NORTH_M = 0.01 * 111_195 * 1.3


async def _deliver(
    world: ReportWorld, zone: int = 1, at: datetime = YESTERDAY, trip: str | None = None, place: int = 1
) -> int:
    """An order with a door to the north of its store."""
    basket = ((STORES[zone][0], ((1, 100),)),)
    number = await world.place(Placed(zone, basket, at, ended=at + timedelta(minutes=20)))
    await world.owner.execute("UPDATE orders SET dropoff_lat = 1.01 WHERE id = $1", number)
    if trip is not None:
        await world.owner.execute(
            "UPDATE orders SET search = jsonb_build_object('trip', jsonb_build_array($2::text, $3::jsonb))"
            " WHERE id = $1",
            number,
            trip,
            f"[{number - place + 1}, {number - place + 2}]",
        )
    return number


async def _compute(world: ReportWorld) -> None:
    await world.compute()
    await world.reports().pooling_figures(Nothing(), JOB)


async def _saved(world: ReportWorld) -> dict[tuple[int, int], tuple[Any, Any, Any]]:
    return {
        (zone, store): (row["alone_m"], row["saved_m"], row["saved_bound_m"])
        for (zone, store, _), row in (await world.figures()).items()
    }


@pytest.fixture
async def planned(world: ReportWorld) -> ReportWorld:
    """Zone 1 plans its trips."""
    await world.owner.execute("UPDATE zones SET plan = 'planned' WHERE id = 1")
    return world


async def test_trip_of_two_orders_saved_one_of_the_ways(planned: ReportWorld) -> None:
    await _deliver(planned, trip="trp_1_1", place=1)
    await _deliver(planned, trip="trp_1_1", place=2)
    await _compute(planned)
    saved = await _saved(planned)
    assert saved[1, 0] == pytest.approx((4 * NORTH_M, 2 * NORTH_M, 2 * NORTH_M), rel=1e-3)
    assert saved[1, STORES[1][0]] == (None, None, None)


async def test_orders_that_went_alone_saved_nothing_of_what_was_possible(planned: ReportWorld) -> None:
    await _deliver(planned)
    await _deliver(planned)
    await _compute(planned)
    assert (await _saved(planned))[1, 0] == pytest.approx((4 * NORTH_M, 0.0, 2 * NORTH_M), rel=1e-3)


async def test_day_that_goes_on_and_zone_that_does_not_plan_have_no_figures(planned: ReportWorld) -> None:
    await _deliver(planned, at=NOW)
    await _deliver(planned, zone=2)
    await _compute(planned)
    assert set((await _saved(planned)).values()) == {(None, None, None)}


async def test_figures_stay_when_the_day_is_computed_again(planned: ReportWorld) -> None:
    await _deliver(planned, trip="trp_1_1", place=1)
    await _deliver(planned, trip="trp_1_1", place=2)
    await _compute(planned)
    before = await _saved(planned)
    await planned.owner.execute("UPDATE daily_figures SET orders = 99")
    await planned.owner.execute("INSERT INTO report_days (zone_id, day) VALUES (1, $1)", YESTERDAY.date())
    await _compute(planned)
    assert (await planned.figures())[1, 0, YESTERDAY.date().isoformat()]["orders"] == 2
    assert await _saved(planned) == before
