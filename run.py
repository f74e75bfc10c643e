"""The floor plan: opens every room in order and closes them in reverse. The only place where rooms meet.

serve    start an instance (with embedded servers where no addresses are given)
migrate  bring the database to this version's schema
mint     make users with tokens in bulk, for load tests
check    look at settings, database and Redis, and say what is wrong
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import signal
import socket
import sys
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from time import perf_counter
from typing import Any

import structlog
from aiohttp import web

from actors.clock import LoopClock, SystemEntropy
from actors.errors import JournalError
from actors.ports import SoleLeases
from actors.runtime import Runtime
from api import founding
from api.app import make_app, make_ops_app
from api.call import Office
from api.feed.hub import Hub
from api.minting import MintError, mint
from api.ops import RuntimeCollector
from api.passwords import Passwords
from api.tokens import Tokens
from api.watch import collect_garbage, failed_chore, watch_loop, watch_revocations
from config import metrics
from config.logs import open_logs
from config.settings import Settings, SettingsError, describe, load_settings
from dispatch.chores import Chores
from dispatch.driver_actor import DriverBehaviour
from dispatch.order_actor import OrderBehaviour
from dispatch.service import Dispatch
from dispatch.zone_actor import ZoneBehaviour
from storage.embedded import EmbeddedError
from storage.errors import StorageError
from storage.postgres.database import SLOW_S, open_database
from storage.postgres.journal import PostgresJournal
from storage.postgres.migrate import MigrationError, migrate, wait_for
from storage.postgres.placing import OrderPlacer
from storage.redis.client import open_redis, ping
from storage.redis.limits import RateLimits
from storage.redis.tickets import Tickets
from storage.servers import Addresses, open_servers, reach_servers

log = structlog.get_logger()

BACKLOG = 2048
# Postgres may come up after us when a whole machine boots.
DATABASE_WAIT_S = 30.0


class StartError(Exception):
    """The instance cannot start; the message says what to change."""


def bind_port(host: str, port: int, variable: str) -> socket.socket:
    """A listening socket, before anything else is touched.

    Raises:
        StartError: somebody else has the port.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
    except OSError as error:
        listener.close()
        raise StartError(f"cannot listen on {host}:{port} ({error.strerror}); set {variable}") from None
    listener.listen(BACKLOG)
    listener.setblocking(False)
    return listener


# -- one instance ---------------------------------------------------------------------------------


@contextlib.asynccontextmanager
async def open_office(settings: Settings, at: Addresses, lost: Callable[[], None]) -> AsyncIterator[Office]:
    """Everything between the database and the door."""
    clock, entropy = LoopClock(asyncio.get_running_loop()), SystemEntropy()
    async with contextlib.AsyncExitStack() as stack:
        database = await stack.enter_async_context(
            open_database(at.database_url, size_max=settings.pool_size, observe=_observe, slow=_slow)
        )
        meta = await founding.check_meta(database)
        redis = await stack.enter_async_context(open_redis(at.redis_url))
        journal = PostgresJournal(at.database_url, database, _observe_flush)
        stack.push_async_callback(journal.close)
        hub = Hub(clock, entropy)
        runtime = Runtime(
            instance=settings.instance,
            behaviours=[OrderBehaviour(), DriverBehaviour(meta.feed_epoch), ZoneBehaviour()],
            journal=journal,
            leases=SoleLeases(),
            emitter=hub,
            clock=clock,
            entropy=entropy,
            log=log.warning,
            lost=lost,
        )
        passwords = Passwords()
        stack.callback(passwords.close)
        limits = RateLimits(redis, clock, entropy, metrics.REDIS_ERRORS.labels("limits").inc)
        tokens = Tokens(await founding.load_keys(database), clock, entropy)
        dispatch = Dispatch(runtime, OrderPlacer(database))
        tickets = Tickets(redis, entropy)
        yield Office(
            settings, database, redis, dispatch, tokens, passwords, tickets, limits, hub, clock, entropy
        )


def _observe(name: str, seconds: float) -> None:
    metrics.query_seconds(name).observe(seconds)


def _observe_flush(name: str, seconds: float) -> None:
    _observe(name, seconds)
    if seconds > SLOW_S:
        _slow(name, seconds)


def _slow(name: str, seconds: float) -> None:
    metrics.SLOW_QUERIES.labels(name).inc()
    log.warning("ran_slow_query", query=name, duration_s=round(seconds, 4))


