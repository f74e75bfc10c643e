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

from loadtests.fleet.connection import Caller
from loadtests.fleet.handset import COMMANDS, Handset, Handsets
from loadtests.fleet.load import NAMES, open_load
from loadtests.fleet.stage import Stage
from loadtests.scene import order_body
from loadtests.swarm.line import Line
from loadtests.swarm.opening import all_answered, close_all, go_online, open_all, until
from loadtests.verdict import Limit

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
DONE = "restarted_all_instances"
ROUND_S = 300.0
ORDERED = "order for drivers"


async def run(stage: Stage) -> None:
    """As many rounds as the options say."""
    rounds, count = stage.options.rounds or ROUNDS, stage.options.instances or INSTANCES
    async with open_load(stage, stage.options.per_s), _drivers(stage) as (crew, lines):
        for number in range(1, rounds + 1):
            stage.report.done("round", await _round(stage, number))
            await stage.fleet.balanced(count)
            crew.new_round(len(lines))
            await asyncio.sleep(BETWEEN_S)
    _judge(stage, crew)


async def _round(stage: Stage, number: int) -> float:
    """Restart all; returns the seconds that took.

    Raises:
        TimeoutError: it does not end.
    """
    supervisor, began = stage.fleet.supervisor, perf_counter()
    assert supervisor is not None
    supervisor.hang_up()
    if not await until(lambda: supervisor.said(DONE) >= number, ROUND_S):
        raise TimeoutError("a round does not end")
    return perf_counter() - began


@asynccontextmanager
async def _drivers(stage: Stage) -> AsyncIterator[tuple[Handsets, Sequence[Handset]]]:
    """Drivers at work, and customers who order for them; in the end everything is delivered and compared."""
    zones = [await stage.open_zone("waves") for _ in range(ZONES)]
    share = (stage.options.drivers or DRIVERS) // ZONES
    people = [(zone, await stage.mint("driver", share, zone)) for zone in zones]
    async with asyncio.TaskGroup() as tasks:
        crew = Handsets(stage.report, stage.fleet.urls[0], stage.key(), stage.chance, tasks)
        lines = [Handset(crew, person, zone.number) for zone, some in people for person in some]
        plain: list[Line] = list(lines)
        await open_all(plain)
        await go_online(plain, stage.chance, AT, ONLINE_PER_S)
        over = asyncio.Event()
        bodies = itertools.cycle([orjson.dumps(order_body(zone.products)) for zone in zones])
        for index in range(WORKERS):
            tasks.create_task(_order(stage, bodies, over, index / WORKERS))
        try:
            yield crew, lines
            over.set()
            placed = stage.report.tally(ORDERED).seconds
            await until(lambda: crew.delivered >= len(placed), REST_S)
            await all_answered(plain)
            stage.report.facts["orders placed, delivered"] = [len(placed), crew.delivered]
            await _compare(stage, lines)
        finally:
            over.set()
            await close_all(crew, plain)


async def _order(stage: Stage, bodies: itertools.cycle[bytes], over: asyncio.Event, phase: float) -> None:
    """One customer: an order at fixed intervals."""
    pace_s, caller = WORKERS / ORDERS_PER_S, Caller(stage.fleet.urls)
    due = perf_counter() + phase * pace_s
    while not over.is_set():
        await asyncio.sleep(max(0.0, due - perf_counter()))
        due = max(due + pace_s, perf_counter())
        await caller.timed(stage.report, ORDERED, stage.creation(next(bodies)))
    caller.close()


async def _compare(stage: Stage, lines: Sequence[Handset]) -> None:
    """Every phone has every entry that the database has for it."""
    numbers = [line.person.number for line in lines]
    rows = await stage.sql.fetch("SELECT id, feed_seq FROM drivers WHERE id = ANY($1)", numbers)
    wanted = {row["id"]: row["feed_seq"] for row in rows}
    short = [line.person.number for line in lines if line.position.seq != wanted[line.person.number]]
    for number in short:
        stage.report.failed("position", f"drv_{number} is short of its log")


def _judge(stage: Stage, crew: Handsets) -> None:
    report = stage.report
    names = (*NAMES, ORDERED, *COMMANDS)
    report.facts["rounds"] = len(report.tally("round").seconds)
    report.facts["times sent away, of a driver in a round"] = {
        str(n): drivers for n, drivers in sorted(crew.rounds.items())
    }
    report.facts["lines that ended without a close frame"] = crew.cut
    report.facts["accepts"] = dict(crew.told)
    report.facts["p99 ms, REST"] = round(report.ms((*NAMES, ORDERED), 0.99), 1)
    report.facts["p99 ms, feed"] = round(report.ms(COMMANDS, 0.99), 1)
    failed = sum(report.tally(name).failed for name in names)
    stage.limit(Limit("failed commands", failed, at_most=0), timing=False)
    stage.limit(Limit("times a driver was sent away in a round", crew.worst, at_most=1), timing=False)
    faults = report.tally("position").failed
    stage.limit(Limit("feeds with a gap, a repetition or an end too early", faults, at_most=0), timing=False)
