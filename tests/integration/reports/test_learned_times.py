"""How long stores prepare and how fast drivers are is learned from what really happened."""

from __future__ import annotations

import itertools
import json
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from dispatch.jobs.cleanup import Nothing
from storage.geo import metres_between
from tests.integration.reports.world import CUSTOMER, JOB, STORES, TRACE, ReportWorld

# Ten in the morning of the day before, in Berlin, where zone 1 is.
MORNING = (datetime.now(UTC) - timedelta(days=1)).replace(hour=8, minute=0, second=0, microsecond=0)
ZONE = 1
STORE = STORES[ZONE][0]
PLACE, DOOR = (1.0, 2.0), (1.02, 2.0)
WAY_M = metres_between(*PLACE, *DOOR)
ALL = -1
_numbers = itertools.count(1)
_ORDER = """
INSERT INTO orders (id, shard, zone_id, store_id, customer_id, driver_id, status, mode, ready_at, created_at,
                    updated_at, dropoff_lat, dropoff_lon, address, payment, total_minor, currency, pickups, terms)
VALUES ($1, 0, $2, $3, $4, $5, 'delivered', 'waves', $6, $7, $8, $9, $10, 'door', 'cash', 100, 'EUR', $11, $12)"""
_EVENT = """
INSERT INTO order_events (order_id, version, type, actor_role, actor_id, trace, at, data)
VALUES ($1, $2, $3, $4, 'x_1', $5, $6, $7)"""


async def delivered(
    world: ReportWorld,
    *,
    placed: datetime = MORNING,
    ready_s: float = 600,
    picked_s: float = 600,
    took_s: float = 600,
    assigned_s: float = 60,
    away_m: float | None = 0,
    said: bool = False,
    stores: tuple[int, ...] = (STORE,),
    driver: int | None = None,
    role: str = "driver",
    terms: Mapping[str, Any] | None = None,
    door: tuple[float, float] = DOOR,
) -> None:
    """A delivery; times are seconds from its placing, `took_s` from the pick-up.

    `away_m`: how far away the driver was when it was asked; None: that is not known. `driver`: one that has no other
    orders, unless it is given.
    """
    number, asked_m = next(_numbers), -1 if away_m is None else away_m
    driver = driver or 10_000 + number
    pickups = [[store, "S", *PLACE, 1, [0]] for store in stores]
    picked = picked_s + took_s
    steps: list[tuple[str, str, float, Mapping[str, Any]]] = [("created", "customer", 0, {})]
    if said:
        steps.append(("ready_time_set", "admin", assigned_s - 2, {}))
    steps += [
        ("offered", "system", assigned_s - 1, {"drivers": [7, driver], "distances_m": [9, asked_m]}),
        ("assigned", "driver", assigned_s, {"driver_id": f"drv_{driver}"}),
        ("picked_up", role, picked_s, {}),
        ("delivered", "driver", picked, {}),
    ]  # fmt: skip
    at = [placed + timedelta(seconds=seconds) for _, _, seconds, _ in steps]
    await world.owner.execute(
        _ORDER, number, ZONE, stores[0], CUSTOMER, driver, placed + timedelta(seconds=ready_s), placed, at[-1],
        *door, json.dumps(pickups), None if terms is None else json.dumps(terms),
    )  # fmt: skip
    for version, ((kind, by, _, data), when) in enumerate(zip(steps, at, strict=True), 1):
        await world.owner.execute(_EVENT, number, version, kind, by, TRACE, when, json.dumps(data))


async def learn(world: ReportWorld) -> dict[tuple[int, int], tuple[float, float]]:
    """Learn; returns what is known of zone 1, by store and hour."""
    await world.reports().learn_from_deliveries(Nothing(), JOB)
    rows = await world.owner.fetch(
        "SELECT store_id, hour, likely_s, late_s FROM preparation_times WHERE zone_id = 1 AND likely_s IS NOT NULL"
    )
    return {(row["store_id"], row["hour"]): (row["likely_s"], row["late_s"]) for row in rows}


async def speeds(world: ReportWorld) -> dict[int, float]:
    rows = await world.owner.fetch("SELECT hour, speed_m_per_s FROM driver_speeds WHERE zone_id = 1")
    return {row["hour"]: row["speed_m_per_s"] for row in rows if row["speed_m_per_s"] is not None}


async def test_median_and_ninth_decile_by_store_and_hour_of_the_zones_day(world: ReportWorld) -> None:
    for minute in range(11):
        await delivered(world, picked_s=660 + 60 * minute)
    for minute in range(11):
        await delivered(world, placed=MORNING + timedelta(hours=3), picked_s=1260 + 60 * minute)
    hour = await world.owner.fetchval(
        "SELECT extract(hour FROM $1::timestamptz AT TIME ZONE 'Europe/Berlin')::integer", MORNING
    )
    known = await learn(world)
    assert known[STORE, hour] == (960, 1200)
    assert known[STORE, hour + 3] == (1560, 1800)
    assert known[STORE, ALL] == known[0, ALL] == pytest.approx((1260, 1734))


