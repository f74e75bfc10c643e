"""What a new order gets of what was learned, and what its zone reads, in memory and in Postgres."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import asyncpg
import pytest

from actors.messages import Query
from tests.contracts.world import NEARBY, STORE, ZONE, JournalWorld, placing

# A store that another hour of the day says nothing about.
ALL = -1


def hours() -> tuple[int, int]:
    """This hour of the day, and another one that is not near it."""
    now = datetime.now(UTC).hour
    return now, (now + 12) % 24


async def learned(world: JournalWorld, store: int, hour: int, likely_s: float, late_s: float) -> None:
    """Say how long a store prepares; store 0: all of the zone."""
    if not world.url:
        world.journal.preparation_times[ZONE, store, hour] = (likely_s, late_s)
        return
    owner = await asyncpg.connect(world.url)
    await owner.execute(
        "INSERT INTO preparation_times VALUES ($1, $2, $3, $4, $5, '{}', now())",
        ZONE, store, hour, likely_s, late_s,
    )  # fmt: skip
    await owner.close()


async def speed(world: JournalWorld, hour: int, metres_per_s: float) -> None:
    if not world.url:
        world.journal.driver_speeds[ZONE, hour] = metres_per_s
        return
    owner = await asyncpg.connect(world.url)
    await owner.execute(
        "INSERT INTO driver_speeds VALUES ($1, $2, $3, '{}', now())", ZONE, hour, metres_per_s
    )
    await owner.close()


async def prepared(world: JournalWorld, key: str, many: int, lines: Any = ((1, 1),)) -> list[float]:
    """Seconds from placing until each of some new orders is ready."""
    answers = await world.placer.place([placing(f"{key}{n}" * 4, lines) for n in range(many)])
    assert [answer["code"] for answer in answers] == ["created"] * many
    return [(answer["facts"]["ready_ms"] - answer["facts"]["created_ms"]) / 1000 for answer in answers]


@pytest.mark.parametrize("many", [1, 4])
async def test_new_order_is_ready_when_those_of_its_store_and_hour_were(
    world: JournalWorld, many: int
) -> None:
    """Orders that are placed together take the other function of Postgres."""
    now, other = hours()
    assert await prepared(world, "usual", many) == [600] * many
    await learned(world, 0, ALL, 400, 900)
    assert await prepared(world, "zone", many) == [400] * many
    await learned(world, STORE, other, 999, 1200)
    await learned(world, NEARBY, ALL, 998, 1200)
    assert await prepared(world, "others", many) == [400] * many
    await learned(world, STORE, ALL, 300, 900)
    assert await prepared(world, "store", many) == [300] * many
    await learned(world, STORE, now, 200.4, 900)
    assert await prepared(world, "hour", many) == [200] * many


@pytest.mark.parametrize("many", [1, 4])
async def test_word_of_a_store_holds_whatever_was_learned(world: JournalWorld, many: int) -> None:
    await learned(world, STORE, ALL, 300, 900)
    await world.change("stores", STORE, "preparation_learned", False)
    assert await prepared(world, "word", many) == [600] * many


@pytest.mark.parametrize("many", [1, 4])
async def test_promise_counts_with_the_learned_time(world: JournalWorld, many: int) -> None:
    before = await world.placer.place([placing(f"b{n}" * 8, ((1, 1),)) for n in range(many)])
    await learned(world, STORE, ALL, 1800, 2400)
    after = await world.placer.place([placing(f"a{n}" * 8, ((1, 1),)) for n in range(many)])
    for one, two in zip(before, after, strict=True):
        for name in ("expected_ms", "promised_ms"):
            took = [answer["facts"][name] - answer["facts"]["created_ms"] for answer in (one, two)]
            assert took[1] - took[0] == pytest.approx(1_200_000, abs=2)


@pytest.mark.parametrize("many", [1, 4])
async def test_each_pickup_of_an_order_gets_the_time_of_its_store(world: JournalWorld, many: int) -> None:
    await learned(world, STORE, ALL, 300, 900)
    await learned(world, NEARBY, ALL, 1000, 1500)
    await world.change("products", 3, "stock", None)
    answers = await world.placer.place(
        [placing(f"both{n}" * 4, ((1, 1), (3, 1)), lat=1.0, lon=2.0) for n in range(many)]
    )
    for facts in [answer["facts"] for answer in answers]:
        each = [(ready_ms - facts["created_ms"]) / 1000 for ready_ms in facts["ready_each"]]
        assert (each, facts["ready_ms"] - facts["created_ms"]) == ([300, 1000], 1_000_000)


async def test_zone_reads_the_speed_of_the_hour_and_the_spread_of_its_stores(world: JournalWorld) -> None:
    now, other = hours()

    async def read() -> tuple[float | None, dict[int, float]]:
        row = (await world.journal.load("zone", [ZONE]))[ZONE]
        [again] = await world.journal.read(Query("load_zones", ([ZONE],)))
        told = (row["learned_speed_m_per_s"], dict(row["ready_spreads"] or ()))
        assert told == (again["learned_speed_m_per_s"], dict(again["ready_spreads"] or ()))
        return told

    assert await read() == (None, {})
    await speed(world, other, 9.0)
    await learned(world, STORE, other, 100, 999)
    assert await read() == (None, {})
    await speed(world, ALL, 4.0)
    await learned(world, STORE, ALL, 300, 900)
    await learned(world, 0, ALL, 300, 500)
    assert await read() == (4.0, {STORE: 600, 0: 200})
    await speed(world, now, 3.0)
    await learned(world, STORE, now, 300, 420)
    assert await read() == (3.0, {STORE: 120, 0: 200})


async def test_queue_of_a_zone_is_around_the_middle_of_its_open_stores(world: JournalWorld) -> None:
    async def read() -> tuple[Any, ...]:
        row = (await world.journal.load("zone", [ZONE]))[ZONE]
        return tuple(row[name] for name in ("queue_radius_m", "queue_lat", "queue_lon"))

    assert await read() == (None, None, None)
    await world.change("zones", ZONE, "queue_radius_m", 150)
    assert await read() == (150, 0.5, 1.0)
    await world.change("stores", STORE, "active", False)
    assert await read() == (150, 1.0, 2.0)
    await world.change("stores", NEARBY, "active", False)
    assert await read() == (150, None, None)
