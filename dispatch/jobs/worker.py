"""Worker: takes jobs by lease, runs them, and records how each attempt ended.

One loop calls the store: it finishes, extends and claims, in this order, and never at the same time. Outcomes that
came while a call was under way are written by the next one. Jobs run beside the loop, at most `width` of each task.
When the store is away, jobs go on, their outcomes wait, and the number of both is bounded by the widths.

A job that has ended two workers is a suspect. It is done alone: the worker claims nothing more, waits until its jobs
have ended, and takes one suspect. So innocent neighbours do not die with it.

A death counts for the job whose code ran at that moment, if a record of the steps tells it to the next process of the
name; else for all jobs of the worker. So jobs are no suspects because their worker was killed from outside.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext, suppress
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from actors.clock import Clock, Randomness
from actors.tracing import NO_TRACER, RUNNING_TRACE, SpanKind, SpanService, Tracer, is_recorded
from dispatch.jobs.policy import DONE, RELEASED, JobOutcome, outcome_of, payload_of
from dispatch.jobs.ports import JobStore, StepRecord
from dispatch.jobs.steps import recorded
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
# Time after that for the last outcomes, if the store is away. Leases of those that are not written run out.
LAST_OUTCOMES_S = 4.0


class DeadlineExceeded(Exception):
    """An attempt took longer than its task allows."""


class CancelledByItself(Exception):
    """An attempt was cancelled by something that it waited for, and not by its worker."""


@dataclass(slots=True, eq=False)
class _Attempt:
    """An attempt under way.

    Attributes:
        outcome: what is recorded when it has ended. It is given back unless it says how it ended.
        lost: the lease is another worker's by now, so that the outcome counts for nothing.
    """

    job: Job
    began_s: float
    running: asyncio.Task[None] | None = None
    outcome: JobOutcome = RELEASED
    lost: bool = False

    @property
    def key(self) -> tuple[int, int]:
        """The job and the number of the attempt."""
        return self.job.id, self.job.attempts

    def end(self, *, lost: bool) -> None:
        """Cancel it."""
        self.lost |= lost
        if self.running is not None:
            self.running.cancel()


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
        steps: tells the next process of the name where this one has ended.
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
        steps: StepRecord | None = None,
        tracer: Tracer = NO_TRACER,
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
        self._steps = steps
        self._tracer = tracer
        # By job and attempt: one that was lost may still end when its job is claimed again.
        self._running: dict[tuple[int, int], _Attempt] = {}
        self._outcomes: dict[tuple[int, int], dict[str, Any]] = {}
        self._extended = clock.monotonic()
        self._suspects = False
        self._alone_until_s = 0.0
        self._stopping = False
        self._gives_up_s = float("inf")
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
            while not self._has_ended():
                try:
                    claimed = await self._round(group)
                except StorageError as error:
                    self._failed(error)
                    if self._clock.monotonic() > self._gives_up_s:
                        break
                    await asyncio.sleep(self._pause_s)
                    self._pause_s = min(PAUSE_S_MAX, self._pause_s * 2)
                    continue
                self._pause_s = PAUSE_S_MIN
                if not claimed and not self._has_ended():
                    await self._wait()
            watch.cancel()

    def _has_ended(self) -> bool:
        return self._stopping and not self._running and not self._outcomes

    async def _stop_at(self, stop: asyncio.Event, drain_s: float) -> None:
        await stop.wait()
        self._stopping = True
        self._gives_up_s = self._clock.monotonic() + drain_s + LAST_OUTCOMES_S
        self.due.set()
        running = [attempt.running for attempt in self._running.values() if attempt.running is not None]
        if running:
            await asyncio.wait(running, timeout=drain_s)
        for attempt in self._running.values():
            attempt.end(lost=False)

    async def _end_former(self) -> None:
        last = None if self._steps is None else self._steps.last()
        with suppress(StorageError):  # their leases run out
            await self._store.end_former(self.name, self.worker, last)
        if self._steps is not None:
            self._steps.begin(self.worker)

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
        ended = dict(self._outcomes)
        await self._store.finish(self.worker, list(ended.values()))
        for key in ended:
            del self._outcomes[key]
            del self._running[key]

    async def _extend(self) -> None:
        # Also those that have ended meanwhile: whatever the worker does not name is given back.
        asked = [key for key, attempt in self._running.items() if not attempt.lost]
        asked_at = self._clock.monotonic()
        held = await self._store.extend(self.worker, asked, self._lease_s)
        # A lease counts from the question: the answer may come late.
        self._extended = asked_at
        for key in asked:
            attempt = self._running.get(key)
            if key[0] not in held and attempt is not None and key not in self._outcomes:
                attempt.end(lost=True)

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
            self._begin(job, group)
        return bool(claimed.jobs)

    def _begin(self, job: Job, group: asyncio.TaskGroup) -> None:
        attempt = _Attempt(job, self._clock.monotonic())
        for other in self._running.values():
            if other.job.id == job.id and other.key not in self._outcomes:
                other.end(lost=True)  # its lease ran out, and this worker has taken the job again
        self._running[attempt.key] = attempt
        if self._stopping:  # since the claim: it is given back
            self._record(attempt)
            return
        work = self._run(attempt)
        if self._steps is not None:
            work = recorded(job.id, work, self._steps)
        attempt.running = group.create_task(work, name=f"job {job.id} {job.task}")
        # Not in the task itself: one that is cancelled before its first step does nothing.
        attempt.running.add_done_callback(partial(self._record, attempt))

    def _record(self, attempt: _Attempt, running: asyncio.Task[None] | None = None) -> None:
        """An attempt has ended; the next call of the store writes its outcome."""
        del running
        if attempt.lost:
            del self._running[attempt.key]
        else:
            took_s = self._clock.monotonic() - attempt.began_s
            self._outcomes[attempt.key] = attempt.outcome.item(attempt.job, took_s)
        self.due.set()

    async def _run(self, attempt: _Attempt) -> None:
        job, task, span = attempt.job, self._tasks[attempt.job.task], None
        if is_recorded(job.trace):
            span = self._tracer.begin(SpanService.JOBS, f"job {job.task}", job.trace, SpanKind.CONSUMER)
            job = replace(job, trace=span.trace)
        with self._bound(job):
            RUNNING_TRACE.set(job.trace)
            try:
                payload = payload_of(task.payload, job)
                await _within(task.deadline_s, task.run(payload, job))
                attempt.outcome = DONE
            except asyncio.CancelledError:
                if not attempt.lost:
                    self._ended(job, RELEASED, self._clock.monotonic() - attempt.began_s)
                raise
            except Exception as error:  # noqa: BLE001 - the outcome says what it was
                attempt.outcome = outcome_of(error, job, task.retries, self._entropy.random())
            finally:
                if span is not None:
                    kind = attempt.outcome.kind
                    span.end("" if kind in ("done", "snoozed") else kind, **{"mall.job_id": job.id})
            if not attempt.lost:
                self._ended(job, attempt.outcome, self._clock.monotonic() - attempt.began_s)

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
        CancelledByItself: it was cancelled, though nobody has cancelled this task.
    """
    limit = asyncio.timeout(limit_s)
    try:
        async with limit:
            await work
    except TimeoutError:
        if limit.expired():
            raise DeadlineExceeded(f"no end within {limit_s:g} s") from None
        raise
    except asyncio.CancelledError:
        running = asyncio.current_task()
        if running is None or running.cancelling():
            raise
        raise CancelledByItself("something that it waited for was cancelled") from None
