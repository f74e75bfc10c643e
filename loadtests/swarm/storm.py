"""All connections are cut at once, and every phone comes back within half a minute.

Who missed nothing is resumed from memory: the server reads nothing from its database for it. With --missed
a share of the drivers was given an order and lost it again meanwhile, and must be told of both.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import orjson

from loadtests.kit.fixtures import LAT, LON, Zone, order_body
from loadtests.kit.metrics import Samples, grown, lag_facts
from loadtests.kit.report import Limit, LoadReport
from loadtests.kit.waiting import until
from loadtests.swarm.connecting import close_all, go_online, open_all, open_spread
from loadtests.swarm.phone import PhoneGroup, SwarmPhone
from loadtests.swarm.rest import RestClient
from loadtests.swarm.setup import SwarmSetup

WELCOME_MS_MAX = 250.0
ONLINE_PER_S = 500.0
# What the server would read for a feed: the driver's row, its log, its snapshot.
FEED_QUERIES = ("load_drivers", "feed_after", "driver_snapshot")
# An order that a driver is given and that is taken away again leaves these.
MISSED = ("order.assigned", "order.released")
OPERATORS = 8
ARRIVAL_S = 10.0
# Phones need a moment to see that their connection is gone; so does this process, for all of them.
NOTICED_S = 0.3


class Returning(PhoneGroup):
    """Phones that come back; `snapshots` were told all anew, `heard` is what arrived after the welcome."""

    def __init__(self, setup: SwarmSetup, report: LoadReport) -> None:
        super().__init__(report, setup.server.url, setup.tag)
        self.resumed = 0
        self.snapshots = 0
        self.heard: dict[int, list[str]] = {}

    def welcomed(self, phone: SwarmPhone, frame: dict[str, Any], now: float) -> None:
        """Resumed or not."""
        super().welcomed(phone, frame, now)
        self.resumed += frame["resumed"]
        self.snapshots += not frame["resumed"]

    def event(self, phone: SwarmPhone, frame: dict[str, Any]) -> None:
        """Entries by driver."""
        self.heard.setdefault(phone.person.number, []).append(frame["type"])


async def run(setup: SwarmSetup, report: LoadReport) -> None:
    """Connect, cut, come back, look."""
    options = setup.options
    group = Returning(setup, report)
    # Nothing is offered in an open zone, so no log grows but by what is done here.
    zones = await setup.open_zones(options.sockets, "open")
    phones = await setup.phones(group, zones, options.sockets)
    await open_all(phones)
    await go_online(phones, setup.chance, (LAT, LON), ONLINE_PER_S)
    before, group.connect = await setup.scrape(), "reconnect"
    setup.meter.start()
    group.resumed = group.snapshots = 0
    for phone in phones:
        phone.cut()
    await asyncio.sleep(NOTICED_S)
    missing = phones[:: round(1 / options.missed)] if options.missed else []
    await _miss(setup, report, missing, zones)
    await open_spread(phones, options.spread_s, setup.chance)
    await _arrive(group, missing)
    _judge(report, group, len(phones), missing)
    after = await setup.scrape()
    report.facts |= setup.meter.facts() | lag_facts(before, after)
    _reads(report, before, after, len(missing))
    await close_all(group, phones)


async def _miss(
    setup: SwarmSetup, report: LoadReport, missing: Sequence[SwarmPhone], zones: Sequence[Zone]
) -> None:
    """Give each of these drivers an order, take it away, and cancel it: two entries that no phone receives."""
    if not missing:
        return
    operators = await setup.mint("admin", OPERATORS)
    customers = await setup.mint("customer", OPERATORS)
    queue = iter(missing)

    async def work(admin: RestClient, customer: RestClient) -> None:
        for phone in queue:
            body = orjson.dumps(order_body(zones[phone.zone].products))
            key = f"{setup.tag}-missed-{phone.person.number}"
            made = await customer.send(report, "order", "POST", "/api/v2/orders", body, key)
            if not made:
                continue
            path = f"/api/v2/orders/{orjson.loads(made)['id']}"
            driver = orjson.dumps({"driver_id": f"drv_{phone.person.number}"})
            await admin.send(report, "assignment", "POST", path + "/assignment", driver)
            await admin.send(report, "release", "POST", path + "/release")
            await customer.send(report, "cancellation", "POST", path + "/cancellation")
        admin.close()
        customer.close()

    async with asyncio.TaskGroup() as tasks:
        for admin, customer in zip(operators, customers, strict=True):
            tasks.create_task(
                work(RestClient(admin, setup.server.url), RestClient(customer, setup.server.url))
            )


async def _arrive(group: Returning, missing: Sequence[SwarmPhone]) -> None:
    """Entries follow the welcome at once; the last ones get a moment."""
    heard = group.heard
    await until(lambda: all(len(heard.get(x.person.number, ())) >= len(MISSED) for x in missing), ARRIVAL_S)


def _judge(report: LoadReport, group: Returning, count: int, missing: Sequence[SwarmPhone]) -> None:
    """Every phone is back, resumed, and has exactly what it missed."""
    took_ms = report.ms([group.connect], 0.99)
    report.limit(Limit("p99 from connect to welcome, ms", took_ms, at_most=WELCOME_MS_MAX))
    report.limit(Limit("resumed lines", group.resumed, at_least=count), timing=False)
    report.limit(Limit("snapshots instead", group.snapshots, at_most=0), timing=False)
    wanted = {phone.person.number: list(MISSED) for phone in missing}
    numbers = group.heard.keys() | wanted.keys()
    wrong = sum(group.heard.get(number, []) != wanted.get(number, []) for number in numbers)
    report.limit(Limit("drivers told too much or too little", wrong, at_most=0), timing=False)
    report.facts["missed_entries"] = len(missing) * len(MISSED)


def _reads(report: LoadReport, before: Samples, after: Samples, missing: int) -> None:
    """What the server read from its database for feeds, as it counts itself."""
    reads = {q: int(grown(before, after, "mall_query_seconds_count", query=q)) for q in FEED_QUERIES}
    report.facts["feed_queries"] = reads
    limit = Limit("database reads for feeds", sum(reads.values()), at_most=missing)
    report.limit(limit, timing=False)
