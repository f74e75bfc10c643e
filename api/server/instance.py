"""One instance: opens all parts between the database and the HTTP servers in order, and closes them in reverse."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
import sys
from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path
from time import perf_counter

import structlog

from actors.behaviour import Behaviour
from actors.cancellation import end
from actors.clock import LoopClock, SystemRandomness, boot_clock
from actors.cluster.drain import forsaking, leave
from actors.cluster.node import Cluster
from actors.cluster.transport import Greeting
from actors.runtime import Runtime
from api.auth.passwords import Passwords
from api.auth.stream_tickets import StreamTickets
from api.contract.cursors import Cursors
from api.feed.resubscription import Resubscription
from api.http.observers import (
    failed_chore,
    log_change,
    log_event,
    observe_query,
    tell_slow_query,
    tell_slow_wait,
)
from api.http.order_answers import OrderAnswers
from api.http.services import Services
from api.operator import first_run
from api.ops import RuntimeCollector, status
from api.ops.known_series import make_known_series
from api.outbound.secrets_key import open_sealing
from api.payments.worker import open_payments, settle_payments
from api.ratelimit.admission import open_limits
from api.rest import serializers
from api.server.http_server import HttpServer, open_network
from api.server.process_slot import USURPED_CODE
from api.server.start_messages import greet
from api.server.watchdogs import (
    collect_garbage,
    hindrances,
    open_tokens,
    watch_loop,
    watch_revocations,
    watch_servers,
    watch_sight,
)
from api.server.worker_slot import open_worker
from api.subscriptions.hub import Hub
from api.tracing.opening import make_sampling, open_tracer
from api.transport.listening_sockets import Sockets
from api.work.observers import failed_work
from config import metrics
from config.logs import say
from config.settings import Settings
from config.version import VERSION
from dispatch import feed_frames
from dispatch.background import BackgroundTasks
from dispatch.credentials import Credentials
from dispatch.driver_actor import DriverBehaviour
from dispatch.jobs.announcer import Announcer
from dispatch.order_actor import OrderBehaviour
from dispatch.order_creation import Bounds
from dispatch.order_progress import OrderProgress
from dispatch.plan_steps import PlanSteps
from dispatch.service import Dispatch
from dispatch.step_log import StepLog
from dispatch.wire_types import travellers
from dispatch.zone_actor import ZoneBehaviour
from dispatch.zone_planning import STEP
from storage.catalogue import open_catalogue
from storage.postgres.database import Database, open_database
from storage.postgres.journal import PostgresJournal
from storage.postgres.migrate import migrate, wait_for
from storage.postgres.order_creation import OrderPlacer
from storage.redis.client import open_redis
from storage.redis.keys import Keyspace
from storage.redis.leases import RedisLeases
from storage.redis.tickets import Tickets
from storage.servers import Addresses

log = structlog.get_logger()

# In place of a signal number: another instance has this one's name.
USURPED = -1
# Time for sockets and shards when the instance ends. The rest of the limit for everything is for answers under way and
# the last commits.
FAREWELL_S = 9.0
# After this time the ports open also without Redis. Nothing can be served then, and readiness reports why.
SETTLED_S = 10.0


def _behaviours(feed_epoch: str, progress: OrderProgress, step_log: StepLog | None) -> list[Behaviour]:
    """Behaviours of the three kinds of actors."""
    driver = DriverBehaviour(feed_epoch, metrics.count_apart)
    noted = {} if step_log is None else {"stepped": step_log.note}
    zone = ZoneBehaviour(progress.first_offers.add, saved=progress.saved, **noted)
    return [OrderBehaviour(log_change, progress.changed), driver, zone]


def _step_log(settings: Settings, database: Database) -> StepLog | None:
    """Where inputs of the planner's steps go; None: they are not kept."""
    if not settings.plan_steps_hours:
        return None
    return StepLog(
        database,
        stored=lambda sizes: metrics.PLAN_STEP_STORED_BYTES.inc(sum(sizes)),
        dropped=lambda reason, count: metrics.PLAN_STEPS_DROPPED.labels(reason).inc(count),
    )


def _plan_steps() -> PlanSteps:
    """The planner's steps, counted."""
    return PlanSteps(
        took=metrics.PLAN_STEP_SECONDS.observe,
        failed=lambda reason: metrics.PLAN_STEPS_FAILED.labels(reason).inc(),
    )


