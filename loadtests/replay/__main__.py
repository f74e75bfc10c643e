"""Replays a real delivery day through the public API and the drivers' feed, and says what it was worth.

Every restaurant becomes a store, every courier a driver on a WebSocket, every order an order over REST at
its minute. The couriers obey the rules of the Meal Delivery Routing Problem, so the result can be compared
with others': OUT gets report.json and the three files that the published evaluator reads.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import secrets
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp

from loadtests.kit.client import ApiProblem, Mall, Phone, open_http
from loadtests.kit.phone_connection import ConnectionGivenUp, PhoneConnection
from loadtests.kit.server import ServerProcess, server_at
from loadtests.kit.tool import add_options, make_parser, option, run_tool
from loadtests.kit.waiting import each
from loadtests.replay import people
from loadtests.replay.check import violations
from loadtests.replay.courier import ReplayContext, Rider
from loadtests.replay.day import Atlas, Day, DayClock, DayError, read_day
from loadtests.replay.mall import (
    TRIP_ORDERS_MAX,
    BuiltStores,
    Desk,
    ReplayAudit,
    audit,
    build,
    enlist,
    open_zone,
)
from loadtests.replay.progress import progress
from loadtests.replay.record import DayRecord
from loadtests.replay.report import ReplayReport, measures, write_solution

SPEEDUP = 240.0
# The phones here answer within milliseconds; an offer need only outlive a hiccup. In seconds.
OFFER_TTL_S = 2
# The clock starts this long before the first order, so that couriers are there. In real seconds.
LEAD_S = 2.0
# Minutes of the day, after the last courier goes off, until what is still open is given up.
PATIENCE = 120
# Sockets besides those of the couriers.
SPARE_CONNECTIONS = 64
REFUSALS = (DayError, people.UsersMissing, ApiProblem, aiohttp.ClientError, OSError, RuntimeError)
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
class ReplayOptions:
    """A replay, `speedup` times as fast as real time. No `url`: on a server of its own."""

    day: Path
    out: Path
    speedup: float = option(SPEEDUP, SPEEDUP_HELP)
    mode: str = option(
        "planned", "the zone's: planned, or waves, where each courier has one order [%(default)s]"
    )
    wave_size: int = option(1, "waves: couriers asked at once [%(default)s]")
    url: str | None = option(None, "a running server [one of its own, with everything embedded]", str)
    admin_token: str = option("", "for --url: an administrator's access token")
    admin_email: str = option("", "for --url: or its account")
    admin_password: str = option("", "for --url: and its password")
    minted: Path | None = option(None, MINTED_HELP, Path)  # noqa: RUF009 - a field, as the others are
    quiet: bool = option(False, "no progress")

    @property
    def capacity(self) -> int:
        """Orders that a courier carries at once."""
        return TRIP_ORDERS_MAX if self.mode == "planned" else 1


@dataclass(frozen=True, slots=True)
class ReplaySetup:
    """All that is ready when the day begins; `driver_ids` in the order of the users' drivers."""

    day: Day
    atlas: Atlas
    users: people.ReplayUsers
    stores: BuiltStores
    driver_ids: Sequence[str]


# -- before the day -------------------------------------------------------------------------------


async def find_admin(options: ReplayOptions, mall: Mall, server: ServerProcess | None) -> people.ReplayUser:
    """Somebody who may build a mall.

    Raises:
        UsersMissing: the options name no administrator.
    """
    if server is not None:
        return people.of_role(mall, await server.mint("admin", 1, "--prefix", "admin"), "admin")[0]
    if options.admin_token:
        return people.ReplayUser(mall.as_(options.admin_token))
    if options.admin_email:
        return await people.log_in(mall, options.admin_email, options.admin_password)
    raise people.UsersMissing("--url needs --admin-token, or --admin-email and --admin-password")


async def find_users(
    options: ReplayOptions, day: Day, admin: people.ReplayUser, zone_id: str, server: ServerProcess | None
) -> people.ReplayUsers:
    """A driver for every courier, and customers enough for the busiest minute."""
    drivers, customers = len(day.couriers), people.customers_needed(day, options.speedup)
    if server is not None:
        async with asyncio.TaskGroup() as tasks:
            minting = tasks.create_task(
                server.mint("driver", drivers, "--prefix", "driver", "--zone", zone_id)
            )
            minting_customers = tasks.create_task(server.mint("customer", customers, "--prefix", "customer"))
        users = minting.result() + minting_customers.result()
    elif options.minted is not None:
        users = people.read_minted(options.minted, drivers)
    else:
        return people.ReplayUsers(
            admin,
            await people.sign_up(admin.mall, "driver", drivers, zone_id),
            await people.sign_up(admin.mall, "customer", customers),
        )
    return people.ReplayUsers(
        admin,
        people.of_role(admin.mall, users, "driver")[:drivers],
        people.of_role(admin.mall, users, "customer"),
    )


async def open_setup(
    options: ReplayOptions, day: Day, mall: Mall, server: ServerProcess | None
) -> ReplaySetup:
    """Open the zone, find all users, build the stores."""
    admin = await find_admin(options, mall, server)
    zone_id = await open_zone(admin.mall, day, options.mode, options.wave_size, OFFER_TTL_S, options.speedup)
    users = await find_users(options, day, admin, zone_id, server)
    atlas = Atlas(day)
    stores = await build(admin.mall, day, atlas, zone_id, options.speedup)
    driver_ids: dict[str, str] = {}

    async def one(person: people.ReplayUser) -> None:
        driver_ids[person.id] = await enlist(admin.mall, person, zone_id, options.capacity)

    await each(users.drivers, one)
    return ReplaySetup(day, atlas, users, stores, [driver_ids[person.id] for person in users.drivers])


