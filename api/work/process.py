"""The worker process: opens its parts in order and closes them in reverse.

The relay and the worker are woken by notifications of Postgres: an instance notifies after its commits, the relay with
its own commit. What nobody announced is found by polls of a second.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
from collections.abc import AsyncIterator
from time import perf_counter

import structlog

from actors.cancellation import end
from actors.clock import LoopClock, SystemRandomness
from api.http.observers import observe_query, tell_slow_query, tell_slow_wait
from api.outbound.opening import open_mail, open_sms
from api.outbound.webhooks import open_sender, send_webhooks
from api.tracing.opening import open_tracer
from api.work.observers import WorkObserver, failed_work, job_context, watch_backlog, watch_database
from api.work.ops_app import open_work_ops
from api.work.step_file import StepFile
from api.work.tasks import all_tasks
from api.work.work_services import WorkServices
from api.work.zone_gauges import watch_zones
from config import metrics
from config.outages import OUTAGES
from config.settings import Settings
from dispatch.jobs.events import jobs_of, no_jobs
from dispatch.jobs.relay import Relay
from dispatch.jobs.schedules import run_schedules
from dispatch.jobs.stored import StoredJobs
from dispatch.jobs.worker import Worker
from dispatch.records import Records
from dispatch.webhooks.store import QueryStore
from storage.postgres.database import open_database
from storage.postgres.migrate import migrate, wait_for
from storage.postgres.notifications import listen

log = structlog.get_logger()

# The loops use one connection each at a time; tasks share the others.
POOL_SIZE = 8
OUTBOX, JOBS = "mall_outbox", "mall_jobs"


@contextlib.asynccontextmanager
async def open_work(settings: Settings, database_url: str) -> AsyncIterator[WorkServices]:
    """Open what tasks use."""
    loop = asyncio.get_running_loop()
    entropy = SystemRandomness()
    async with contextlib.AsyncExitStack() as stack:
        tracer = await stack.enter_async_context(open_tracer(settings, entropy, metrics.WORK_SPANS))
        pool = open_database(
            database_url,
            size_max=POOL_SIZE,
            observe=observe_query,
            slow=tell_slow_query,
            waited=tell_slow_wait,
            explains=tracer.on,
        )
        database = await stack.enter_async_context(pool)
        clock = LoopClock(loop)
        began = loop.time()
        jobs = StoredJobs(database)
        clock.anchor(await jobs.wall_s(), loop.time() - began)
        mail = open_mail(settings, database, clock)
        sms = await stack.enter_async_context(open_sms(settings, database))
        yield WorkServices(settings, database, jobs, clock, entropy, mail, sms, tracer)


async def work(
    settings: Settings, database_url: str, ops: socket.socket, *, ready: int | None, lifeline: int | None
) -> int:
    """Do background work until SIGTERM, Ctrl-C, or the end of the process that started this one.

    Jobs that run then are finished, or given back after some seconds. Returns the exit code.
    """
    loop, stop, began = asyncio.get_running_loop(), asyncio.Event(), perf_counter()
    await wait_for(database_url)
    if ready is None:  # else the process that started this one has migrated
        await migrate(database_url)
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    if lifeline is not None:
        loop.add_reader(lifeline, stop.set)
    async with open_work(settings, database_url) as services:
        tasks, schedules = all_tasks(services)
        worker = Worker(
            services.jobs,
            tasks,
            services.clock,
            services.entropy,
            name=settings.instance,
            life=services.entropy.token()[:12],
            ended=WorkObserver(services.clock).ended,
            failed=failed_work,
            bound=job_context,
            steps=StepFile(settings.data_dir, settings.instance),
            tracer=services.tracer,
        )
        can_send = services.mail is not None or services.sms is not None
        relay = Relay(
            services.jobs,
            following=jobs_of if can_send else no_jobs,
            relayed=metrics.RELAYED.inc,
            failed=failed_work,
            tracer=services.tracer,
        )
        endpoints = QueryStore(
            services.database,
            services.clock,
            name=settings.instance,
            life=services.entropy.token()[:12],
        )
        async with (
            open_sender(settings, endpoints, services.clock, services.entropy, services.tracer) as sender,
            open_work_ops(services, ops, services.entropy.trace),
            asyncio.TaskGroup() as group,
        ):

            def relayed() -> None:
                worker.due.set()
                if sender is not None:
                    sender.wake()

            calls = {OUTBOX: relay.due.set, JOBS: relayed}
            sending = group.create_task(send_webhooks(sender, endpoints, stop), name="webhooks")
            loops = [
                group.create_task(listen(database_url, calls), name="notifications"),
                group.create_task(relay.run(), name="relay"),
                group.create_task(run_schedules(services.jobs, schedules, failed_work), name="schedules"),
                group.create_task(
                    watch_backlog(services.jobs, [task.name for task in tasks]), name="backlog"
                ),
                group.create_task(watch_zones(Records(services.database)), name="zones"),
                group.create_task(watch_database(services.jobs), name="postgres"),
            ]
            if ready is not None:
                os.write(ready, b"1")
                os.close(ready)
            log.info("started_worker", duration_s=round(perf_counter() - began, 3), tasks=len(tasks))
            await worker.run(stop)
            await sending
            await end(loops)
    OUTAGES.release()
    log.info("ended_worker")
    return 0
