"""Replays a real delivery day through the public API and the drivers' feed, and says what it was worth.

Every restaurant becomes a store, every courier a driver on a WebSocket, every order an order over REST at
its minute. The couriers obey the rules of the Meal Delivery Routing Problem, so the result can be compared
with others': OUT gets report.json and the three files that the published evaluator reads.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import secrets
import shutil
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import uvloop

from loadtests.client import Mall, Phone, Refused, open_http
from loadtests.replay_check import violations
from loadtests.replay_courier import Rider, Shift
from loadtests.replay_day import Atlas, Day, DayClock, DayError, read_day
from loadtests.replay_line import Line, LineDead
from loadtests.replay_mall import Audit, Desk, Site, audit, build, enlist, open_zone
from loadtests.replay_people import (
    Crew,
    CrewError,
    Person,
    customers_needed,
    fresh_tokens,
    log_in,
    of_role,
    read_minted,
    sign_up,
)  # fmt: skip
from loadtests.replay_progress import progress
from loadtests.replay_record import Record
from loadtests.replay_report import failed, measures, text, write_solution
from loadtests.replay_rest import each
from loadtests.server import ServerProcess

SPEEDUP = 240.0
# The phones here answer within milliseconds; an offer need only outlive a hiccup. In seconds.
OFFER_TTL_S = 2
# The clock starts this long before the first order, so that couriers are there. In real seconds.
LEAD_S = 2.0
# Minutes of the day, after the last courier goes off, until what is still open is given up.
PATIENCE = 120
# Sockets besides those of the couriers.
SPARE_CONNECTIONS = 64
SPEEDUP_HELP = (
    "how many times as fast as real time [%(default)g]: with room to spare for two cores to answer within the "
    "minute; at twice that, some percent do not (`slipped` in the report). A day with too few couriers wants "
    "60: when those who declined are asked again is in real seconds"
)
MINTED_HELP = (
    "for --url: drivers and customers from `run.py mint`, an object a line; without it they are signed up "
    "one by one over the API, which needs a server without rate limits"
)


@dataclass(frozen=True, slots=True)
class Options:
    """A replay, `speedup` times as fast as real time. No `url`: on a server of its own."""

    day: Path
    out: Path
    speedup: float = SPEEDUP
    wave_size: int = 1
    url: str | None = None
    admin_token: str = ""
    admin_email: str = ""
    admin_password: str = ""
    minted: Path | None = None
    quiet: bool = False


@dataclass(frozen=True, slots=True)
class Stage:
    """All that is ready when the day begins; `driver_ids` in the order of the crew's drivers."""

    day: Day
    atlas: Atlas
    crew: Crew
    site: Site
    driver_ids: Sequence[str]


# -- before the day -------------------------------------------------------------------------------


@contextlib.asynccontextmanager
async def own_server(out: Path) -> AsyncIterator[ServerProcess]:
    """A server with everything in a temporary folder; its log stays in OUT."""
    with tempfile.TemporaryDirectory(prefix="replay-") as folder:
        server = ServerProcess(Path(folder), {"MALL_SAMPLE": "off"})
        for name in ("DATABASE_URL", "REDIS_URL"):
            server.environ.pop(name, None)
        try:
            await server.start()
            yield server
        finally:
            await server.stop()
            if server.log_path.exists():
                shutil.copyfile(server.log_path, out / "server.log")


async def find_admin(options: Options, mall: Mall, server: ServerProcess | None) -> Person:
    """Somebody who may build a mall.

    Raises:
        CrewError: the options name nobody.
    """
    if server is not None:
        return of_role(mall, await server.mint("admin", 1, "--prefix", "admin"), "admin")[0]
    if options.admin_token:
        return Person(mall.as_(options.admin_token))
    if options.admin_email:
        return await log_in(mall, options.admin_email, options.admin_password)
    raise CrewError("--url needs --admin-token, or --admin-email and --admin-password")


