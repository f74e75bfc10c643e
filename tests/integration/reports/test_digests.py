"""Digests of drivers: yesterday's deliveries, once for each zone and driver, after the day has ended there."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from dispatch.jobs.cleanup import Nothing
from tests.integration.reports.world import JOB, STORES, TIME_ZONES, Placed, ReportWorld

TASK = "send_digest"


def _yesterday(zone: int) -> datetime:
    """Noon of yesterday in the zone, ten minutes ago by its clock."""
    here = datetime.now(UTC) - timedelta(minutes=10)
    noon = here.astimezone(ZoneInfo(TIME_ZONES[zone])).replace(hour=12, minute=0, second=0, microsecond=0)
    return noon - timedelta(days=1)


def _delivered(zone: int, at: datetime, **other: Any) -> Placed:
    return Placed(
        zone, ((STORES[zone][0], ((2, 400),)),), at - timedelta(hours=1), ended=at,
        **{"driver": 201, "pay_minor": 350, **other},
    )  # fmt: skip


async def _digest(world: ReportWorld, task: str | None = TASK) -> None:
    await world.reports(task).driver_digest(Nothing(), JOB)


async def test_each_driver_gets_one_job_for_each_zone_with_the_facts_of_yesterday(world: ReportWorld) -> None:
    noon = _yesterday(1)
    for order in (
        _delivered(1, noon),
        _delivered(1, noon, currency="USD", payment="card"),
        _delivered(1, noon, driver=202, pay_minor=None),
        _delivered(1, noon - timedelta(days=1)),
        _delivered(1, noon + timedelta(days=1)),
        _delivered(2, _yesterday(2), driver=203),
    ):
        await world.place(order)
    await _digest(world)
    jobs = {(one["driver_id"], one["zone_id"]): (key, one) for _, key, one in await world.jobs()}
    assert jobs.keys() == {(201, 1), (202, 1), (203, 2)}
    key, facts = jobs[201, 1]
    assert key == "send_digest/201"
    assert facts == {
        "driver_id": 201, "zone_id": 1, "day": noon.date().isoformat(), "deliveries": 2,
        "amounts": [
            {"currency": "EUR", "pay_minor": 350, "cash_minor": 800},
            {"currency": "USD", "pay_minor": 350, "cash_minor": 0},
        ],
    }  # fmt: skip


async def test_digests_are_made_once(world: ReportWorld) -> None:
    await world.place(_delivered(1, _yesterday(1)))
    await asyncio.gather(_digest(world), _digest(world))
    await _digest(world)
    assert len(await world.jobs()) == 1
    # As if the job had been lost between the digests and its end.
    await world.owner.execute("DELETE FROM digest_days")
    await _digest(world)
    assert len(await world.jobs()) == 1


async def test_without_a_task_that_sends_them_digests_are_kept(world: ReportWorld) -> None:
    await world.place(_delivered(1, _yesterday(1)))
    await _digest(world, None)
    assert await world.jobs() == []
    assert await world.owner.fetchval("SELECT deliveries FROM driver_digests WHERE driver_id = 201") == 1


async def test_no_digest_is_made_before_the_day_has_ended_for_some_minutes(world: ReportWorld) -> None:
    """The functions take the pause as an argument, so a long one stands for an early time of day."""
    await _digest(world)
    days = dict(await world.owner.fetch("SELECT zone_id, day FROM digest_days"))
    assert days == {zone: _yesterday(zone).date() for zone in TIME_ZONES}
    assert await world.database.value("make_digests", TASK, 600) is None
    await world.owner.execute("UPDATE digest_days SET day = day - 1 WHERE zone_id = 1")
    assert await world.database.value("make_digests", TASK, 86_400 + 600) is None, (
        "the day has not ended then"
    )
    assert await world.database.value("make_digests", TASK, 600) == 1
