"""Everybody is online, and orders come at a steady rate: how long an offer takes to its drivers' sockets."""

from __future__ import annotations

from loadtests.scene import LAT, LON
from loadtests.swarm.couriers import BRISK, OFFER, Couriers
from loadtests.swarm.opening import all_answered, close_all, go_online, open_all, until
from loadtests.swarm.rest import Caller, place_steadily
from loadtests.swarm.scrape import lag_facts
from loadtests.swarm.stage import Stage
from loadtests.verdict import Limit, Report

OFFER_MS_MAX = 50.0
CALLERS = 64
ONLINE_PER_S = 500.0
# A driver of this pace needs 4 s for an order that it has just been offered; an offer may run out once.
FINISH_S = 30.0


async def run(stage: Stage, report: Report) -> None:
    """Bring everybody online, then place orders for the time given."""
    options = stage.options
    crew = Couriers(report, stage.server.url, stage.tag, stage.chance, BRISK)
    zones = await stage.open_zones(options.sockets, "waves")
    lines = await stage.lines(crew, zones, options.sockets)
    callers = [Caller(person, stage.server.url) for person in await stage.mint("customer", CALLERS)]
    await open_all(lines)
    await go_online(lines, stage.chance, (LAT, LON), ONLINE_PER_S)
    before = await stage.scrape()
    stage.meter.start()
    asked = await place_steadily(
        callers, zones, report, per_s=options.orders_per_s, seconds=options.seconds, chance=stage.chance
    )
    await until(lambda: crew.delivered >= asked, FINISH_S)
    await all_answered(lines)
    report.facts |= crew.facts() | {"orders": asked} | stage.meter.facts()
    report.facts |= lag_facts(before, await stage.scrape())
    stage.limit(
        report, Limit("p99 from decision to socket of an offer, ms", report.ms([OFFER], 0.99), OFFER_MS_MAX)
    )
    undelivered = asked - crew.delivered
    stage.limit(report, Limit("orders not delivered", undelivered, at_most=0), timing=False)
    await close_all(crew, lines)
    for caller in callers:
        caller.close()
