"""Clean-up: deletes what has expired, in small statements, on schedules."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

from dispatch.jobs.schedules import Schedule
from dispatch.jobs.stored import JobQueries
from dispatch.jobs.tasks import Job, Payload, Retries, Task

# Feed entries are kept for this long. A client that was away longer gets a snapshot.
FEED_DAYS = 7
TRIM_ROWS = 5_000
# A million rows a job at most, with pauses between the statements.
TRIM_BITES = 200
TRIM_PAUSE_S = 0.05
EVERY_S = 600
DEADLINE_S = 120.0
# What fails now succeeds at the next time.
_RETRIES = Retries(failures_max=3, first_s=10.0, max_s=60.0)


class Nothing(Payload):
    """Payload of tasks that need none."""


class Cleanup:
    """Tasks that delete what has expired.

    Args:
        run_days, event_days: how long attempts of jobs and events are kept.
        step_hours, step_zone_mib: how long inputs of the planner's steps are kept, and how much of each zone.
    """

    def __init__(
        self, queries: JobQueries, *, run_days: int, event_days: int, step_hours: int, step_zone_mib: int
    ) -> None:
        self._queries = queries
        self._step_hours = step_hours
        self._step_zone_bytes = step_zone_mib * 1024 * 1024
        self._run_days = run_days
        self._event_days = event_days

    def tasks(self) -> tuple[Task[Any], ...]:
        """The tasks."""
        named = {
            "trim_expired": self.trim_expired,
            "trim_sessions": self.trim_sessions,
            "trim_jobs": self.trim_jobs,
            "trim_webhooks": self.trim_webhooks,
            "trim_plan_steps": self.trim_plan_steps,
        }
        return tuple(
            Task(name, Nothing, run, _RETRIES, width=1, deadline_s=DEADLINE_S) for name, run in named.items()
        )

    def schedules(self) -> Sequence[Schedule]:
        """When they run."""
        return [Schedule(task.name, task.name, every_s=EVERY_S) for task in self.tasks()]

    async def trim_expired(self, payload: Nothing, job: Job) -> None:
        """Delete feed entries and idempotency keys."""
        del payload, job
        await self._bite("trim_expired", FEED_DAYS, TRIM_ROWS)

    async def trim_sessions(self, payload: Nothing, job: Job) -> None:
        """Delete sessions that have ended."""
        del payload, job
        await self._queries.rows("sessions_trim")

    async def trim_jobs(self, payload: Nothing, job: Job) -> None:
        """Delete attempts of jobs, and events."""
        del payload, job
        await self._bite("trim_jobs", self._run_days, self._event_days, TRIM_ROWS)

    async def trim_webhooks(self, payload: Nothing, job: Job) -> None:
        """Delete attempts, dead letters and finished replays of webhooks."""
        del payload, job
        await self._bite("trim_webhooks", TRIM_ROWS)

    async def trim_plan_steps(self, payload: Nothing, job: Job) -> None:
        """Delete inputs of the planner's steps: those that are old, and the oldest of a zone with too many."""
        del payload, job
        await self._bite("trim_plan_steps", self._step_hours, self._step_zone_bytes, TRIM_ROWS)

    async def _bite(self, name: str, *args: int) -> None:
        for _ in range(TRIM_BITES):
            if await self._queries.value(name, *args) < TRIM_ROWS:
                return
            await asyncio.sleep(TRIM_PAUSE_S)
