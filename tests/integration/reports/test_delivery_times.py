"""What deliveries took beyond the way is learned for each zone."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from dispatch.jobs.cleanup import Nothing
from tests.integration.reports.world import JOB, STORES, Placed, ReportWorld

NOW = datetime.now(UTC)


async def _delivered(
    world: ReportWorld, zone: int, took_s: float, ago: timedelta = timedelta(hours=2)
) -> None:
    created = NOW - ago
    basket = ((STORES[zone][0], ((1, 100),)),)
    await world.place(Placed(zone, basket, created, ended=created + timedelta(seconds=took_s)))


async def _learned(world: ReportWorld) -> dict[int, tuple[float, float, int]]:
    await world.reports().learn_delivery_times(Nothing(), JOB)
    rows = await world.owner.fetch("SELECT zone_id, likely_s, late_s, orders FROM delivery_times")
    return {row["zone_id"]: (row["likely_s"], row["late_s"], row["orders"]) for row in rows}


async def test_half_of_the_deliveries_and_nine_of_ten_are_learned_by_zone(world: ReportWorld) -> None:
    for minute in range(21):
        await _delivered(world, 1, 60.0 * minute)
        await _delivered(world, 2, 600.0)
    assert await _learned(world) == {1: (600.0, 1080.0, 21), 2: (600.0, 600.0, 21)}


async def test_few_deliveries_teach_nothing(world: ReportWorld) -> None:
    for _ in range(19):
        await _delivered(world, 1, 600.0)
    assert await _learned(world) == {}


async def test_newest_deliveries_count_and_those_of_a_month_ago_do_not(world: ReportWorld) -> None:
    for _ in range(30):
        await _delivered(world, 1, 3_000.0, timedelta(days=30))
    for _ in range(20):
        await _delivered(world, 1, 300.0)
    assert await _learned(world) == {1: (300.0, 300.0, 20)}


async def test_what_was_learned_is_learned_anew(world: ReportWorld) -> None:
    for _ in range(20):
        await _delivered(world, 1, 300.0, timedelta(hours=9))
    await _learned(world)
    for _ in range(500):
        await _delivered(world, 1, 900.0)
    assert await _learned(world) == {1: (900.0, 900.0, 500)}


async def test_orders_that_were_not_delivered_teach_nothing(world: ReportWorld) -> None:
    basket = ((STORES[1][0], ((1, 100),)),)
    for _ in range(40):
        await world.place(Placed(1, basket, NOW - timedelta(hours=1), "cancelled", NOW))
    assert await _learned(world) == {}
