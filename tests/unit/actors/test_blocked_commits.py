"""Commits in whose way a lock of somebody else stands: they wait alone, and nobody waits with them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from actors.blocked_commits import LOOK_ITEMS_MAX
from actors.errors import DeadlinePassed, Unanswered
from actors.messages import ActorId
from actors.shards import shard_of
from tests.support.waiting import until
from tests.unit.actors.test_runtime import Stage, staged


@asynccontextmanager
async def _locked(*numbers: int) -> AsyncIterator[tuple[Stage, list[tuple[str, dict[str, Any]]]]]:
    """A running runtime of whose journal somebody holds these rows; what it logs."""
    async with staged() as stage:
        stage.table.locks = {f"counter {number}": 4711 for number in numbers}
        yield stage, stage.said


async def test_locked_row_keeps_nobody_else_waiting() -> None:
    async with _locked(3) as (stage, _), asyncio.TaskGroup() as tasks:
        waiting = tasks.create_task(stage.ask("add 3", 3))
        others = [tasks.create_task(stage.ask(f"add {n}", n)) for n in range(4, 40)]
        assert [await other for other in others] == [1] * 36
        assert not waiting.done()
        del stage.table.locks["counter 3"]
        assert await waiting == 1
        assert stage.table.rows[3]["value"] == 1


async def test_row_that_is_known_to_be_locked_costs_the_lane_one_wait() -> None:
    async with _locked(3) as (stage, _), asyncio.TaskGroup() as tasks:
        first = tasks.create_task(_error(stage.ask("add 3", 3, budget_s=0.2)))
        await until(lambda: stage.runtime.set_aside)
        assert await first == "DeadlinePassed"
        with pytest.raises(DeadlinePassed):
            await stage.ask("add 3", 3, budget_s=0.2)
        assert stage.table.batches == [["add 3"]]
        assert stage.runtime.counters.lock_waits == 1
        assert stage.table.rows[3]["value"] == 0


async def test_command_that_waited_for_a_lock_until_its_deadline_had_no_effect_and_is_told_so() -> None:
    async with _locked(3) as (stage, _):
        with pytest.raises(DeadlinePassed):
            await stage.ask("add 3", 3, budget_s=0.2)
        stage.table.locks.clear()
        assert await stage.ask("get", 3) == 0
        assert await stage.ask("add 3", 3) == 1


async def test_locked_row_is_known_while_nobody_waits_for_it() -> None:
    async with _locked(3) as (stage, _):
        with pytest.raises(DeadlinePassed):
            await stage.ask("add 3", 3, budget_s=0.2)
        blocked = stage.runtime.lanes[0].blocked
        await until(lambda: not len(blocked))
        assert (blocked.holders(), blocked.locked()) == ({}, {"psql": 1})
        stage.table.locks.clear()
        await until(lambda: not blocked.locked())


async def test_holder_is_named_once_when_it_blocks_and_once_when_it_has_gone() -> None:
    async with _locked(3, 4) as (stage, said), asyncio.TaskGroup() as tasks:
        waiting = [tasks.create_task(stage.ask(f"add {n}", n)) for n in (3, 4)]
        await until(lambda: stage.runtime.set_aside == 2)
        assert stage.runtime.lanes[0].blocked.holders() == {"psql": 2}
        stage.table.locks.clear()
        assert [await task for task in waiting] == [1, 1]
        await until(lambda: len(said) == 2)
        (began, whom), (ended, gone) = said
        assert (began, whom["actor"], whom["row"]) == ("blocked_commit", "counter:3", "counter 3")
        assert (whom["holder_pid"], whom["holder_application"]) == (4711, "psql")
        assert (ended, gone["holder_pid"]) == ("unblocked_commit", 4711)
        assert gone["duration_s"] > 0
        assert stage.runtime.lanes[0].blocked.holders() == {}


async def test_lock_that_no_look_shows_is_found_by_halves_and_waited_for_alone() -> None:
    async with _locked() as (stage, said), asyncio.TaskGroup() as tasks:
        stage.table.hidden = {"counter 3"}
        waiting = tasks.create_task(stage.ask("add 3", 3, budget_s=30))
        others = [tasks.create_task(stage.ask(f"add {n}", n)) for n in range(4, 20)]
        assert [await other for other in others] == [1] * 16
        assert not waiting.done()
        stage.table.hidden.clear()
        assert await waiting == 1
        assert said[0][1]["row"] == "unknown"


async def test_many_locked_rows_come_free_in_any_order() -> None:
    numbers = range(1, LOOK_ITEMS_MAX + 100)
    async with _locked(*numbers) as (stage, _), asyncio.TaskGroup() as tasks:
        waiting = {n: tasks.create_task(stage.ask(f"add {n}", n, budget_s=30)) for n in numbers}
        await until(lambda: stage.runtime.set_aside == len(numbers))
        last = numbers[-1]
        del stage.table.locks[f"counter {last}"]
        assert await waiting[last] == 1
        stage.table.locks.clear()
        assert [await task for task in waiting.values()] == [1] * len(numbers)
        assert stage.runtime.set_aside == 0


async def test_shard_with_a_commit_set_aside_can_be_handed_over() -> None:
    async with _locked(3) as (stage, _), asyncio.TaskGroup() as tasks:
        waiting = tasks.create_task(stage.ask("add 3", 3))
        await until(lambda: stage.runtime.set_aside)
        shard = shard_of(ActorId("counter", 3))
        stage.runtime.park(shard)
        stage.runtime.freeze([shard])
        assert not stage.runtime.cells.is_committing(shard)
        assert stage.runtime.set_aside == 0
        stage.table.locks.clear()
        await stage.runtime.take([shard])  # it came to nothing: the giver serves again
        assert await waiting == 1
        assert stage.table.rows[3]["value"] == 1


async def test_lost_shard_takes_what_was_set_aside_with_it() -> None:
    async with _locked(3) as (stage, _), asyncio.TaskGroup() as tasks:
        waiting = tasks.create_task(_error(stage.ask("add 3", 3)))
        await until(lambda: stage.runtime.set_aside)
        stage.runtime.fence_out(shard_of(ActorId("counter", 3)))
        assert await waiting == "Unavailable"
        stage.table.locks.clear()
        await until(lambda: not stage.runtime.set_aside)
        assert stage.table.rows[3]["value"] == 0


async def _error(ask: Any) -> str:
    try:
        await ask
    except Exception as error:  # noqa: BLE001 - its name is all that is asked
        return type(error).__name__
    return ""


async def test_journal_that_does_not_say_who_blocks_loses_nothing() -> None:
    async with _locked(3) as (stage, _), asyncio.TaskGroup() as tasks:
        look, looks = stage.table.blocked, iter((True, True, True))

        async def away(items: Any) -> Any:
            for _ in looks:
                raise Unanswered("away")
            return await look(items)

        stage.table.blocked = away  # type: ignore[method-assign]
        waiting = tasks.create_task(stage.ask("add 3", 3, budget_s=30))
        other = tasks.create_task(stage.ask("add 4", 4, budget_s=30))
        assert await other == 1
        stage.table.locks.clear()
        assert await waiting == 1


async def test_runtime_ends_at_once_although_a_row_is_locked() -> None:
    async with _locked(3) as (stage, said):
        asking = asyncio.create_task(_error(stage.ask("add 3", 3, budget_s=30)))
        await until(lambda: stage.runtime.set_aside)
    assert await asking == "Unavailable"
    assert "gave_up_drain" not in [event for event, _ in said]
