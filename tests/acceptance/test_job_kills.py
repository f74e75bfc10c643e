"""Workers that are killed, cut off, frozen and stopped: no job is lost, and no outcome counts twice."""

from __future__ import annotations

import asyncio
import itertools
import signal
from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager
from functools import partial
from pathlib import Path

import pytest

from tests.acceptance.job_crew import JobCrew, open_crew

LIMIT_S = 60.0
BETWEEN_KILLS_S = 2.0
AFTER_KILLS_S = 15.0
CUT_S = 5.0
# A worker gives running jobs eight seconds.
STOP_S = 12.0

OpenCrew = Callable[..., AbstractAsyncContextManager[JobCrew]]
_numbers = itertools.count(1)


@pytest.fixture
def crew_of(short_tmp_path: Path, database_url: str) -> OpenCrew:
    """Opens workers on a fresh database."""
    return partial(open_crew, database_url, short_tmp_path / f"crew{next(_numbers)}")


async def all_ended(crew: JobCrew, limit_s: float = LIMIT_S) -> float:
    """Seconds until each job is done or dead."""

    async def none_left() -> bool:
        return await crew.left() == 0

    return await crew.until(none_left, limit_s)


async def begun(crew: JobCrew, count: int) -> None:
    """Wait until the jobs have begun so often, all together."""

    async def enough() -> bool:
        return crew.told("begin").total() >= count

    await crew.until(enough, LIMIT_S)


async def assert_done_once(crew: JobCrew, jobs: Sequence[int]) -> None:
    """All of these jobs are done, by one outcome each, and none is dead."""
    assert await crew.dead() == {}
    assert await crew.done() == dict.fromkeys(jobs, 1)


# -- kill -9 of all workers --------------------------------------------------------------------------------


async def kill_again_and_again(crew: JobCrew, rounds: int, many: int, apart_s: float) -> float:
    """Kill all workers in rounds, each with so many jobs under way, and start them again.

    Returns:
        Time of the last kill, by the store's clock.
    """
    since = await crew.now()
    for _ in range(rounds):
        await crew.start()

        async def busy(since: float = since) -> bool:
            return await crew.under_way(since) >= many and await crew.now() - since >= apart_s

        await crew.until(busy, LIMIT_S)
        await crew.kill()
        since = await crew.now()
    await crew.start()
    return since


async def show_kills(crew: JobCrew, count: int, rounds: int, many: int, apart_s: float = 0.0) -> float:
    """Returns the seconds from the last kill until all jobs are done."""
    jobs = await crew.add("pause", count, (0.5, 1.0, 1.5, 2.0, 2.5, 3.0))
    killed_at = await kill_again_and_again(crew, rounds, many, apart_s)
    started_s = await crew.now() - killed_at
    await all_ended(crew)
    took_s = await crew.now() - killed_at
    print(
        f"{count} jobs, {rounds} kills: {crew.repeats()} repeats, all done {took_s:.1f} s after the last kill,"
    )
    print(f"of which the workers took {started_s:.1f} s to start")
    await assert_done_once(crew, jobs)
    assert set(crew.told("end")) == set(range(count))
    return took_s


async def test_kills_with_jobs_under_way_lose_none(crew_of: OpenCrew) -> None:
    async with crew_of(2, width=50) as crew:
        await show_kills(crew, 140, 2, 90)


@pytest.mark.long
async def test_kills_every_two_seconds_with_a_thousand_jobs_under_way_lose_none(crew_of: OpenCrew) -> None:
    async with crew_of(4, width=250) as crew:
        assert await show_kills(crew, 3_000, 5, 1_000, BETWEEN_KILLS_S) < AFTER_KILLS_S


# -- a job that kills its worker ---------------------------------------------------------------------------


async def show_poison(crew: JobCrew, neighbours: int) -> None:
    """Workers are started again as often as one ends."""
    before = await crew.add("pause", neighbours // 2, (1.0,))
    [poison] = await crew.add("kill", 1, (0.3,), first=10_000)
    after = await crew.add("pause", neighbours // 2, (1.0,), first=neighbours // 2)
    starts = 0
    async with asyncio.timeout(LIMIT_S):
        while await crew.left():
            starts += not all(worker.running for worker in crew.workers)
            await crew.start()
    assert await crew.dead() == {poison: 3}
    assert crew.told("begin")[10_000] == 3
    assert await crew.done() == dict.fromkeys(before + after, 1)
    assert starts <= 4


async def test_job_that_kills_its_worker_is_dead_after_three_and_its_neighbours_are_done(
    crew_of: OpenCrew,
) -> None:
    async with crew_of(1, width=20) as crew:
        await show_poison(crew, 10)


@pytest.mark.long
async def test_job_that_kills_its_worker_has_hundreds_of_neighbours_that_are_done(crew_of: OpenCrew) -> None:
    async with crew_of(1, width=500) as crew:
        await show_poison(crew, 400)


# -- cut off, frozen, stopped ------------------------------------------------------------------------------


async def test_worker_whose_connections_are_ended_goes_on_within_five_seconds(crew_of: OpenCrew) -> None:
    async with crew_of(1, width=50) as crew:
        await crew.start()
        jobs = await crew.add("pause", 40, (0.5,))
        await begun(crew, 40)
        assert await crew.cut() >= 1
        jobs += await crew.add("pause", 40, first=40)
        took_s = await all_ended(crew)
        assert crew.workers[0].running
        assert took_s < CUT_S
        await assert_done_once(crew, jobs)
        assert crew.repeats() == 0


async def test_outcomes_of_a_worker_that_was_frozen_beyond_its_lease_count_for_nothing(
    crew_of: OpenCrew,
) -> None:
    async with crew_of(2, width=50, lease_s=1.0) as crew:
        frozen, other = crew.workers
        await crew.start()
        other.send(signal.SIGSTOP)
        jobs = await crew.add("pause", 20, (0.8,))
        await begun(crew, 20)
        frozen.send(signal.SIGSTOP)
        other.send(signal.SIGCONT)
        await begun(crew, 40)
        frozen.send(signal.SIGCONT)
        await all_ended(crew)
        print(f"20 jobs of a frozen worker: {crew.repeats()} repeats")
        await assert_done_once(crew, jobs)
        workers = await crew.database.fetch("SELECT DISTINCT split_part(worker, '/', 1) FROM job_runs")
        assert [row[0] for row in workers] == [other.name]
        assert frozen.running


async def test_worker_that_is_stopped_finishes_what_runs(crew_of: OpenCrew) -> None:
    async with crew_of(1, width=100) as crew:
        [worker] = crew.workers
        await crew.start()
        jobs = await crew.add("pause", 100, (0.5, 1.0))
        await begun(crew, 100)
        worker.send(signal.SIGTERM)
        async with asyncio.timeout(STOP_S):
            assert await worker.wait() == 0
        await assert_done_once(crew, jobs)
        assert crew.repeats() == 0


@pytest.mark.long
async def test_worker_that_is_stopped_gives_back_what_needs_longer(crew_of: OpenCrew) -> None:
    async with crew_of(1, width=100) as crew:
        [worker] = crew.workers
        await crew.start()
        jobs = await crew.add("pause", 100, (0.5, 59.0))
        await begun(crew, 100)
        worker.send(signal.SIGTERM)
        async with asyncio.timeout(STOP_S):
            assert await worker.wait() == 0
        assert await crew.done() == dict.fromkeys(jobs[::2], 1)
        left = await crew.database.fetch("SELECT id, worker, failures, deaths FROM jobs ORDER BY id")
        assert [tuple(row) for row in left] == [(job, None, 0, 0) for job in jobs[1::2]]
