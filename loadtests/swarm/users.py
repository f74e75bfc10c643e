"""Ten thousand users at once: drivers on sockets and customers on REST, with the think times of real apps."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from time import perf_counter
from typing import Any

from loadtests.scene import LAT, LON, Zone
from loadtests.swarm.couriers import OFFER, REAL, Couriers, Pace
from loadtests.swarm.line import Line
from loadtests.swarm.opening import all_answered, close_all, open_spread
from loadtests.swarm.people import OPERATIONS, Customer, Mall, customers
from loadtests.swarm.rest import Caller
from loadtests.swarm.scrape import lag_facts
from loadtests.swarm.stage import Stage
from loadtests.verdict import Limit, Report, Tally

# One user in five is a driver; a zone has a hundred of them.
DRIVERS_SHARE = 0.2
DRIVERS_PER_ZONE = 100
LOCATION_S = 4.0
LOCATIONS_TICK_S = 0.02
OPERATION_MS_MAX, ORDER_MS_MAX = 500.0, 200.0
COMMANDS = ("offer.accept", "order.pickup", "order.delivery")


class Shift(Couriers):
    """Couriers who go online as soon as they are welcome."""

    locations = 0

    def welcomed(self, line: Line, frame: dict[str, Any], now: float) -> None:
        """At work."""
        super().welcomed(line, frame, now)
        line.ask("availability", status="online")
        self.drive(line)

    def drive(self, line: Line) -> None:
        """Somewhere around the store."""
        line.locate(LAT + self.chance.uniform(-0.02, 0.02), LON + self.chance.uniform(-0.02, 0.02))

    async def drive_all(self, lines: Sequence[Line], every_s: float) -> None:
        """A location of each line every so many seconds, evenly, until cancelled."""
        began, sent = perf_counter(), 0
        while True:
            await asyncio.sleep(LOCATIONS_TICK_S)
            due = int((perf_counter() - began) / every_s * len(lines))
            for index in range(sent, due):
                if lines[index % len(lines)].up:
                    self.drive(lines[index % len(lines)])
            self.locations, sent = self.locations + due - sent, due


def _paced(pace: Pace, factor: float) -> Pace:
    spans = [(low / factor, high / factor) for low, high in (pace.reaction_s, pace.pickup_s, pace.delivery_s)]
    return Pace(*spans)


async def run(stage: Stage, report: Report) -> None:
    """Ramp up, stay, look."""
    options = stage.options
    crew = Shift(report, stage.server.url, stage.tag, stage.chance, _paced(REAL, options.factor))
    drivers = max(1, round(options.users * DRIVERS_SHARE))
    zones = await stage.open_zones(drivers, "waves", DRIVERS_PER_ZONE)
    lines = await stage.lines(crew, zones, drivers)
    callers = [Caller(p, stage.server.url) for p in await stage.mint("customer", options.users - drivers)]
    mall = Mall(report, stage.chance, options.factor)
    people = customers(mall, callers, zones, [await _store_of(stage, zone) for zone in zones])
    async with asyncio.TaskGroup() as tasks:
        living = [tasks.create_task(person.live(_start_s(stage))) for person in people]
        driving = tasks.create_task(crew.drive_all(lines, LOCATION_S / options.factor))
        try:
            await open_spread(lines, options.spread_s, stage.chance)
            await _plateau(stage, report, crew, people)
        finally:
            crew.over = True
            for task in (*living, driving):
                task.cancel()
    await all_answered(lines)
    _judge(stage, report)
    await close_all(crew, lines)


def _start_s(stage: Stage) -> float:
    return stage.chance.uniform(0.0, stage.options.spread_s)


async def _store_of(stage: Stage, zone: Zone) -> str:
    stores = await stage.admin.do("GET", f"/api/v2/stores?zone_id={zone.id}")
    return str(stores["items"][0]["id"])


async def _plateau(stage: Stage, report: Report, crew: Shift, people: Sequence[Customer]) -> None:
    """Everybody is there: from here on times count. Errors of the ramp stay."""
    report.tallies = {
        name: Tally(errors=tally.errors) for name, tally in report.tallies.items() if tally.errors
    }
    crew.locations, crew.boards = 0, 0
    before, began = await stage.scrape(), perf_counter()
    stage.meter.start()
    await asyncio.sleep(stage.options.seconds)
    report.took_s = perf_counter() - began
    report.facts |= crew.facts() | stage.meter.facts()
    report.facts |= lag_facts(before, await stage.scrape())
    done = sum(len(tally.seconds) for name, tally in report.tallies.items() if name != OFFER)
    report.facts["operations_per_s"] = round(done / report.took_s, 1)
    report.facts["locations_per_s"] = round(crew.locations / report.took_s, 1)
    report.facts["connections"] = {"drivers": crew.up, "customers": len(people)}
    report.facts["reconnects_after_idling"] = sum(person.caller.reconnects for person in people)


def _judge(stage: Stage, report: Report) -> None:
    everything = report.ms((*OPERATIONS, *COMMANDS), 0.99)
    stage.limit(report, Limit("p99 of all operations, ms", everything, at_most=OPERATION_MS_MAX))
    stage.limit(
        report, Limit("p99 of placing an order, ms", report.ms(["order"], 0.99), at_most=ORDER_MS_MAX)
    )
    report.facts["offer_p99_ms"] = round(report.ms([OFFER], 0.99), 1)
