"""Stored inputs of the planner's steps, in memory and in Postgres."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any, cast

import asyncpg
import pytest

from dispatch.jobs.cleanup import Cleanup, Nothing
from storage.memory.plan_steps import MemoryPlanSteps
from storage.postgres.database import open_database
from tests.conftest import copied_database
from tests.support.clocks import Hands

ZONE, OTHER = 1, 2
HOUR_S = 3600.0
ROOM = 1_000_000


class StepsWorld:
    """Stored steps, and a time that a test lets pass."""

    def __init__(self, queries: Any, hands: Hands, owner: Any = None) -> None:
        self.queries = queries
        self._hands = hands
        self._owner = owner

    async def let_pass(self, seconds: float) -> None:
        """Everything that is stored is older by this."""
        self._hands.now += seconds
        if self._owner is not None:
            await self._owner.execute("UPDATE plan_steps SET at = at - make_interval(secs => $1)", seconds)

    async def save(self, *steps: tuple[int, int, int, bytes], planner: str = "a" * 16) -> None:
        zones, asked, numbers, inputs = (list(column) for column in zip(*steps, strict=True))
        assert await self.queries.rows("save_plan_steps", zones, asked, numbers, planner, inputs) == []

    async def found(self, zone_id: int, *names: tuple[int, int]) -> list[tuple[Any, ...]]:
        asked, numbers = [name[0] for name in names], [name[1] for name in names]
        rows = await self.queries.rows("plan_steps_of", zone_id, asked, numbers)
        return sorted((row["asked_ms"], row["number"], row["planner"], bytes(row["input"])) for row in rows)

    async def trim(self, hours: int = 24, zone_bytes: int = ROOM, limit: int = 100) -> int:
        gone: int = await self.queries.value("trim_plan_steps", hours, zone_bytes, limit)
        return gone


@pytest.fixture
async def steps(server: str | None) -> AsyncIterator[StepsWorld]:
    hands = Hands()
    if server is None:
        yield StepsWorld(MemoryPlanSteps(lambda: hands.now), hands)
        return
    async with copied_database(server) as url, open_database(url, size_max=2) as database:
        owner = await asyncpg.connect(url)
        yield StepsWorld(database, hands, owner)
        await owner.close()


async def test_step_is_found_by_its_zone_its_time_and_its_number(steps: StepsWorld) -> None:
    await steps.save((ZONE, 1000, 1, b"one"), (ZONE, 1000, 2, b"two"), (OTHER, 1000, 1, b"other"))
    assert await steps.found(ZONE, (1000, 1), (1000, 3), (999, 1)) == [(1000, 1, "a" * 16, b"one")]
    assert [row[3] for row in await steps.found(ZONE, (1000, 2), (1000, 1), (1000, 1))] == [b"one", b"two"]


async def test_step_that_is_there_already_stays_as_it_is(steps: StepsWorld) -> None:
    await steps.save((ZONE, 1000, 1, b"one"))
    await steps.save((ZONE, 1000, 1, b"again"), (ZONE, 1250, 2, b"two"), planner="b" * 16)
    assert await steps.found(ZONE, (1000, 1), (1250, 2)) == [
        (1000, 1, "a" * 16, b"one"),
        (1250, 2, "b" * 16, b"two"),
    ]


async def test_old_steps_go_a_few_at_a_time(steps: StepsWorld) -> None:
    await steps.save(*((ZONE, 1000 + n, n, b"old") for n in range(5)))
    await steps.let_pass(2 * HOUR_S)
    await steps.save((ZONE, 9000, 9, b"new"))
    assert await steps.trim(hours=3) == 0
    assert [await steps.trim(hours=1, limit=3) for _ in range(3)] == [3, 2, 0]
    assert await steps.found(ZONE, (9000, 9), *((1000 + n, n) for n in range(5))) == [
        (9000, 9, "a" * 16, b"new")
    ]


async def test_oldest_steps_of_a_zone_that_holds_too_much_go(steps: StepsWorld) -> None:
    await steps.save(*((ZONE, 1000 + n, n, b"x" * 100) for n in range(4)), (OTHER, 1000, 1, b"y" * 250))
    assert await steps.trim(zone_bytes=250) == 2
    assert [row[1] for row in await steps.found(ZONE, *((1000 + n, n) for n in range(4)))] == [2, 3]
    assert len(await steps.found(OTHER, (1000, 1))) == 1


async def test_clean_up_keeps_what_the_settings_say(steps: StepsWorld) -> None:
    cleanup = Cleanup(steps.queries, run_days=7, event_days=30, step_hours=2, step_zone_mib=1)
    [task] = [each for each in cleanup.tasks() if each.name == "trim_plan_steps"]
    assert any(each.task == task.name for each in cleanup.schedules())
    await steps.save((ZONE, 1000, 1, b"old"), (OTHER, 1000, 1, b"old"))
    await steps.let_pass(3 * HOUR_S)
    await steps.save(*((ZONE, 2000 + n, n, b"x" * 200_000) for n in range(7)))
    await task.run(Nothing(), cast(Any, None))
    assert await steps.found(OTHER, (1000, 1)) == []
    assert [row[1] for row in await steps.found(ZONE, *((2000 + n, n) for n in range(7)))] == [2, 3, 4, 5, 6]


async def test_where_no_hours_are_kept_all_steps_go(steps: StepsWorld) -> None:
    await steps.save((ZONE, 1000, 1, b"one"))
    await steps.let_pass(1)
    assert await steps.trim(hours=0) == 1