async def hire(options: Options, day: Day, admin: Person, zone_id: str, server: ServerProcess | None) -> Crew:
    """A driver for every courier, and customers enough for the busiest minute."""
    drivers, customers = len(day.couriers), customers_needed(day, options.speedup)
    if server is not None:
        async with asyncio.TaskGroup() as tasks:
            hiring = tasks.create_task(
                server.mint("driver", drivers, "--prefix", "driver", "--zone", zone_id)
            )
            finding = tasks.create_task(server.mint("customer", customers, "--prefix", "customer"))
        users = hiring.result() + finding.result()
    elif options.minted is not None:
        users = read_minted(options.minted, drivers)
    else:
        return Crew(
            admin,
            await sign_up(admin.mall, "driver", drivers, zone_id),
            await sign_up(admin.mall, "customer", customers),
        )
    return Crew(admin, of_role(admin.mall, users, "driver")[:drivers], of_role(admin.mall, users, "customer"))


async def set_stage(options: Options, day: Day, mall: Mall, server: ServerProcess | None) -> Stage:
    """Open the zone, hire everybody, build the stores."""
    admin = await find_admin(options, mall, server)
    zone_id = await open_zone(admin.mall, day, options.wave_size, OFFER_TTL_S)
    crew = await hire(options, day, admin, zone_id, server)
    atlas = Atlas(day)
    site = await build(admin.mall, day, atlas, zone_id, options.speedup)
    driver_ids: dict[str, str] = {}

    async def one(person: Person) -> None:
        driver_ids[person.id] = await enlist(admin.mall, person, zone_id)

    await each(crew.drivers, one)
    return Stage(day, atlas, crew, site, [driver_ids[person.id] for person in crew.drivers])


# -- the day --------------------------------------------------------------------------------------


async def live(stage: Stage, options: Options) -> tuple[Record, list[str]]:
    """The whole day; returns what happened, and the faults that the phones saw in their feeds."""
    day, record, over = stage.day, Record(), asyncio.Event()
    clock = DayClock(day.first_placed - LEAD_S * options.speedup / 60, options.speedup)
    desk = Desk(stage.crew.admin, stage.site, stage.atlas, clock, record)
    shift = Shift(day, clock, stage.atlas, record, over, desk.release)
    run = secrets.token_hex(4)
    riders = [
        Rider(courier, driver_id, Line(Phone(person.mall), f"{run}-{courier.id}", record.counts), shift)
        for courier, driver_id, person in zip(
            day.couriers.values(), stage.driver_ids, stage.crew.drivers, strict=True
        )
    ]
    customers = stage.crew.customers
    async with progress(day, clock, record, quiet=options.quiet), asyncio.TaskGroup() as watch_tasks:
        async with asyncio.TaskGroup() as tasks:
            work = [tasks.create_task(_ride(rider, record), name=rider.courier.id) for rider in riders]
            places = [
                tasks.create_task(desk.place(order, customers[number % len(customers)]), name=order.id)
                for number, order in enumerate(day.orders.values())
            ]
            ends = [watch_tasks.create_task(_end_early(places, record, over))]
            ends.append(watch_tasks.create_task(_end_late(work, shift)))
        for end in ends:
            end.cancel()
    faults = [f"{rider.courier.id}: {fault}" for rider in riders for fault in rider.line.phone.faults]
    return record, faults


async def _ride(rider: Rider, record: Record) -> None:
    try:
        await rider.run()
    except* LineDead as group:
        record.errors.append(f"{rider.courier.id}: gave up its line: {group.exceptions[0]}")


async def _end_early(places: Sequence[asyncio.Task[None]], record: Record, over: asyncio.Event) -> None:
    """When everything is delivered, nobody needs to stay to the end of the shift."""
    await asyncio.wait(places)
    while len(record.rides) < len(record.acknowledged):
        record.delivered.clear()
        await record.delivered.wait()
    over.set()