async def test_few_deliveries_teach_nothing(world: ReportWorld) -> None:
    for _ in range(9):
        await delivered(world)
    assert await learn(world) == {}
    assert await speeds(world) == {}


@pytest.mark.parametrize(
    ("case", "took_s"),
    [
        ({"picked_s": 900}, 900),  # the driver was there after a minute and waited
        ({"picked_s": 400}, 400),  # the goods were ready before they were expected
        ({"picked_s": 900, "away_m": 4000}, 600),  # the driver had far to go: nothing speaks against 600 s
        ({"picked_s": 900, "said": True, "ready_s": 300}, 300),  # the store's word
        ({"picked_s": 200, "said": True, "ready_s": 300}, 200),
        ({"picked_s": 30_000}, 14_400),  # a bound
    ],
)
async def test_what_a_pickup_tells_of_the_time_of_preparation(
    world: ReportWorld, case: dict[str, Any], took_s: float
) -> None:
    for _ in range(10):
        await delivered(world, **case)
    assert (await learn(world))[STORE, ALL] == (took_s, took_s)


@pytest.mark.parametrize(
    "case", [{"away_m": None}, {"stores": STORES[ZONE]}, {"role": "admin"}, {"terms": {"deliver_ms": 1}}],
    ids=["place", "stores", "operator", "wanted later"]
)  # fmt: skip
async def test_pickup_that_tells_nothing_is_left_out(world: ReportWorld, case: dict[str, Any]) -> None:
    for _ in range(20):
        await delivered(world, picked_s=900, **case)
    assert await learn(world) == {}


async def test_driver_who_delivered_elsewhere_meanwhile_did_not_wait(world: ReportWorld) -> None:
    """The second order waits for the driver, whose way from the first one's door takes 580 s."""
    for n in range(10):
        day = MORNING + timedelta(minutes=90 * n)
        await delivered(world, placed=day, said=True, picked_s=300, ready_s=300, took_s=600, driver=300 + n)
        await delivered(
            world, placed=day, picked_s=1500, assigned_s=61, stores=STORES[ZONE][1:], driver=300 + n
        )
    assert (await learn(world))[STORES[ZONE][1], ALL] == (600, 600)


async def test_speed_is_that_of_the_way_without_the_time_at_store_and_door(world: ReportWorld) -> None:
    """Half of two minutes at the store, half of two minutes at the door."""
    for _ in range(20):
        await delivered(world, took_s=120 + WAY_M * 1.3 / 4)
    await learn(world)
    assert (await speeds(world))[ALL] == pytest.approx(4, rel=1e-6)


async def test_second_order_of_a_trip_is_measured_from_the_first_ones_door(world: ReportWorld) -> None:
    further = (1.04, 2.0)
    leg_s = 120 + WAY_M * 1.3 / 4
    for n in range(10):
        day = MORNING + timedelta(minutes=90 * n)
        await delivered(world, placed=day, took_s=leg_s, driver=300 + n)
        await delivered(world, placed=day, took_s=2 * leg_s, door=further, driver=300 + n)
    await learn(world)
    assert (await speeds(world))[ALL] == pytest.approx(4, rel=1e-6)


@pytest.mark.parametrize(("took_s", "speed"), [(60, 20), (40_000, 1)])
async def test_speed_is_bounded(world: ReportWorld, took_s: float, speed: float) -> None:
    for _ in range(20):
        await delivered(world, took_s=took_s)
    await learn(world)
    assert (await speeds(world))[ALL] == speed


async def test_short_ways_tell_nothing_of_the_speed(world: ReportWorld) -> None:
    for _ in range(30):
        await delivered(world, door=(1.001, 2.0))
    await learn(world)
    assert await speeds(world) == {}


async def test_each_delivery_counts_once_and_a_change_moves_half_of_the_way(world: ReportWorld) -> None:
    for _ in range(10):
        await delivered(world, picked_s=900)
    assert (await learn(world))[STORE, ALL] == (900, 900)
    assert (await learn(world))[STORE, ALL] == (900, 900)
    assert await world.owner.fetchval("SELECT max(cardinality(newest_s)) FROM preparation_times") == 10
    later = datetime.now(UTC) - timedelta(minutes=40)
    await world.owner.execute("UPDATE learning_cursor SET until = $1", later - timedelta(minutes=5))
    for _ in range(100):
        await delivered(world, placed=later, picked_s=1300)
    assert (await learn(world))[STORE, ALL] == (1100, 1100)
    assert await world.owner.fetchval("SELECT max(cardinality(newest_s)) FROM preparation_times") == 100


async def test_what_was_not_measured_for_a_month_is_forgotten(world: ReportWorld) -> None:
    for _ in range(20):
        await delivered(world)
    assert await learn(world)
    await world.owner.execute("UPDATE preparation_times SET updated_at = now() - interval '29 days'")
    await world.owner.execute("UPDATE driver_speeds SET updated_at = now() - interval '29 days'")
    assert await learn(world) == {}
    assert await speeds(world) == {}
