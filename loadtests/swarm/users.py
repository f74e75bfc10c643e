"""Ten thousand users at once: drivers on sockets and customers on REST, with the think times of real apps."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from time import perf_counter
from typing import Any

from loadtests.kit.fixtures import LAT, LON, Zone
from loadtests.kit.metrics import lag_facts
from loadtests.kit.report import Limit, LoadReport, Tally
from loadtests.swarm.connecting import all_answered, close_all, open_spread
from loadtests.swarm.customers import OPERATIONS, CustomerContext, SwarmCustomer, customers
from loadtests.swarm.drivers import OFFER, REAL, ServiceTimes, WorkingDrivers
from loadtests.swarm.phone import SwarmPhone
from loadtests.swarm.rest import RestClient
from loadtests.swarm.setup import SwarmSetup

# One user in five is a driver; a zone has a hundred of them.
DRIVERS_SHARE = 0.2
DRIVERS_PER_ZONE = 100
LOCATION_S = 4.0
LOCATIONS_TICK_S = 0.02
OPERATION_MS_MAX, ORDER_MS_MAX = 500.0, 200.0
COMMANDS = ("offer.accept", "order.pickup", "order.delivery")


class CommutingDrivers(WorkingDrivers):
    """Couriers who go online as soon as they are welcome."""

    locations = 0

    def welcomed(self, phone: SwarmPhone, frame: dict[str, Any], now: float) -> None:
        """At work."""
        super().welcomed(phone, frame, now)
        phone.ask("availability", status="online")
        self.drive(phone)

    def drive(self, phone: SwarmPhone) -> None:
        """Somewhere around the store."""
        phone.locate(LAT + self.chance.uniform(-0.02, 0.02), LON + self.chance.uniform(-0.02, 0.02))

    async def drive_all(self, phones: Sequence[SwarmPhone], every_s: float) -> None:
        """A location of each phone every `every_s` seconds, evenly, until cancelled."""
        began, sent = perf_counter(), 0
        while True:
            await asyncio.sleep(LOCATIONS_TICK_S)
            due = int((perf_counter() - began) / every_s * len(phones))
            for index in range(sent, due):
                if phones[index % len(phones)].up:
                    self.drive(phones[index % len(phones)])
            self.locations, sent = self.locations + due - sent, due


def _paced(pace: ServiceTimes, factor: float) -> ServiceTimes:
    spans = [(low / factor, high / factor) for low, high in (pace.reaction_s, pace.pickup_s, pace.delivery_s)]
    return ServiceTimes(*spans)


async def run(setup: SwarmSetup, report: LoadReport) -> None:
    """Ramp up, stay, look."""
    options = setup.options
    group = CommutingDrivers(report, setup.server.url, setup.tag, setup.chance, _paced(REAL, options.factor))
    drivers = max(1, round(options.users * DRIVERS_SHARE))
    zones = await setup.open_zones(drivers, "waves", DRIVERS_PER_ZONE)
    phones = await setup.phones(group, zones, drivers)
    callers = [RestClient(p, setup.server.url) for p in await setup.mint("customer", options.users - drivers)]
    context = CustomerContext(report, setup.chance, options.factor)
    people = customers(context, callers, zones, [await _store_of(setup, zone) for zone in zones])
    async with asyncio.TaskGroup() as tasks:
        living = [tasks.create_task(person.live(_start_s(setup))) for person in people]
        driving = tasks.create_task(group.drive_all(phones, LOCATION_S / options.factor))
        try:
            await open_spread(phones, options.spread_s, setup.chance)
            await _plateau(setup, report, group, people)
        finally:
            group.over = True
            for task in (*living, driving):
                task.cancel()
    await all_answered(phones)
    _judge(report)
    await close_all(group, phones)


def _start_s(setup: SwarmSetup) -> float:
    return setup.chance.uniform(0.0, setup.options.spread_s)


async def _store_of(setup: SwarmSetup, zone: Zone) -> str:
    stores = await setup.admin.do("GET", f"/api/v2/stores?zone_id={zone.id}")
    return str(stores["items"][0]["id"])


async def _plateau(
    setup: SwarmSetup, report: LoadReport, group: CommutingDrivers, people: Sequence[SwarmCustomer]
) -> None:
    """All users are there: from here on times count. Errors of the ramp stay."""
    report.tallies = {
        name: Tally(errors=tally.errors) for name, tally in report.tallies.items() if tally.errors
    }
    group.locations = 0
    before, began = await setup.scrape(), perf_counter()
    setup.meter.start()
    await asyncio.sleep(setup.options.seconds)
    report.took_s = perf_counter() - began
    report.facts |= group.facts() | setup.meter.facts()
    report.facts |= lag_facts(before, await setup.scrape())
    done = sum(len(tally.seconds) for name, tally in report.tallies.items() if name != OFFER)
    report.facts["operations_per_s"] = round(done / report.took_s, 1)
    report.facts["locations_per_s"] = round(group.locations / report.took_s, 1)
    report.facts["connections"] = {"drivers": group.up, "customers": len(people)}
    report.facts["reconnects_after_idling"] = sum(person.caller.reconnects for person in people)


def _judge(report: LoadReport) -> None:
    everything = report.ms((*OPERATIONS, *COMMANDS), 0.99)
    report.limit(Limit("p99 of all operations, ms", everything, at_most=OPERATION_MS_MAX))
    report.limit(Limit("p99 of placing an order, ms", report.ms(["order"], 0.99), at_most=ORDER_MS_MAX))
    report.facts["offer_p99_ms"] = round(report.ms([OFFER], 0.99), 1)
