"""Worker: takes jobs by lease, runs them, and records how each attempt ended.

One loop calls the store: it finishes, extends and claims, in this order, and never at the same time. Outcomes that
came while a call was under way are written by the next one. Jobs run beside the loop, at most `width` of each task.
When the store is away, jobs go on, their outcomes wait, and the number of both is bounded by the widths.

A job that has ended two workers is a suspect. It is done alone: the worker claims nothing more, waits until its jobs
have ended, and takes one suspect. So innocent neighbours do not die with it.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext, suppress
from dataclasses import dataclass
from typing import Any

from actors.clock import Clock, Randomness
from dispatch.jobs.policy import DONE, RELEASED, JobOutcome, outcome_of
from dispatch.jobs.ports import JobStore
from dispatch.jobs.tasks import Job, Task
from storage.errors import StorageError

# A lease outlives two missed extensions.
LEASE_S = 15.0
EXTENSIONS = 3
# What nobody announced is found within this time.
POLL_S = 1.0
# Pause after a failed call of the store, doubling.
PAUSE_S_MIN, PAUSE_S_MAX = 0.1, 1.0
# Deaths after which a job is done alone; storage/postgres/functions/jobs.sql has the same number.
SUSPECT_DEATHS = 2
# Time for running jobs when the worker stops. Those that need longer are given back.
DRAIN_S = 8.0


class DeadlineExceeded(Exception):
    """An attempt took longer than its task allows."""


@dataclass(slots=True)
class _Attempt:
    """An attempt under way."""

    job: Job
    running: asyncio.Task[None]
    lost: bool = False


def _ignore(job: Job, outcome: JobOutcome, took_s: float) -> None:
    del job, outcome, took_s


class Worker:
    """Worker for a set of tasks.

    Args:
        name: stable name of the worker; one process at a time has it.
        life: suffix of this process.
        ended: called with each attempt's outcome and seconds.
        failed: called with each failed call of the store.
        bound: context in which a job runs, for its log lines.
    """

    def __init__(
        self,
        store: JobStore,
        tasks: Sequence[Task[Any]],
        clock: Clock,
        entropy: Randomness,
        *,
        name: str,
        life: str,
        lease_s: float = LEASE_S,
        ended: Callable[[Job, JobOutcome, float], None] = _ignore,
        failed: Callable[[StorageError], None] = lambda _: None,
        bound: Callable[[Job], AbstractContextManager[object]] = lambda _: nullcontext(),
    ) -> None:
        self.name = name
        self.worker = f"{name}/{life}"
        # Set it when there may be new jobs.
        self.due = asyncio.Event()
        self._tasks: Mapping[str, Task[Any]] = {task.name: task for task in tasks}
        self._store = store
        self._clock = clock
        self._entropy = entropy
        self._lease_s = lease_s
        self._ended = ended
        self._failed = failed
        self._bound = bound
        self._running: dict[int, _Attempt] = {}
        self._outcomes: dict[int, dict[str, Any]] = {}
        self._extended = clock.monotonic()
        self._suspects = False
        self._alone_until_s = 0.0
        self._stopping = False
        self._pause_s = PAUSE_S_MIN

    @property
    def running(self) -> tuple[Job, ...]:
        """Jobs under way."""
        return tuple(attempt.job for attempt in self._running.values())

    async def run(self, stop: asyncio.Event, drain_s: float = DRAIN_S) -> None:
        """Work until `stop` is set; then finish or give back what runs.

        If this is cancelled, running jobs are cancelled, and their leases run out.
        """
        async with asyncio.TaskGroup() as group:
            watch = group.create_task(self._stop_at(stop, drain_s), name="end of the worker")
            await self._end_former()
            while not (self._stopping and not self._running and not self._outcomes):
                try:
                    claimed = await self._round(group)
                except StorageError as error:
                    self._failed(error)
                    await asyncio.sleep(self._pause_s)
                    self._pause_s = min(PAUSE_S_MAX, self._pause_s * 2)
                    continue
                self._pause_s = PAUSE_S_MIN
                if not claimed:
                    await self._wait()
            watch.cancel()

    async def _stop_at(self, stop: asyncio.Event, drain_s: float) -> None:
        await stop.wait()
        self._stopping = True
        self.due.set()
        running = [attempt.running for attempt in self._running.values()]
        if running:
            await asyncio.wait(running, timeout=drain_s)
        for attempt in self._running.values():
            attempt.running.cancel()

    async def _end_former(self) -> None:
        with suppress(StorageError):  # their leases run out
            await self._store.end_former(self.name, self.worker)

    async def _round(self, group: asyncio.TaskGroup) -> bool:
        """Finish, extend, claim. Returns True if there was something to claim, so there may be more."""
        self.due.clear()
        if self._outcomes:
            await self._finish()
        if self._clock.monotonic() - self._extended >= self._lease_s / EXTENSIONS:
            await self._extend()
        if self._stopping:
            return False
        return await self._claim(group)

    async def _finish(self) -> None:
        items = list(self._outcomes.values())
        await self._store.finish(self.worker, items)
        for item in items:
            del self._outcomes[item["id"]]
            self._running.pop(item["id"], None)

    async def _extend(self) -> None:
        # Also those that have ended meanwhile: whatever the worker does not name is given back.
        asked = [(number, attempt.job.attempts) for number, attempt in self._running.items()]
        held = await self._store.extend(self.worker, asked, self._lease_s)
        self._extended = self._clock.monotonic()
        for number, _ in asked:
            attempt = self._running.get(number)
            if number not in held and attempt is not None and number not in self._outcomes:
                attempt.lost = True
                attempt.running.cancel()

    async def _claim(self, group: asyncio.TaskGroup) -> bool:
        if any(attempt.job.deaths >= SUSPECT_DEATHS for attempt in self._running.values()):
            return False  # a suspect is done alone
        now_s = self._clock.monotonic()
        if self._suspects and now_s > self._alone_until_s:
            self._suspects = (
                False  # the others have their turn; the next claim says whether there are suspects still
            )
        alone = self._suspects and not self._running
        if self._suspects and not alone:
            return False
        busy = Counter(attempt.job.task for attempt in self._running.values())
        limits = {
            name: task.width - busy[name] for name, task in self._tasks.items() if busy[name] < task.width
        }
        if not limits:
            return False
        claimed = await self._store.claim(self.worker, limits, self._lease_s, alone=alone)
        if claimed.suspects and not self._suspects:
            self._alone_until_s = now_s + self._lease_s
        self._suspects = claimed.suspects > 0
        for job in claimed.jobs:
            running = group.create_task(self._run(job), name=f"job {job.id} {job.task}")
            self._running[job.id] = _Attempt(job, running)
        return bool(claimed.jobs)

    async def _run(self, job: Job) -> None:
        began, outcome = self._clock.monotonic(), RELEASED
        task = self._tasks[job.task]
        try:
            with self._bound(job):
                try:
                    payload = task.payload.model_validate(job.payload)
                    await _within(task.deadline_s, task.run(payload, job))
                    outcome = DONE
                except Exception as error:  # noqa: BLE001 - the outcome says what it was
                    outcome = outcome_of(error, job, task.retries, self._entropy.random())
                self._ended(job, outcome, self._clock.monotonic() - began)
        finally:
            # Also when it was cancelled, because the worker stops. Whoever else has the job now is not touched.
            attempt = self._running[job.id]
            if attempt.lost:
                del self._running[job.id]
            else:
                self._outcomes[job.id] = outcome.item(job, self._clock.monotonic() - began)
            self.due.set()

    async def _wait(self) -> None:
        """Wait for an outcome, for an announcement, or for the next poll."""
        limit_s = min(POLL_S, self._lease_s / EXTENSIONS)
        with suppress(TimeoutError):
            async with asyncio.timeout(limit_s):
                await self.due.wait()


async def _within(limit_s: float, work: Awaitable[None]) -> None:
    """Await the work.

    Raises:
        DeadlineExceeded: it took longer than the limit.
    """
    limit = asyncio.timeout(limit_s)
    try:
        async with limit:
            await work
    except TimeoutError:
        if limit.expired():
            raise DeadlineExceeded(f"no end within {limit_s:g} s") from None
        raise