@contextlib.asynccontextmanager
async def working(office: Office) -> AsyncIterator[None]:
    """Runtime, sockets and chores at work until the block ends."""
    runtime, dispatch = office.dispatch.runtime, office.dispatch
    chores = Chores(
        dispatch,
        office.database,
        done=lambda name, seconds: metrics.CHORE_SECONDS.labels(name).observe(seconds),
        failed=failed_chore,
        swept=metrics.FEED_SWEPT.inc,
    )
    async with office.hub.running(), runtime.running(), asyncio.TaskGroup() as tasks:
        loops = [tasks.create_task(chores.run(chore), name=chore.name) for chore in chores.all]
        loops.append(tasks.create_task(dispatch.run(), name="creations"))
        loops.append(tasks.create_task(watch_revocations(office), name="revocations"))
        loops.append(tasks.create_task(watch_loop(office), name="loop lag"))
        loops.append(tasks.create_task(collect_garbage(), name="garbage"))
        for row in await office.database.rows("zones_of_all"):
            dispatch.wake_zone(row["id"])
        office.started = True
        try:
            yield
        finally:
            for task in loops:
                task.cancel()


@contextlib.asynccontextmanager
async def listening(office: Office, public: socket.socket, ops: socket.socket) -> AsyncIterator[None]:
    """Both doors open until the block ends."""
    runners = []
    try:
        for app, listener in ((make_app(office), public), (make_ops_app(office), ops)):
            runner = web.AppRunner(
                app,
                handle_signals=False,
                access_log=None,
                keepalive_timeout=75,
                shutdown_timeout=5,
                lingering_time=2.0,  # for the rest of a body that was refused
                auto_decompress=False,  # no encoding is accepted, so none is undone
            )
            await runner.setup()
            runners.append(runner)
            await web.SockSite(runner, listener, backlog=BACKLOG).start()
        yield
    finally:
        for runner in runners:
            await runner.cleanup()


async def serve(settings: Settings, at: Addresses, public: socket.socket, ops: socket.socket) -> int:
    """Serve until SIGTERM or Ctrl-C; returns the exit code."""
    loop, stop, reason = asyncio.get_running_loop(), asyncio.Event(), [0]

    def end(code: int) -> None:
        reason[0] = reason[0] or code
        stop.set()

    began = perf_counter()
    await wait_for(at.database_url, DATABASE_WAIT_S)
    await migrate(at.database_url)
    # Until here a signal ends the process at once; from here on it says farewell.
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, end, -number)
    async with open_office(settings, at, lambda: end(3)) as office:
        collector = RuntimeCollector(office)
        metrics.REGISTRY.register(collector)
        try:
            welcome = await _found(office)
            async with working(office), listening(office, public, ops):
                _greet(settings, public, ops, welcome)
                log.info(
                    "started_instance",
                    instance_id=settings.instance,
                    duration_s=round(perf_counter() - began, 3),
                )
                await stop.wait()
                await _farewell(office, quick=reason[0] == -signal.SIGINT)
        finally:
            metrics.REGISTRY.unregister(collector)
    if reason[0] == 3:
        log.error("lost_ownership", instance_id=settings.instance)
        print("Another instance has claimed this database's shards; this one has stopped.", file=sys.stderr)
        return 3
    return 0


async def _found(office: Office) -> list[str]:
    """Administrator and sample; returns what the operator should read."""
    settings, lines = office.settings, []
    generated = await founding.ensure_admin(
        office.database, office.passwords, office.entropy, settings.admin_email, settings.admin_password
    )
    if generated:
        lines.append(f"  admin     {settings.admin_email}  password {generated}  (shown this once)")
    else:
        lines.append(f"  admin     {settings.admin_email}")
    if settings.embedded and settings.sample == "on":
        await founding.ensure_sample(office.database, office.passwords)
        lines.append("  customer  {}  password {}".format(*founding.CUSTOMER))
        lines.append("  driver    {}  password {}".format(*founding.DRIVER))
    return lines


def _greet(settings: Settings, public: socket.socket, ops: socket.socket, lines: Sequence[str]) -> None:
    at, ops_at = public.getsockname(), ops.getsockname()
    print(f"Mall Delivery Dispatch is open at http://{at[0]}:{at[1]}")
    print(f"  the API   http://{at[0]}:{at[1]}/docs")
    print(f"  operators http://{ops_at[0]}:{ops_at[1]}/status  and  /metrics")
    print("\n".join(lines))
    if settings.embedded:
        print(f"  data      {settings.data_dir.resolve()}   Ctrl-C stops everything", flush=True)


async def _farewell(office: Office, *, quick: bool) -> None:
    """Readiness off, sockets sent away one after the other; the rest is the reverse of opening."""
    office.draining = True
    log.info("draining_instance", instance_id=office.settings.instance)
    await office.hub.drain(min(1.0, office.settings.drain_s) if quick else office.settings.drain_s)