# -- the day --------------------------------------------------------------------------------------


async def live(setup: ReplaySetup, options: ReplayOptions) -> tuple[DayRecord, list[str]]:
    """The whole day; returns what happened, and the faults that the phones saw in their feeds."""
    day, record, over = setup.day, DayRecord(), asyncio.Event()
    clock = DayClock(day.first_placed - LEAD_S * options.speedup / 60, options.speedup)
    desk = Desk(setup.users.admin, setup.stores, setup.atlas, clock, record)
    context = ReplayContext(day, clock, setup.atlas, record, over, desk.release)
    run = secrets.token_hex(4)
    riders = [
        Rider(
            courier,
            driver_id,
            PhoneConnection(Phone(person.mall), f"{run}-{courier.id}", record.counts),
            context,
        )
        for courier, driver_id, person in zip(
            day.couriers.values(), setup.driver_ids, setup.users.drivers, strict=True
        )
    ]
    customers = setup.users.customers
    async with progress(day, clock, record, quiet=options.quiet), asyncio.TaskGroup() as watch_tasks:
        async with asyncio.TaskGroup() as tasks:
            work = [tasks.create_task(_ride(rider, record), name=rider.courier.id) for rider in riders]
            places = [
                tasks.create_task(desk.place(order, customers[number % len(customers)]), name=order.id)
                for number, order in enumerate(day.orders.values())
            ]
            ends = [watch_tasks.create_task(_end_early(places, record, over))]
            ends.append(watch_tasks.create_task(_end_late(work, context)))
        for end in ends:
            end.cancel()
    faults = [
        f"{rider.courier.id}: {fault}" for rider in riders for fault in rider.link.phone.position.faults
    ]
    return record, faults


async def _ride(rider: Rider, record: DayRecord) -> None:
    try:
        await rider.run()
    except* ConnectionGivenUp as group:
        record.errors.append(f"{rider.courier.id}: gave up its line: {group.exceptions[0]}")


async def _end_early(places: Sequence[asyncio.Task[None]], record: DayRecord, over: asyncio.Event) -> None:
    """When everything is delivered, no courier needs to stay to its end."""
    await asyncio.wait(places)
    while len(record.rides) < len(record.acknowledged):
        record.delivered.clear()
        await record.delivered.wait()
    over.set()


async def _end_late(work: Sequence[asyncio.Task[None]], context: ReplayContext) -> None:
    """What is not done long after the last courier went off never will be."""
    await context.clock.until(context.day.last_off + PATIENCE)
    context.record.errors.append(
        f"{sum(not task.done() for task in work)} couriers were still out at the end"
    )
    for task in work:
        task.cancel()


# -- after the day --------------------------------------------------------------------------------


def make_report(
    options: ReplayOptions,
    day: Day,
    record: DayRecord,
    faults: Sequence[str],
    audited: ReplayAudit,
    wall_s: float,
) -> dict[str, Any]:
    """The report's fields, in the order in which they are read."""
    return {
        "day": day.name,
        "speedup": options.speedup,
        "mode": options.mode,
        "wave_size": options.wave_size,
        "orders": len(day.orders),
        "acknowledged": len(record.acknowledged),
        **measures(day, record.rides, record.moves),
        "lost": audited.lost,
        "double_assigned": audited.double_assigned,
        "feed_faults": list(faults),
        "violations": violations(day, options.out, options.capacity),
        "errors": record.errors,
        "counts": dict(record.counts),
        "wall_s": round(wall_s, 1),
    }


async def replay(options: ReplayOptions) -> dict[str, Any]:
    """Replay a day; writes the files into `options.out` and returns the report.

    Raises:
        DayError: there is no such day.
        UsersMissing: there are too few users.
        Refused: the server does not let us build the mall.
    """
    began_s = time.monotonic()
    day = read_day(options.day)
    options.out.mkdir(parents=True, exist_ok=True)
    async with contextlib.AsyncExitStack() as stack:
        http = await stack.enter_async_context(open_http(len(day.couriers) + SPARE_CONNECTIONS))
        server = (
            None
            if options.url
            else await stack.enter_async_context(
                server_at(None, "replay", {"MALL_SAMPLE": "off"}, log_path=options.out / "server.log")
            )
        )
        mall = Mall(http, options.url.rstrip("/") if options.url else server.url if server else "")
        setup = await open_setup(options, day, mall, server)
        users = setup.users
        async with people.fresh_tokens((users.admin, *users.drivers, *users.customers)):
            record, faults = await live(setup, options)
            audited = await audit(users.admin.mall, record)
    write_solution(options.out, day, record.rides, record.moves)
    report = make_report(options, day, record, faults, audited, time.monotonic() - began_s)
    (options.out / "report.json").write_text(json.dumps(report, indent=2) + "\n")
    return report


async def run(options: ReplayOptions) -> ReplayReport:
    """Replay a day, for the command line."""
    return ReplayReport(await replay(options))


def read_options(arguments: Sequence[str] | None) -> ReplayOptions:
    """The command line."""
    parser = make_parser("loadtests.replay", __doc__, json=False)
    parser.add_argument("day", type=Path, metavar="DIR", help="folder with the four files of a day")
    parser.add_argument("--out", type=Path, required=True, help="folder for the report and the solution")
    add_options(parser, ReplayOptions)
    found = parser.parse_args(arguments)
    if found.speedup <= 0:
        parser.error("--speedup must be positive")
    return ReplayOptions(**vars(found))


def main(arguments: Sequence[str] | None = None) -> int:
    """Replay a day; 1 when anything was lost, assigned twice, or came wrong over a feed."""
    return run_tool(run(read_options(arguments)), refusals=REFUSALS, name="replay")


if __name__ == "__main__":
    sys.exit(main())
