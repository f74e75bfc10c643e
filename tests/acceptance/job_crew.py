"""Workers in processes of their own, which a test kills, freezes and starts again, and what their jobs have done."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import asyncpg
import orjson

from dispatch.jobs.tasks import NewJob
from loadtests.kit.worker_process import WorkerProcess

# Between two looks at the database: the workers need the processor.
LOOK_S = 0.02


class JobCrew:
    """Workers on one database.

    Attributes:
        database: a connection of the database's owner.
    """

    def __init__(self, database: Any, workers: Sequence[WorkerProcess], effects: Path) -> None:
        self.database = database
        self.workers = workers
        self._effects = effects

    async def add(
        self, task: str, count: int, seconds: Sequence[float] = (0.0,), *, first: int = 0
    ) -> list[int]:
        """Add jobs numbered from `first`, which take these seconds in turn; returns their ids."""
        jobs = [NewJob(task, {"n": first + n, "seconds": seconds[n % len(seconds)]}) for n in range(count)]
        items = [job.item("0" * 32) for job in jobs]
        made = await self.database.fetchval("SELECT enqueue_jobs($1)", items)
        await self.database.execute("SELECT pg_notify('mall_jobs', '')")
        return list(made)

    async def cut(self) -> int:
        """End all connections of the workers; returns their number."""
        return int(
            await self.database.fetchval(
                "SELECT count(*) FILTER (WHERE pg_terminate_backend(pid)) FROM pg_stat_activity"
                " WHERE datname = current_database() AND pid <> pg_backend_pid()"
            )
        )

    async def start(self) -> None:
        """Start all workers that do not run."""
        await asyncio.gather(*(worker.start() for worker in self.workers if not worker.running))

    async def kill(self) -> None:
        """Kill all workers."""
        await asyncio.gather(*(worker.kill() for worker in self.workers))

    async def until(self, holds: Callable[[], Awaitable[object]], limit_s: float) -> float:
        """How long it takes until this holds, in seconds.

        Raises:
            TimeoutError: it did not within `limit_s`.
        """
        began = time.perf_counter()
        async with asyncio.timeout(limit_s):
            while not await holds():
                await self.database.execute(f"SELECT pg_sleep({LOOK_S})")
        return time.perf_counter() - began

    async def under_way(self, since: float) -> int:
        """Jobs that began after this time of the store's clock, and have not ended."""
        return int(
            await self.database.fetchval(
                "SELECT count(*) FROM jobs WHERE worker IS NOT NULL AND begun_at > to_timestamp($1)", since
            )
        )

    async def now(self) -> float:
        """The store's clock."""
        return float(await self.database.fetchval("SELECT extract(epoch FROM clock_timestamp())"))

    async def left(self) -> int:
        """Jobs that are neither done nor dead."""
        return int(await self.database.fetchval("SELECT count(*) FROM jobs WHERE due_at IS NOT NULL"))

    async def dead(self) -> Mapping[int, int]:
        """Deaths of each job that is dead."""
        return dict(await self.database.fetch("SELECT id, deaths FROM jobs WHERE due_at IS NULL"))

    async def done(self) -> Mapping[int, int]:
        """How often each job is recorded as done."""
        return dict(
            await self.database.fetch("SELECT id, count(*) FROM job_runs WHERE outcome = 'done' GROUP BY id")
        )

    def told(self, what: str) -> Counter[int]:
        """How often each job's number told that: begin or end."""
        lines = self._effects.read_text().splitlines() if self._effects.exists() else []
        return Counter(int(line.split()[1]) for line in lines if line.startswith(what + " "))

    def repeats(self) -> int:
        """Effects beyond each job's first."""
        return sum(count - 1 for count in self.told("end").values())


@asynccontextmanager
async def open_crew(
    database_url: str, folder: Path, count: int, *, width: int, lease_s: float = 15.0
) -> AsyncIterator[JobCrew]:
    """Workers that are not started yet; all are killed at the end of the block."""
    database = await asyncpg.connect(database_url)
    await database.set_type_codec("jsonb", schema="pg_catalog", encoder=_json, decoder=str)
    workers = [
        WorkerProcess(f"{folder.name}-{n}", database_url, folder, width=width, lease_s=lease_s)
        for n in range(1, count + 1)
    ]
    crew = JobCrew(database, workers, folder / "effects")
    try:
        yield crew
    finally:
        await crew.kill()
        await database.close()


def _json(value: Any) -> str:
    return orjson.dumps(value).decode()