async def _end_late(work: Sequence[asyncio.Task[None]], shift: Shift) -> None:
    """What is not done long after the last courier went off never will be."""
    await shift.clock.until(shift.day.last_off + PATIENCE)
    shift.record.errors.append(f"{sum(not task.done() for task in work)} couriers were still out at the end")
    for task in work:
        task.cancel()


# -- after the day --------------------------------------------------------------------------------


def make_report(
    options: Options, day: Day, record: Record, faults: Sequence[str], books: Audit, wall_s: float
) -> dict[str, Any]:
    """Everything that is to be said, in the order in which people want to read it."""
    return {
        "day": day.name,
        "speedup": options.speedup,
        "wave_size": options.wave_size,
        "orders": len(day.orders),
        "acknowledged": len(record.acknowledged),
        **measures(day, record.rides, record.moves),
        "lost": books.lost,
        "double_assigned": books.double_assigned,
        "feed_faults": list(faults),
        "violations": violations(day, options.out),
        "errors": record.errors,
        "counts": dict(record.counts),
        "wall_s": round(wall_s, 1),
    }


async def replay(options: Options) -> dict[str, Any]:
    """Replay a day; writes the files into `options.out` and returns the report.

    Raises:
        DayError: there is no such day.
        CrewError: nobody can take part.
        Refused: the server does not let us build the mall.
    """
    began_s = time.monotonic()
    day = read_day(options.day)
    options.out.mkdir(parents=True, exist_ok=True)
    async with contextlib.AsyncExitStack() as stack:
        http = await stack.enter_async_context(open_http(len(day.couriers) + SPARE_CONNECTIONS))
        server = None if options.url else await stack.enter_async_context(own_server(options.out))
        mall = Mall(http, options.url.rstrip("/") if options.url else server.url if server else "")
        stage = await set_stage(options, day, mall, server)
        crew = stage.crew
        async with fresh_tokens((crew.admin, *crew.drivers, *crew.customers)):
            record, faults = await live(stage, options)
            books = await audit(crew.admin.mall, record)
    write_solution(options.out, day, record.rides, record.moves)
    report = make_report(options, day, record, faults, books, time.monotonic() - began_s)
    (options.out / "report.json").write_text(json.dumps(report, indent=2) + "\n")
    return report


def read_options(arguments: Sequence[str] | None) -> Options:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m loadtests.replay", description=__doc__)
    parser.add_argument("day", type=Path, metavar="DIR", help="folder with the four files of a day")
    parser.add_argument("--out", type=Path, required=True, help="folder for the report and the solution")
    parser.add_argument("--speedup", type=float, default=SPEEDUP, help=SPEEDUP_HELP)
    parser.add_argument("--wave-size", type=int, default=1, help="couriers asked at once [%(default)s]")
    parser.add_argument("--url", help="a running server [one of its own, with everything embedded]")
    parser.add_argument("--admin-token", default="", help="for --url: an administrator's access token")
    parser.add_argument("--admin-email", default="", help="for --url: or its account")
    parser.add_argument("--admin-password", default="", help="for --url: and its password")
    parser.add_argument("--minted", type=Path, help=MINTED_HELP)
    parser.add_argument("--quiet", action="store_true", help="no progress")
    found = parser.parse_args(arguments)
    if found.speedup <= 0:
        parser.error("--speedup must be positive")
    return Options(**vars(found))


def main(arguments: Sequence[str] | None = None) -> int:
    """Replay a day; 1 when anything was lost, assigned twice, or came wrong over a feed."""
    options, report = read_options(arguments), {}
    try:
        with contextlib.suppress(KeyboardInterrupt):
            report = uvloop.run(replay(options))
    except* (DayError, CrewError, Refused, aiohttp.ClientError, OSError, RuntimeError) as group:
        print(f"cannot replay: {_first(group)}", file=sys.stderr)
    if not report:
        return 2
    print(text(report))
    return 1 if failed(report) else 0


def _first(group: BaseExceptionGroup[Exception]) -> str:
    """What the first of several failures says."""
    error: BaseException = group
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return f"{type(error).__name__} {error}"


if __name__ == "__main__":
    sys.exit(main())
