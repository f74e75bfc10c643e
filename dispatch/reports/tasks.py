"""Tasks of reports: orders without a driver, figures of days, digests, what deliveries teach, what trips saved."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from typing import Any

from actors.clock import Clock
from dispatch.jobs.cleanup import Nothing
from dispatch.jobs.schedules import Schedule
from dispatch.jobs.stored import JobQueries
from dispatch.jobs.tasks import Job, Retries, Task
from dispatch.reports.pooling import pooling_figures

UNASSIGNED_EVERY_S = 15
UNASSIGNED_ROWS = 500
FIGURES_EVERY_S = 900
# A local midnight is at a quarter of an hour in UTC everywhere; digests are made this much later, at the next look.
DIGESTS_EVERY_S = 300
DIGEST_AFTER_S = 600
LEARN_EVERY_S = 300
# A day is computed this long after it has ended, when its last orders are delivered. A larger day in part.
POOLING_AFTER_S, POOLING_ORDERS_MAX = 3 * 3600, 20_000
EVENTS_READ = 5_000
# Deliveries that one job learns from, and how many of each store, hour or zone are kept.
DELIVERIES_READ = 1_000
KEPT = 100
# Bounds of one job. What is left is done by the next one.
CALLS_MAX = 2_000
LOOP_S = 30.0
DEADLINE_S = 120.0
# What fails now succeeds at the next time.
_RETRIES = Retries(failures_max=3, first_s=5.0, max_s=60.0)


class Reports:
    """Tasks that compute reports. Each is repeated calls of one function in Postgres, which may be repeated.

    Args:
        digest_task: the task that sends a driver's digest; None: digests are only kept.
    """

    def __init__(self, queries: JobQueries, clock: Clock, digest_task: str | None = None) -> None:
        self._queries = queries
        self._clock = clock
        self._digest_task = digest_task

    def tasks(self) -> tuple[Task[Any], ...]:
        """The tasks."""
        named = {
            "find_unassigned": self.find_unassigned,
            "daily_figures": self.daily_figures,
            "driver_digest": self.driver_digest,
            "learn_delivery_times": self.learn_delivery_times,
            "learn_from_deliveries": self.learn_from_deliveries,
            "pooling_figures": self.pooling_figures,
        }
        return tuple(
            Task(name, Nothing, run, _RETRIES, width=1, deadline_s=DEADLINE_S) for name, run in named.items()
        )

    def schedules(self) -> Sequence[Schedule]:
        """When they run."""
        return [
            Schedule("find_unassigned", "find_unassigned", every_s=UNASSIGNED_EVERY_S),
            Schedule("daily_figures", "daily_figures", every_s=FIGURES_EVERY_S),
            Schedule("driver_digest", "driver_digest", every_s=DIGESTS_EVERY_S),
            Schedule("learn_delivery_times", "learn_delivery_times", every_s=LEARN_EVERY_S),
            Schedule("learn_from_deliveries", "learn_from_deliveries", every_s=LEARN_EVERY_S),
            Schedule("pooling_figures", "pooling_figures", every_s=FIGURES_EVERY_S),
        ]

    async def find_unassigned(self, payload: Nothing, job: Job) -> None:
        """Tell of orders that have waited too long for a driver."""
        del payload, job
        for _ in self._calls():
            if await self._queries.value("find_unassigned", UNASSIGNED_ROWS) < UNASSIGNED_ROWS:
                return

    async def daily_figures(self, payload: Nothing, job: Job) -> None:
        """Compute the days again that have changed since the last time."""
        del payload, job
        for _ in self._calls():
            if await self._queries.value("mark_report_days", EVENTS_READ) < EVENTS_READ:
                break
        for _ in self._calls():
            if not await self._queries.value("refresh_marked_day"):
                return

    async def driver_digest(self, payload: Nothing, job: Job) -> None:
        """Make the digests of yesterday, in each zone whose day has ended."""
        del payload, job
        for _ in self._calls():
            if await self._queries.value("make_digests", self._digest_task, DIGEST_AFTER_S) is None:
                return

    async def learn_delivery_times(self, payload: Nothing, job: Job) -> None:
        """Learn from the newest deliveries of each zone what new orders are promised by."""
        del payload, job
        await self._queries.value("learn_delivery_times")

    async def learn_from_deliveries(self, payload: Nothing, job: Job) -> None:
        """Learn how long stores prepare and how fast drivers are, from the newest deliveries."""
        del payload, job
        await self._queries.value("learn_from_deliveries", DELIVERIES_READ, KEPT)

    async def pooling_figures(self, payload: Nothing, job: Job) -> None:
        """Compute what the trips of days that are over saved, once for each zone and day."""
        del payload, job
        for _ in self._calls():
            day = await self._queries.value("next_pooling_day", POOLING_AFTER_S, POOLING_ORDERS_MAX)
            if day is None:
                return
            # It takes seconds for a large day.
            made = await asyncio.to_thread(pooling_figures, day["planning"], day["orders"])
            await self._queries.value(
                "keep_pooling_day", day["zone_id"], day["day"], made.alone_m, made.saved_m, made.bound_m
            )

    def _calls(self) -> Iterator[int]:
        """Turns of a loop until its time or number is used up."""
        until = self._clock.monotonic() + LOOP_S
        for turn in range(CALLS_MAX):
            if self._clock.monotonic() > until:
                return
            yield turn
