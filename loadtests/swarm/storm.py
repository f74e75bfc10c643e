"""Every line is cut at once, and everybody comes back within half a minute.

Who missed nothing is resumed from memory: the server reads nothing from its database for it. With --missed
a share of the drivers was given an order and lost it again meanwhile, and must be told of both.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import orjson

from loadtests.scene import LAT, LON, Zone, order_body
from loadtests.swarm.line import Crew, Line
from loadtests.swarm.opening import close_all, go_online, open_all, open_spread, until
from loadtests.swarm.rest import Caller
from loadtests.swarm.scrape import Samples, grown, lag_facts
from loadtests.swarm.stage import Stage
from loadtests.verdict import Limit, Report

WELCOME_MS_MAX = 250.0
ONLINE_PER_S = 500.0
# What the server would read for a feed: the driver's row, its log, its snapshot.
FEED_QUERIES = ("load_drivers", "feed_after", "driver_snapshot")
# An order that a driver is given and that is taken away again leaves these.
MISSED = ("order.assigned", "order.released")
OPERATORS = 8
ARRIVAL_S = 10.0
# Phones need a moment to see that their line is gone; so does this process, for all of them.
NOTICED_S = 0.3


class Returning(Crew):
    """Phones that come back; `snapshots` were told all anew, `heard` is what arrived after the welcome."""

    def __init__(self, stage: Stage, report: Report) -> None:
        super().__init__(report, stage.server.url, stage.tag)
        self.resumed = 0
        self.snapshots = 0
        self.heard: dict[int, list[str]] = {}

    def welcomed(self, line: Line, frame: dict[str, Any], now: float) -> None:
        """Resumed or not."""
        super().welcomed(line, frame, now)
        self.resumed += frame["resumed"]
        self.snapshots += not frame["resumed"]

    def event(self, line: Line, frame: dict[str, Any]) -> None:
        """Entries by driver."""
        self.heard.setdefault(line.person.number, []).append(frame["type"])


async def run(stage: Stage, report: Report) -> None:
    """Connect, cut, come back, look."""
    options = stage.options
    crew = Returning(stage, report)
    # Nothing is offered in an open zone, so nobody's log grows but by what is done here.
    zones = await stage.open_zones(options.sockets, "open")
    lines = await stage.lines(crew, zones, options.sockets)
    await open_all(lines)
    await go_online(lines, stage.chance, (LAT, LON), ONLINE_PER_S)
    before, crew.connect = await stage.scrape(), "reconnect"
    stage.meter.start()
    crew.resumed = crew.snapshots = 0
    for line in lines:
        line.cut()
    await asyncio.sleep(NOTICED_S)
    missing = lines[:: round(1 / options.missed)] if options.missed else []
    await _miss(stage, report, missing, zones)
    await open_spread(lines, options.spread_s, stage.chance)
    await _arrive(crew, missing)
    _judge(stage, report, crew, len(lines), missing)
    after = await stage.scrape()
    report.facts |= stage.meter.facts() | lag_facts(before, after)
    _reads(stage, report, before, after, len(missing))
    await close_all(crew, lines)


async def _miss(stage: Stage, report: Report, missing: Sequence[Line], zones: Sequence[Zone]) -> None:
    """Give each of these drivers an order, take it away, and cancel it: two entries that nobody receives."""
    if not missing:
        return
    operators = await stage.mint("admin", OPERATORS)
    customers = await stage.mint("customer", OPERATORS)
    queue = iter(missing)

    async def work(admin: Caller, customer: Caller) -> None:
        for line in queue:
            body = orjson.dumps(order_body(zones[line.zone].products))
            key = f"{stage.tag}-missed-{line.person.number}"
            made = await customer.timed(report, "order", "POST", "/api/v2/orders", body, key)
            if not made:
                continue
            path = f"/api/v2/orders/{orjson.loads(made)['id']}"
            driver = orjson.dumps({"driver_id": f"drv_{line.person.number}"})
            await admin.timed(report, "assignment", "POST", path + "/assignment", driver)
            await admin.timed(report, "release", "POST", path + "/release")
            await customer.timed(report, "cancellation", "POST", path + "/cancellation")
        admin.close()
        customer.close()

    async with asyncio.TaskGroup() as tasks:
        for admin, customer in zip(operators, customers, strict=True):
            tasks.create_task(work(Caller(admin, stage.server.url), Caller(customer, stage.server.url)))


async def _arrive(crew: Returning, missing: Sequence[Line]) -> None:
    """Entries follow the welcome at once; the last ones get a moment."""
    heard = crew.heard
    await until(lambda: all(len(heard.get(x.person.number, ())) >= len(MISSED) for x in missing), ARRIVAL_S)


def _judge(stage: Stage, report: Report, crew: Returning, count: int, missing: Sequence[Line]) -> None:
    """Everybody is back, resumed, and has exactly what it missed."""
    took_ms = report.ms([crew.connect], 0.99)
    stage.limit(report, Limit("p99 from connect to welcome, ms", took_ms, at_most=WELCOME_MS_MAX))
    stage.limit(report, Limit("resumed lines", crew.resumed, at_least=count), timing=False)
    stage.limit(report, Limit("snapshots instead", crew.snapshots, at_most=0), timing=False)
    wanted = {line.person.number: list(MISSED) for line in missing}
    numbers = crew.heard.keys() | wanted.keys()
    wrong = sum(crew.heard.get(number, []) != wanted.get(number, []) for number in numbers)
    stage.limit(report, Limit("drivers told too much or too little", wrong, at_most=0), timing=False)
    report.facts["missed_entries"] = len(missing) * len(MISSED)


def _reads(stage: Stage, report: Report, before: Samples, after: Samples, missing: int) -> None:
    """What the server read from its database for feeds, as it counts itself."""
    reads = {q: int(grown(before, after, "mall_query_seconds_count", query=q)) for q in FEED_QUERIES}
    report.facts["feed_queries"] = reads
    limit = Limit("database reads for feeds", sum(reads.values()), at_most=missing)
    stage.limit(report, limit, timing=False)
