"""Log lines and metrics of background work."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import AbstractContextManager
from functools import partial

import structlog

from actors.clock import Clock
from api.http.observers import store_of
from config import metrics
from config.outages import OUTAGES
from dispatch.domain import ids
from dispatch.jobs.policy import JobOutcome
from dispatch.jobs.stored import StoredJobs
from dispatch.jobs.tasks import Job
from storage.errors import StorageError

log = structlog.get_logger()

JOB_STATES = ("waiting", "running", "scheduled", "dead")
GAUGES_S = 10.0
LOOK_S = 1.0
_LEVELS = {"done": "info", "snoozed": "info", "released": "info", "retry": "warning", "dead": "error"}


def job_context(job: Job) -> AbstractContextManager[object]:
    """Bind a job to the log lines of its attempt: the trace id of the request that caused it, and its order."""
    values = {"trace_id": job.trace, "job_id": job.id, "task": job.task, "attempt": job.attempts}
    order = job.payload.get("order_id")
    if order is not None:
        values["order_id"] = ids.public_id(ids.ORDER, order) if isinstance(order, int) else order
    return structlog.contextvars.bound_contextvars(**values)


class WorkObserver:
    """Observer of the attempts of one worker."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock

    def ended(self, job: Job, outcome: JobOutcome, took_s: float) -> None:
        """Count and log an attempt, inside its context."""
        metrics.JOB_ATTEMPTS.labels(job.task, outcome.kind).inc()
        metrics.JOB_SECONDS.labels(job.task).observe(took_s)
        if job.attempts == 1:
            waited_s = self._clock.wall() - took_s - job.created_ms / 1000
            metrics.JOB_START_SECONDS.labels(job.task).observe(max(0.0, waited_s))
        getattr(log, _LEVELS[outcome.kind])(
            "ended_job",
            outcome=outcome.kind,
            duration_s=round(took_s, 3),
            error=outcome.error,
            again_in_s=None if outcome.after_s is None else round(outcome.after_s, 1),
        )


def failed_work(error: StorageError) -> None:
    """Count and log a failed call of the database; the caller repeats it."""
    metrics.WORK_FAILURES.inc()
    reason = str(error) or type(error).__name__
    store = store_of(error)
    write = partial(log.warning, "failed_work", reason=reason)
    if store is None:
        write()
    else:
        OUTAGES.absorb(store, write)


async def watch_backlog(jobs: StoredJobs, tasks: Sequence[str]) -> None:
    """Make these tasks known, and read their backlog for the metrics, until cancelled."""
    while True:
        try:
            await jobs.note_tasks(tasks)
            rows = await jobs.backlog()
            outbox = await jobs.outbox_backlog()
        except StorageError as error:
            failed_work(error)
        else:
            for row in rows:
                metrics.JOBS_OLDEST_SECONDS.labels(row["task"]).set(row["oldest_s"] or 0.0)
                for state in JOB_STATES:
                    metrics.JOBS.labels(row["task"], state).set(row[state])
            metrics.OUTBOX_ROWS.set(outbox["many"])
            metrics.OUTBOX_OLDEST_SECONDS.set(max(0.0, outbox["oldest_s"]))
        await asyncio.sleep(GAUGES_S)


async def watch_database(jobs: StoredJobs) -> None:
    """Look at Postgres once a second, for the lines that say it is lost and back, until cancelled."""
    while True:
        try:
            await jobs.ping()
        except StorageError as error:
            OUTAGES.look("postgres", str(error) or type(error).__name__)
        else:
            OUTAGES.look("postgres", None)
        await asyncio.sleep(LOOK_S)
