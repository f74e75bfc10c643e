"""A worker on stored jobs in memory, under a virtual clock; the store can be put away."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

from actors.clock import LoopClock
from dispatch.jobs.policy import JobOutcome
from dispatch.jobs.stored import StoredJobs
from dispatch.jobs.tasks import Job, NewJob, Payload, Retries, Task
from dispatch.jobs.worker import Worker
from storage.errors import NotDone, Unreachable
from storage.memory.jobs import MemoryJobs
from tests.simulation.loop import simulated

TRACE = "f" * 32


class Chance:
    """Randomness that is always the same."""

    def token(self) -> str:
        return "0" * 32

    trace = token

    def random(self) -> float:
        return 0.0


class Store:
    """The queries of MemoryJobs.

    Attributes:
        away: no call arrives.
        deaf: names of queries that are done, and whose answers are lost.
        held: a query by its name waits for its event before it is done.
        calls: names of all queries that were done.
    """

    def __init__(self, memory: MemoryJobs) -> None:
        self._memory = memory
        self.away = False
        self.deaf: set[str] = set()
        self.held: dict[str, asyncio.Event] = {}
        self.calls: list[str] = []

    async def rows(self, name: str, *args: Any) -> list[Any]:
        return list(await self.value(name, *args))

    async def value(self, name: str, *args: Any) -> Any:
        await asyncio.sleep(0.001)
        if self.away:
            raise NotDone("away")
        self.calls.append(name)
        if name in self.held:
            await self.held[name].wait()
        call = self._memory.rows if name == "outbox_due" else self._memory.value
        answer = await call(name, *args)
        if name in self.deaf:
            raise Unreachable("the answer is lost")
        return answer


class WorkFloor:
    """Stored jobs, and workers on them.

    Attributes:
        begun, ended: ids of jobs whose functions began, and came to their ends.
        outcomes: what was told of attempts: (job, outcome).
    """

    def __init__(self) -> None:
        self.clock = LoopClock(asyncio.get_running_loop(), 1_800_000_000.0)
        self.memory = MemoryJobs(self.clock)
        self.store = Store(self.memory)
        self.begun: list[int] = []
        self.ended: list[int] = []
        self.outcomes: list[tuple[int, str]] = []

    def task(self, name: str, run: Callable[[Job], Awaitable[None]], **more: Any) -> Task[Any]:
        """A task without a payload."""

        async def noted(payload: Payload, job: Job) -> None:
            del payload
            self.begun.append(job.id)
            await run(job)
            self.ended.append(job.id)

        return Task(name, Payload, noted, **({"retries": Retries(first_s=1.0)} | more))

    def worker(self, *tasks: Task[Any], name: str = "a") -> Worker:
        """A worker; let it run."""
        return Worker(
            StoredJobs(self.store), tasks, self.clock, Chance(), name=name, life="1", ended=self._told
        )

    def _told(self, job: Job, outcome: JobOutcome, took_s: float) -> None:
        del took_s
        self.outcomes.append((job.id, outcome.kind))

    async def add(self, task: str, many: int = 1) -> list[int]:
        """Add jobs."""
        return await StoredJobs(self.memory).enqueue([NewJob(task, {})] * many, TRACE)

    def runs(self) -> list[tuple[int, str]]:
        """Outcomes that counted: (job, outcome)."""
        return [(job, outcome) for job, _, outcome in self.memory.runs]


def takes(seconds: float) -> Callable[[Job], Awaitable[None]]:
    """Work of a job that takes so long."""

    async def work(job: Job) -> None:
        del job
        await asyncio.sleep(seconds)

    return work


def play(story: Callable[[WorkFloor], Coroutine[Any, Any, None]]) -> None:
    """Run a story under a virtual clock."""

    async def begin() -> None:
        await story(WorkFloor())

    with simulated(1) as loop:
        loop.run_until_complete(begin())