# -- commands -------------------------------------------------------------------------------------


def _run(settings: Settings, main: Coroutine[Any, Any, int]) -> int:
    if settings.loop == "uvloop":
        import uvloop

        return uvloop.run(main)
    return asyncio.run(main)


def command_serve(settings: Settings, options: argparse.Namespace) -> int:
    """Start an instance and stay."""
    del options
    with contextlib.ExitStack() as stack:
        public = bind_port(settings.host, settings.port, "MALL_PORT")
        stack.callback(public.close)
        ops = bind_port(settings.ops_host, settings.ops_port, "MALL_OPS_PORT")
        stack.callback(ops.close)
        # A Ctrl-C while the servers start must still stop them.
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
        at = stack.enter_context(open_servers(settings))
        writer = stack.enter_context(open_logs(settings.log_format, settings.log_level))
        metrics.LOG_LINES_DROPPED.set_function(lambda: writer.dropped)
        return _run(settings, serve(settings, at, public, ops))


def command_migrate(settings: Settings, options: argparse.Namespace) -> int:
    """Bring the schema to this version."""
    del options
    with reach_servers(settings) as at:
        asyncio.run(wait_for(at.database_url, 0))
        print(f"at revision {asyncio.run(migrate(at.database_url))}")
    return 0


def command_mint(settings: Settings, options: argparse.Namespace) -> int:
    """Print a user with a token per line."""

    async def work(at: Addresses) -> int:
        clock, entropy = LoopClock(asyncio.get_running_loop()), SystemEntropy()
        async with open_database(at.database_url, size_max=2) as database:
            users = await mint(
                database, clock, entropy, role=options.role, count=options.count, prefix=options.prefix,
                zone=options.zone, capacity=options.capacity, hours=options.hours,
            )  # fmt: skip
        for user in users:
            print(json.dumps(user))
        return 0

    with reach_servers(settings) as at:
        return asyncio.run(work(at))


def command_check(settings: Settings, options: argparse.Namespace) -> int:
    """Look at everything a start needs."""
    del options

    async def work(at: Addresses) -> int:
        await wait_for(at.database_url, 0)
        revision = await migrate(at.database_url)
        async with open_database(at.database_url, size_max=2) as database:
            await founding.check_meta(database)
        print(f"settings ok\npostgres ok, revision {revision}")
        async with open_redis(at.redis_url) as redis:
            try:
                await ping(redis)
                print("redis ok")
            except StorageError as error:
                print(f"redis down ({error}): the server starts, degraded")
        return 0

    with reach_servers(settings) as at:
        return asyncio.run(work(at))


def _zone(text: str) -> int:
    number = text.removeprefix("zon_")
    if not number.isdigit():
        raise argparse.ArgumentTypeError(f"{text!r} is no zone id such as zon_1")
    return int(number)


def make_parser() -> argparse.ArgumentParser:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="run.py",
        description="Mall Delivery Dispatch",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog="settings, from the environment [default]:\n" + describe(),
    )
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("serve", help="start an instance").set_defaults(work=command_serve)
    commands.add_parser("migrate", help="migrate the database").set_defaults(work=command_migrate)
    commands.add_parser("check", help="look at what a start needs").set_defaults(work=command_check)
    minting = commands.add_parser("mint", help="users and tokens in bulk, a JSON object a line")
    minting.add_argument("--role", choices=("customer", "driver", "admin"), required=True)
    minting.add_argument("--count", type=int, default=1)
    minting.add_argument("--prefix", default="minted", help="names and addresses begin with it")
    minting.add_argument("--zone", type=_zone, help="for drivers, such as zon_1")
    minting.add_argument("--capacity", type=int, default=1, help="for drivers: orders at once")
    minting.add_argument("--hours", type=float, default=12.0, help="how long the tokens are good")
    minting.set_defaults(work=command_mint)
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; every foreseen failure is one line, not a stack trace."""
    options = make_parser().parse_args(arguments)
    try:
        return int(options.work(load_settings(), options))
    except SettingsError as error:
        print(f"The settings are wrong:\n{error}", file=sys.stderr)
    except (StartError, EmbeddedError, MigrationError, MintError, founding.FoundingError) as error:
        print(f"Cannot start: {error}", file=sys.stderr)
    except (StorageError, JournalError, TimeoutError, OSError) as error:
        print(f"Cannot reach the database: {type(error).__name__} {error}", file=sys.stderr)
    except KeyboardInterrupt:
        return 0
    return 2


if __name__ == "__main__":
    sys.exit(main())
