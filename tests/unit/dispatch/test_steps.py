"""Steps of jobs: the record names a job while its code runs, and nobody while it waits."""

from __future__ import annotations

import asyncio

import pytest

from dispatch.jobs.ports import LastStep
from dispatch.jobs.steps import recorded
from tests.support.waiting import turn


class Steps:
    """Implements StepRecord, and keeps what was said."""

    def __init__(self) -> None:
        self.now: int | None = None
        self.said: list[int] = []

    def last(self) -> LastStep | None:
        return None

    def begin(self, worker: str) -> None:
        del worker

    def enter(self, job: int) -> None:
        self.now = job
        self.said.append(job)

    def leave(self) -> None:
        self.now = None


async def test_record_names_the_job_at_each_of_its_steps_alone() -> None:
    steps, goes_on, seen = Steps(), asyncio.Event(), []

    async def work(job: int) -> None:
        seen.append((job, steps.now))
        await goes_on.wait()
        seen.append((job, steps.now))

    async with asyncio.TaskGroup() as group:
        for job in (1, 2):
            group.create_task(recorded(job, work(job), steps))
        await turn()
        seen.append((0, steps.now))
        goes_on.set()
    assert seen == [(1, 1), (2, 2), (0, None), (1, 1), (2, 2)]
    assert (steps.said, steps.now) == ([1, 2, 1, 2], None)


async def test_work_gets_its_cancellation_and_may_wait_once_more() -> None:
    steps, ended = Steps(), []

    async def work() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            await turn()
            ended.append(steps.now)

    running = asyncio.create_task(recorded(7, work(), steps))
    await turn()
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert (ended, steps.now) == ([7], None)


async def test_error_and_deadline_of_the_work_come_through() -> None:
    steps = Steps()

    async def work(*, late: bool) -> None:
        async with asyncio.timeout(0):
            if late:
                await asyncio.Event().wait()
        raise LookupError("no such order")

    with pytest.raises(TimeoutError):
        await recorded(7, work(late=True), steps)
    with pytest.raises(LookupError, match="no such order"):
        await recorded(7, work(late=False), steps)
    assert steps.now is None