@contextlib.asynccontextmanager
async def open_services(
    settings: Settings, at: Addresses, peers: socket.socket, usurped: Callable[[], None]
) -> AsyncIterator[Services]:
    """Open all parts between the database and the HTTP server. `peers` is the listening socket for other instances."""
    clock, entropy = LoopClock(asyncio.get_running_loop(), boot=boot_clock), SystemRandomness()
    async with contextlib.AsyncExitStack() as stack:
        tracer = await stack.enter_async_context(open_tracer(settings, entropy, metrics.SPANS))
        pool = open_database(
            at.database_url,
            size_max=settings.pool_size,
            observe=observe_query,
            slow=tell_slow_query,
            waited=tell_slow_wait,
            explains=tracer.on,
        )
        database = await stack.enter_async_context(pool)
        meta = await first_run.check_meta(database)
        redis = await stack.enter_async_context(open_redis(at.redis_url))
        announcer = Announcer(database, failed_work)
        journal = PostgresJournal(at.database_url, database, observe_query, announcer.wrote, tell_slow_query)
        stack.push_async_callback(journal.close)
        me = Greeting(settings.instance, f"{settings.instance}.{entropy.token()[:12]}")
        hub = Hub(clock, entropy, me.incarnation)
        leases = RedisLeases(at.redis_url, entropy, keys=(keys := Keyspace(meta.cluster)))
        stack.push_async_callback(leases.close)
        zones_due, progress = asyncio.Event(), OrderProgress()
        step_log = _step_log(settings, database)
        cluster = Cluster(
            me=me,
            transport=open_network(settings, peers, meta.peer_secret, meta.cluster, entropy),
            leases=leases,
            emitter=hub,
            codec=travellers(),
            clock=clock,
            entropy=entropy,
            version=VERSION,
            life=await journal.begin_life(),
            log=log_event,
            taken=lambda _: zones_due.set(),
            owner_changed=hub.owner_changed,
            usurped=usurped,
            status=lambda: status(services),
        )
        plan_steps = stack.enter_context(contextlib.closing(_plan_steps()))
        runtime = Runtime(
            instance=me.instance,
            incarnation=me.incarnation,
            peers=cluster.forwarding,
            behaviours=_behaviours(meta.feed_epoch, progress, step_log),
            journal=journal,
            emitter=cluster.peers,
            clock=clock,
            entropy=entropy,
            log=log_event,
            lost=cluster.lost,
            computed={STEP: plan_steps.step},
            tracer=tracer,
        )
        cluster.attach(runtime)
        passwords = stack.enter_context(contextlib.closing(Passwords()))
        limits = await stack.enter_async_context(open_limits(redis, clock, cluster, keys))
        tokens = await open_tokens(Credentials(database), clock, entropy)
        bounds = Bounds(settings.unpaid_orders_max, settings.held_pieces_max, settings.low_stock)
        placer = OrderPlacer(database, log_event, wrote=announcer.wrote)
        dispatch = Dispatch(runtime, placer, bounds, progress)
        payments = await stack.enter_async_context(open_payments(settings, dispatch, database, entropy))
        services = Services(
            settings,
            database,
            redis,
            dispatch,
            tokens,
            passwords,
            Tickets(redis, entropy, keys),
            limits,
            hub,
            clock,
            entropy,
            cluster,
            Cursors(meta.peer_secret, clock),
            zones_due,
            payments=payments,
            sealing=open_sealing(settings),
            shown=OrderAnswers(serializers.order),
            cached=open_catalogue(database, redis, clock, entropy, keys),
            stream_tickets=StreamTickets(meta.peer_secret, clock, entropy),
            announcer=announcer,
            sampling=make_sampling(settings, tracer, entropy),
            step_log=step_log,
        )
        yield services


