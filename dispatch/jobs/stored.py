"""Stored jobs, outbox and schedules: the ports over named queries, one call of a function each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from dispatch.jobs.ports import Claimed, LastStep, Relayed
from dispatch.jobs.tasks import Job, NewJob


class JobQueries(Protocol):
    """Named queries of background work; Postgres and its twin in memory implement them."""

    async def rows(self, name: str, *args: Any) -> list[Any]: ...

    async def value(self, name: str, *args: Any) -> Any: ...


class StoredJobs:
    """Implements OutboxStore, JobStore and ScheduleStore."""

    def __init__(self, queries: JobQueries) -> None:
        self._queries = queries

    async def outbox(self, limit: int) -> Sequence[Mapping[str, Any]]:
        return await self._queries.rows("outbox_due", limit)

    async def relay(self, log_end: int, relayed: Relayed) -> bool:
        said = {"ids": relayed.ids, "events": relayed.events, "jobs": relayed.jobs}
        return bool(await self._queries.value("relay_outbox", log_end, said))

    async def enqueue(self, jobs: Sequence[NewJob], trace: str) -> list[int]:
        return list(await self._queries.value("enqueue_jobs", [job.item(trace) for job in jobs]))

    async def claim(self, worker: str, limits: Mapping[str, int], lease_s: float, *, alone: bool) -> Claimed:
        names, many = list(limits), list(limits.values())
        found = await self._queries.value("claim_jobs", worker, names, many, lease_s, alone)
        return Claimed(tuple(Job(**job) for job in found["jobs"]), found["suspects"])

    async def finish(self, worker: str, items: Sequence[Mapping[str, Any]]) -> set[int]:
        return set(await self._queries.value("finish_jobs", worker, list(items)))

    async def extend(self, worker: str, attempts: Sequence[tuple[int, int]], lease_s: float) -> set[int]:
        jobs, numbers = [job for job, _ in attempts], [number for _, number in attempts]
        return set(await self._queries.value("extend_jobs", worker, jobs, numbers, lease_s))

    async def end_former(self, name: str, worker: str, last: LastStep | None) -> int:
        known = (None, None) if last is None else (last.worker, last.job)
        return int(await self._queries.value("end_former_workers", name, worker, *known))

    async def set_schedules(self, items: Sequence[Mapping[str, Any]]) -> None:
        await self._queries.value("set_schedules", list(items))

    async def fire(self, names: Sequence[str]) -> int:
        return int(await self._queries.value("fire_schedules", list(names)))

    async def note_tasks(self, names: Sequence[str]) -> None:
        """Make the tasks of a worker known, also to those who have no worker's table of tasks."""
        await self._queries.rows("note_job_tasks", list(names))

    async def backlog(self) -> Sequence[Mapping[str, Any]]:
        """Of each task: its jobs by state, and how long the longest has waited (`oldest_s`, None: none waits).

        Tasks that no worker knows are among them: their jobs wait for ever.
        """
        names = [row["task"] for row in await self._queries.rows("job_task_names")]
        return await self._queries.rows("jobs_backlog", names)

    async def outbox_backlog(self) -> Mapping[str, Any]:
        """Rows of the outbox (`many`, counted to 10,000), and how long the longest has waited (`oldest_s`)."""
        row: Mapping[str, Any] = (await self._queries.rows("outbox_backlog"))[0]
        return row

    async def ping(self) -> None:
        """Ask the store for nothing."""
        await self._queries.rows("ping")

    async def wall_s(self) -> float:
        """Time of the store's clock, UTC seconds."""
        return float(await self._queries.value("wall_clock"))
