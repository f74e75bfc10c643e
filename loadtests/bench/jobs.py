"""What background jobs cost.

start    time from the commit of an order to the start of the job that follows from it, orders coming at a low rate
through  jobs that do nothing, as many as a worker does
idle     processor time of a worker that has nothing to do, and of its part of Postgres
"""

from __future__ import annotations

import asyncio
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import orjson

from dispatch.jobs.tasks import NewJob
from loadtests.bench.setup import BenchSetup
from loadtests.kit.client import open_http
from loadtests.kit.fixtures import database_url
from loadtests.kit.process_usage import cpu_s, family_cpu_s, rss_bytes
from loadtests.kit.report import Limit, LoadReport
from loadtests.kit.server import EMBEDDED, open_server
from loadtests.kit.stores import Connection, connect
from loadtests.kit.tool import add_options, make_parser, option, run_tool
from loadtests.kit.waiting import until
from loadtests.kit.work_process import run_work
from loadtests.kit.worker_process import WorkerProcess
from storage.embedded import EmbeddedPostgres
from storage.postgres.database import open_database
from storage.postgres.migrate import migrate

CUSTOMERS = 20
# Jobs that one statement adds.
ADDED_AT_ONCE = 1_000
SETTLED_S = 5.0
LIMIT_S = 120.0
P99_MS, IDLE_PERCENT = 100.0, 1.0
OPERATION = "commit to job start"


@dataclass(frozen=True, slots=True)
class JobBenchOptions:
    """How much is measured."""

    rate: float = option(20.0, "start: orders a second")
    seconds: float = option(30.0, "start, idle: how long")
    count: int = option(20_000, "through: jobs")
    width: int = option(100, "through: jobs at the same time")


# -- start ------------------------------------------------------------------------------------------------


async def start(folder: Path, options: JobBenchOptions) -> LoadReport:
    """Orders over REST, and a worker beside the server: it relays them, and does a job for each."""
    report = LoadReport("from a commit to its job")
    environ = EMBEDDED | {"MALL_WORK": "off", "MALL_SAMPLE": "off"}
    async with (
        open_server(folder / "mall", environ) as server,
        open_database(database_url(server), size_max=2) as database,
        open_http(CUSTOMERS) as http,
    ):
        setup = BenchSetup(server, http, database, {})
        await setup.enroll_admin()
        worker = WorkerProcess("bench", setup.database_url, folder / "work", width=50, lease_s=15.0)
        await worker.start()
        try:
            orders = await setup.place_at_rate(options.rate, options.seconds, CUSTOMERS)
            async with connect(setup.database_url) as connection:
                await _until_done(connection)
                committed = await _committed(connection, orders)
        finally:
            await worker.kill()
    begun = _begun(folder / "work" / "effects")
    for number, at_s in committed.items():
        if number in begun:
            report.done(OPERATION, max(0.0, begun[number] - at_s))
        else:
            report.failed(OPERATION, "no job")
    report.limits.append(Limit("orders without a job", report.errors, 0))
    report.limits.append(
        Limit("p99 from commit to start, ms", round(report.ms([OPERATION], 0.99), 1), P99_MS)
    )
    return report


async def _committed(connection: Connection, orders: list[int]) -> dict[int, float]:
    """When each order was committed, by the clock of the machine, which is that of the worker."""
    rows = await connection.fetch(
        "SELECT order_id, extract(epoch FROM at)::double precision FROM order_events"
        " WHERE version = 1 AND order_id = ANY ($1)",
        orders,
    )
    return {row[0]: row[1] for row in rows}


def _begun(effects: Path) -> dict[int, float]:
    """When the job of each order began."""
    lines = [line.split() for line in effects.read_text().splitlines()]
    return {int(n): float(at) for what, n, _, at in lines if what == "begin"}


async def _until_done(connection: Connection) -> None:
    """Wait until nothing waits to be relayed or done.

    Raises:
        TimeoutError: something still does.
    """

    async def none_left() -> bool:
        return bool(
            await connection.fetchval(
                "SELECT NOT EXISTS (SELECT FROM outbox)"
                " AND NOT EXISTS (SELECT FROM jobs WHERE due_at IS NOT NULL)"
            )
        )

    if not await until(none_left, LIMIT_S):
        raise TimeoutError("jobs are left")


# -- through ----------------------------------------------------------------------------------------------


