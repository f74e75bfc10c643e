"""All drivers are online, and orders come at a steady rate: how long an offer takes to its drivers' sockets."""

from __future__ import annotations

from loadtests.kit.fixtures import LAT, LON
from loadtests.kit.metrics import bucket_quantile, buckets_grown, lag_facts
from loadtests.kit.report import Limit, LoadReport
from loadtests.kit.waiting import until
from loadtests.swarm.connecting import all_answered, close_all, go_online, open_all
from loadtests.swarm.drivers import BRISK, OFFER, WorkingDrivers
from loadtests.swarm.rest import RestClient, place_steadily
from loadtests.swarm.setup import SwarmSetup

OFFER_MS_MAX = 50.0
FIRST_S_MAX = 1.0
CALLERS = 64
ONLINE_PER_S = 500.0
# A driver of this pace needs 4 s for an order that it has just been offered; an offer may run out once.
FINISH_S = 30.0


async def run(setup: SwarmSetup, report: LoadReport) -> None:
    """Bring all drivers online, then place orders for the time given."""
    options = setup.options
    group = WorkingDrivers(report, setup.server.url, setup.tag, setup.chance, BRISK)
    zones = await setup.open_zones(options.sockets, options.mode)
    phones = await setup.phones(group, zones, options.sockets)
    callers = [RestClient(person, setup.server.url) for person in await setup.mint("customer", CALLERS)]
    await open_all(phones)
    await go_online(phones, setup.chance, (LAT, LON), ONLINE_PER_S)
    before = await setup.scrape()
    setup.meter.start()
    asked = await place_steadily(
        callers, zones, report, per_s=options.orders_per_s, seconds=options.seconds, chance=setup.chance
    )
    await until(lambda: group.delivered >= asked, FINISH_S)
    await all_answered(phones)
    report.facts |= group.facts() | {"orders": asked} | setup.meter.facts()
    after = await setup.scrape()
    report.facts |= lag_facts(before, after)
    report.limit(Limit("p99 from decision to socket of an offer, ms", report.ms([OFFER], 0.99), OFFER_MS_MAX))
    waits_s = buckets_grown(before, after, "mall_first_offer_seconds")
    report.facts["first_offers"] = int(waits_s[-1][1])
    first_s = bucket_quantile(waits_s, 0.99)
    report.limit(Limit("p99 from when a driver could be asked to the first offer, s", first_s, FIRST_S_MAX))
    undelivered = asked - group.delivered
    report.limit(Limit("orders not delivered", undelivered, at_most=0), timing=False)
    await close_all(group, phones)
    for caller in callers:
        caller.close()