@contextlib.asynccontextmanager
async def working(services: Services) -> AsyncIterator[None]:
    """Run actors, sessions and background tasks until the block ends."""
    runtime, dispatch, hub = services.dispatch.runtime, services.dispatch, services.hub
    resubscription = Resubscription(hub, dispatch)
    hub.bind_again, hub.is_far = resubscription.want, lambda shard: runtime.cells.owned[shard] is None
    hub.live.watch = lambda zone, address, whole: dispatch.watch_zone(zone, address, whole=whole)
    hub.live.unwatch = dispatch.unwatch_zone
    hub.want_board = lambda topic: dispatch.show_board(feed_frames.zone_of(topic))
    background = BackgroundTasks(
        dispatch,
        services.database,
        done=lambda name, seconds: metrics.CHORE_SECONDS.labels(name).observe(seconds),
        failed=failed_chore,
        swept=metrics.FEED_SWEPT.inc,
        zones_due=services.zones_due,
        step_log=services.step_log,
    )
    make_known_series(chore.name for chore in background.all)
    async with hub.running(), runtime.running(), services.cluster.running(), asyncio.TaskGroup() as tasks:
        loops = [tasks.create_task(background.run(chore), name=chore.name) for chore in background.all]
        for loop, name in ((dispatch.run(), "creations"), (services.catalogue.run(), "cache")):
            loops.append(tasks.create_task(loop, name=name))
        loops.append(tasks.create_task(services.announcer.run(), name="announcements"))
        loops.append(tasks.create_task(watch_revocations(services), name="revocations"))
        loops.append(tasks.create_task(watch_sight(services), name="sight of revocations"))
        loops.append(tasks.create_task(watch_loop(services), name="loop lag"))
        loops.append(tasks.create_task(watch_servers(services), name="servers"))
        loops.append(tasks.create_task(collect_garbage(), name="garbage"))
        loops.append(tasks.create_task(resubscription.run(), name="rebinding"))
        loops.append(tasks.create_task(settle_payments(services), name="payments"))
        loops.append(tasks.create_task(_settle(services), name="settling"))
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(SETTLED_S):
                await services.cluster.reconciler.settled.wait()
                await services.tokens.looked.wait()
        try:
            yield
        finally:
            await end(loops)
            if services.step_log is not None:
                await services.step_log.close()


async def _settle(services: Services) -> None:
    await services.cluster.reconciler.settled.wait()
    await services.tokens.looked.wait()
    services.started = True
    log.info("settled_instance")


async def serve(settings: Settings, at: Addresses, sockets: Sockets, program: Path) -> int:
    """Serve until SIGTERM, Ctrl-C, or the end of the supervisor. Returns the exit code.

    `program` is what the worker beside it runs.
    """
    loop, stop, reason = asyncio.get_running_loop(), asyncio.Event(), [0]

    def end(number: int) -> None:
        reason[0] = reason[0] or number
        stop.set()

    began = perf_counter()
    await wait_for(at.database_url)
    await migrate(at.database_url)
    full = asyncio.Event()
    loop.add_signal_handler(signal.SIGUSR1, full.set)
    # Before this line a signal ends the process at once; from here on it drains first.
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, end, number)
    if sockets.lifeline is not None:
        loop.add_reader(sockets.lifeline, end, signal.SIGTERM)
    async with open_services(settings, at, sockets.peers, lambda: end(USURPED)) as services:
        collector = RuntimeCollector(services)
        metrics.REGISTRY.register(collector)
        try:
            welcome = []
            if sockets.lifeline is None:  # the supervisor has prepared the database already
                welcome = await first_run.found(
                    settings, services.database, services.passwords, services.entropy
                )
            doors = HttpServer(services, sockets.public, sockets.ops)
            async with contextlib.AsyncExitStack() as stack:
                if sockets.lifeline is None:  # else the supervisor keeps the workers
                    services.worker = await stack.enter_async_context(open_worker(settings, at, str(program)))
                await stack.enter_async_context(forsaking(services.cluster.reconciler))
                await stack.enter_async_context(working(services))
                await stack.enter_async_context(doors.open(full))
                _announce(settings, sockets, welcome, await hindrances(services))
                log.info("started_instance", duration_s=round(perf_counter() - began, 3))
                await stop.wait()
                await _farewell(services, doors, quick=reason[0] == signal.SIGINT)
        finally:
            metrics.REGISTRY.unregister(collector)
    return _give_way(settings) if reason[0] == USURPED else 0


def _give_way(settings: Settings) -> int:
    text = f"A younger instance is called {settings.instance}, too; set MALL_INSTANCE."
    say(text, settings.log_format, "ended_by_namesake", "error", settings.instance, to=sys.stderr)
    return USURPED_CODE


def _announce(settings: Settings, sockets: Sockets, lines: Sequence[str], missing: str) -> None:
    """Announce that the ports are open, and what is missing, to the operator or to the supervisor."""
    if sockets.ready is not None:
        os.write(sockets.ready, b"1")
        os.close(sockets.ready)
        return
    greet(settings, sockets.public, sockets.ops, lines, settings.instance, missing)


async def _farewell(services: Services, doors: HttpServer, *, quick: bool) -> None:
    """Drain: readiness off, no new connections, sockets closed one after the other during hand-over of the shards.

    Requests are answered until the end. Everything else is closed in reverse order of opening.
    """
    services.draining = True
    log.info("draining_instance")
    if services.worker is not None:
        services.worker.stop()
    await doors.close_public()
    window_s = min(1.0 if quick else FAREWELL_S, services.settings.drain_s)
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(leave(services.cluster.reconciler, FAREWELL_S), name="leaving")
        tasks.create_task(services.hub.drain(window_s), name="sending sockets away")