async def through(folder: Path, options: JobBenchOptions) -> LoadReport:
    """Jobs that do nothing, all of them added before the worker starts."""
    report = LoadReport("jobs that do nothing")
    async with _open_postgres(folder) as postgres, connect(postgres.database_url) as connection:
        jobs = [NewJob("nothing", {"n": n}).item("0" * 32) for n in range(options.count)]
        for first in range(0, len(jobs), ADDED_AT_ONCE):
            batch = orjson.dumps(jobs[first : first + ADDED_AT_ONCE]).decode()
            await connection.execute("SELECT enqueue_jobs($1::jsonb)", batch)
        await connection.execute("ANALYZE jobs")
        worker = WorkerProcess(
            "bench", postgres.database_url, folder / "work", width=options.width, lease_s=15.0
        )
        await worker.start()
        try:
            await _until_done(connection)
            worker_s = cpu_s(worker.pid)
        finally:
            await worker.kill()
        row = await connection.fetchrow(
            "SELECT count(*) AS many, extract(epoch FROM max(at) - min(at))::double precision AS took_s"
            " FROM job_runs WHERE outcome = 'done'"
        )
    assert row is not None
    report.facts["jobs_per_s"] = round(row["many"] / row["took_s"]) if row["took_s"] else None
    # The start of the process is in it.
    report.facts["worker_us_per_job"] = round(worker_s / options.count * 1e6)
    report.limits.append(Limit("jobs done", row["many"], at_least=options.count))
    return report


# -- idle -------------------------------------------------------------------------------------------------


async def idle(folder: Path, options: JobBenchOptions) -> LoadReport:
    """`run.py work` with all of its tasks and schedules, and nothing to do; then Postgres without it."""
    report = LoadReport("an idle worker")
    async with _open_postgres(folder) as postgres:
        assert postgres.pid is not None
        async with run_work(folder, postgres.database_url) as pid:
            await asyncio.sleep(SETTLED_S)
            worker, with_it = await _percents([pid, postgres.pid], options.seconds)
            report.facts["worker_rss_mb"] = round(rss_bytes(pid) / 1e6, 1)
        await asyncio.sleep(SETTLED_S)
        [without] = await _percents([postgres.pid], options.seconds)
    part = max(0.0, with_it - without)
    report.facts |= {
        "worker_percent": round(worker, 2),
        "postgres_percent": round(part, 2),
        "postgres_without_a_worker_percent": round(without, 2),
    }
    report.limits.append(
        Limit("idle worker and its part of Postgres, % of a core", round(worker + part, 2), IDLE_PERCENT)
    )
    return report


async def _percents(pids: list[int], seconds: float) -> list[float]:
    """Percent of a core that each of these processes, and those below it, uses in this time."""
    before, began = [family_cpu_s(pid) for pid in pids], time.perf_counter()
    await asyncio.sleep(seconds)
    took_s = time.perf_counter() - began
    return [(family_cpu_s(pid) - used_s) / took_s * 100 for pid, used_s in zip(pids, before, strict=True)]


# -- processes --------------------------------------------------------------------------------------------


@asynccontextmanager
async def _open_postgres(folder: Path) -> AsyncIterator[EmbeddedPostgres]:
    """A Postgres of the tool's own, migrated."""
    # Postgres runs under an account of its own where we are root.
    await asyncio.to_thread(folder.chmod, 0o755)
    with EmbeddedPostgres(folder / "pg") as postgres:
        await migrate(postgres.database_url)
        yield postgres


STAGES = {"start": start, "through": through, "idle": idle}


async def measure(what: str, options: JobBenchOptions) -> LoadReport:
    """One of the three, with the time that it took."""
    began = time.perf_counter()
    with tempfile.TemporaryDirectory(prefix="mall-jobs-") as folder:
        report = await STAGES[what](Path(folder), options)
    report.took_s = time.perf_counter() - began
    return report


def main() -> int:
    """Read the command line, measure, report."""
    parser = make_parser("loadtests.bench.jobs", __doc__)
    parser.add_argument("what", choices=tuple(STAGES))
    add_options(parser, JobBenchOptions)
    given = vars(parser.parse_args())
    what, json = given.pop("what"), given.pop("json")
    return run_tool(measure(what, JobBenchOptions(**given)), json=json)


if __name__ == "__main__":
    sys.exit(main())
