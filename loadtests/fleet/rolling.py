"""All instances restart, one after the other, under load: `run.py serve --instances 4` and SIGHUP.

Load, from the first round to the last: reads and commands over REST on kept-alive connections, customers who
order, and drivers on sockets who are offered these orders, accept, pick up and deliver. A connection that the
server closed between two requests is opened anew, as every HTTP client does; a request whose connection dies
without an answer has failed.
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from time import perf_counter

import orjson

from loadtests.fleet.load import NAMES, open_load
from loadtests.fleet.reconnecting import COMMANDS, ReconnectingDrivers, ReconnectingPhone
from loadtests.fleet.setup import FleetSetup
from loadtests.kit.fixtures import order_body
from loadtests.kit.keep_alive import KeepAliveClient
from loadtests.kit.report import Limit
from loadtests.kit.waiting import sleep_until, until
from loadtests.swarm.connecting import all_answered, close_all, go_online, open_all
from loadtests.swarm.phone import SwarmPhone

INSTANCES = 4
ROUNDS = 5
DRIVERS = 200
ZONES = 4
# So that a driver is seldom free for long and never runs short: a delivery takes some 3 s.
ORDERS_PER_S = 8.0
WORKERS = 16
ONLINE_PER_S = 200.0
BETWEEN_S = 2.0
REST_S = 40.0
AT = (52.52, 13.405)
ROUND_S = 300.0
ORDERED = "order for drivers"


async def run(setup: FleetSetup) -> None:
    """As many rounds as the options say."""
    rounds, count = setup.options.rounds or ROUNDS, setup.options.instances or INSTANCES
    async with open_load(setup, setup.options.per_s), drivers_at_work(setup) as (group, phones):
        for _ in range(rounds):
            setup.report.done("round", await _round(setup))
            await setup.cluster.balanced(count)
            group.new_round(len(phones))
            await asyncio.sleep(BETWEEN_S)
    _judge(setup, group)


async def _round(setup: FleetSetup) -> float:
    """Restart all; returns the seconds that took.

    Raises:
        TimeoutError: it does not end.
    """
    supervisor = setup.cluster.supervisor
    assert supervisor is not None
    before = {held.incarnation for held in await setup.cluster.holdings()}

    async def restarted() -> bool:
        now = {held.incarnation for held in await setup.cluster.holdings()}
        return len(now) == len(before) and not now & before

    began = perf_counter()
    supervisor.hang_up()
    if not await until(restarted, ROUND_S):
        raise TimeoutError("a round does not end")
    return perf_counter() - began


@asynccontextmanager
async def drivers_at_work(
    setup: FleetSetup, orders_per_s: float = ORDERS_PER_S
) -> AsyncIterator[tuple[ReconnectingDrivers, Sequence[ReconnectingPhone]]]:
    """Drivers at work, and customers who order for them; in the end everything is delivered and compared."""
    zones = [await setup.open_zone("waves") for _ in range(ZONES)]
    share = (setup.options.drivers or DRIVERS) // ZONES
    people = [(zone, await setup.mint("driver", share, zone)) for zone in zones]
    async with asyncio.TaskGroup() as tasks:
        group = ReconnectingDrivers(setup.report, setup.cluster.urls[0], setup.key(), setup.chance, tasks)
        phones = [ReconnectingPhone(group, person, zone.number) for zone, some in people for person in some]
        plain: list[SwarmPhone] = list(phones)
        await open_all(plain)
        await go_online(plain, setup.chance, AT, ONLINE_PER_S)
        over = asyncio.Event()
        bodies = itertools.cycle([orjson.dumps(order_body(zone.products)) for zone in zones])
        for index in range(WORKERS):
            tasks.create_task(_order(setup, bodies, over, WORKERS / orders_per_s, index / WORKERS))
        try:
            yield group, phones
            over.set()
            placed = setup.report.tally(ORDERED).seconds
            await until(lambda: group.delivered >= len(placed), REST_S)
            await all_answered(plain)
            setup.report.facts["orders placed, delivered"] = [len(placed), group.delivered]
            await _compare(setup, phones)
        finally:
            over.set()
            await close_all(group, plain)


async def _order(
    setup: FleetSetup, bodies: itertools.cycle[bytes], over: asyncio.Event, pace_s: float, phase: float
) -> None:
    """One customer: an order at fixed intervals."""
    caller = KeepAliveClient(setup.cluster.urls)
    due = perf_counter() + phase * pace_s
    while not over.is_set():
        await sleep_until(due)
        due = max(due + pace_s, perf_counter())
        await caller.timed(setup.report, ORDERED, setup.creation(next(bodies)))
    caller.close()


async def _compare(setup: FleetSetup, phones: Sequence[ReconnectingPhone]) -> None:
    """Every phone has every entry that the database has for it."""
    numbers = [phone.person.number for phone in phones]
    rows = await setup.sql.fetch("SELECT id, feed_seq FROM drivers WHERE id = ANY($1)", numbers)
    wanted = {row["id"]: row["feed_seq"] for row in rows}
    short = [phone.person.number for phone in phones if phone.position.seq != wanted[phone.person.number]]
    for number in short:
        setup.report.failed("position", f"drv_{number} is short of its log")


def _judge(setup: FleetSetup, group: ReconnectingDrivers) -> None:
    report = setup.report
    names = (*NAMES, ORDERED, *COMMANDS)
    report.facts["rounds"] = len(report.tally("round").seconds)
    report.facts["times sent away, of a driver in a round"] = {
        str(n): drivers for n, drivers in sorted(group.rounds.items())
    }
    report.facts["lines that ended without a close frame"] = group.cut
    report.facts["accepts"] = dict(group.told)
    report.facts["p99 ms, REST"] = round(report.ms((*NAMES, ORDERED), 0.99), 1)
    report.facts["p99 ms, feed"] = round(report.ms(COMMANDS, 0.99), 1)
    failed = sum(report.tally(name).failed for name in names)
    setup.report.limit(Limit("failed commands", failed, at_most=0), timing=False)
    setup.report.limit(Limit("times a driver was sent away in a round", group.worst, at_most=1), timing=False)
    faults = report.tally("position").failed
    setup.report.limit(
        Limit("feeds with a gap, a repetition or an end too early", faults, at_most=0), timing=False
    )
