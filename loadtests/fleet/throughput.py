"""Acceptances per second with one, two and four instances on this machine.

Prepared open orders, each accepted once, with tokens that every instance has verified before; the connections are
spread over all instances, and so are the orders, so that with n instances all but one in n are forwarded. The
sizes take turns, round after round, on one Postgres. No limit: instances, Postgres and generator share the
machine, whose processors are the limit; more instances mean more and smaller commits.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, field
from time import process_time

from loadtests.fleet.setup import FleetSetup
from loadtests.kit.closed_loop import Answers, RestLoop
from loadtests.kit.database_setup import run_once
from loadtests.kit.fixtures import MintedUser
from loadtests.kit.report import Limit
from loadtests.kit.wire import open_wires

SIZES = (1, 2, 4)
ROUNDS = 2
SECONDS = 3.0
WARM_S = 0.5
# A little more than any size answers in a second on two cores: orders are made before the clock starts.
RATE_MAX = 6000
ZONES, DRIVERS = 16, 100
# The column's limit: a round's winners must find room.
CAPACITY = 20


@dataclass(slots=True)
class SizeMeasure:
    """What one size has reached, over all rounds.

    Attributes:
        cpu: processor seconds of instances, Postgres, generator.
        flushes, items: batches that were committed, and what was in them.
    """

    answers: Answers = field(default_factory=Answers)
    flushes: float = 0.0
    items: float = 0.0
    cpu: list[float] = field(default_factory=lambda: [0.0, 0.0, 0.0])

    @property
    def per_s(self) -> float:
        return self.answers.good / self.answers.took_s if self.answers.took_s else 0.0


async def run(setup: FleetSetup) -> None:
    """Sizes in turn, as many rounds as the options say."""
    measures = {size: SizeMeasure() for size in SIZES}
    for _ in range(setup.options.rounds or ROUNDS):
        for size in SIZES:
            await _resize(setup, size)
            await _measure(setup, measures[size])
    setup.report.facts["requests in flight"] = setup.options.width
    for size, measure in measures.items():
        _tell(setup, size, measure, measures[SIZES[0]].per_s)
    failed = sum(measure.answers.failed + measure.answers.refused for measure in measures.values())
    setup.report.limit(Limit("acceptances that did not win", failed, at_most=0), timing=False)


async def _resize(setup: FleetSetup, size: int) -> None:
    """Have `size` instances."""
    for member in setup.cluster.running[size:]:
        await member.stop()
    await setup.cluster.start(size)


async def _measure(setup: FleetSetup, measure: SizeMeasure) -> None:
    """One burst: fresh zones, drivers and orders, for here every slot counts."""
    seconds = setup.options.seconds or SECONDS
    jobs = await _jobs(setup, int(RATE_MAX * (seconds + WARM_S)))
    async with open_wires(setup.cluster.urls, setup.options.width) as wires:
        first = RestLoop(wires, jobs, WARM_S)
        await first.run()
        second = RestLoop(wires, jobs[first.used :], seconds)
        flushed, before = await _flushed(setup), (*setup.cluster.cpu_s(), process_time())
        answers = await second.run()
        for index, after in enumerate((*setup.cluster.cpu_s(), process_time())):
            measure.cpu[index] += after - before[index]
        flushes, items = await _flushed(setup)
    measure.flushes += flushes - flushed[0]
    measure.items += items - flushed[1]
    measure.answers.add(answers)


async def _jobs(setup: FleetSetup, count: int) -> list[bytes]:
    """Acceptances, the zones in turn, the drivers of a zone in turn."""
    each = min(DRIVERS * CAPACITY, count // ZONES)
    columns = []
    for _ in range(ZONES):
        zone = await setup.open_zone("open")
        drivers = await setup.mint("driver", DRIVERS, zone, CAPACITY)
        await setup.go_online(drivers)
        await _verify(setup, drivers)
        orders = await setup.place(zone, each)
        columns.append(
            [setup.acceptance(o, d) for o, d in zip(orders, itertools.cycle(drivers), strict=False)]
        )
    return [job for row in zip(*columns, strict=True) for job in row]


async def _verify(setup: FleetSetup, drivers: Sequence[MintedUser]) -> None:
    """Let every instance verify each signature once: none pays for it inside a measurement."""
    for url in setup.cluster.urls:
        await run_once([url], [setup.availability(driver, "online") for driver in drivers], 8)


async def _flushed(setup: FleetSetup) -> tuple[float, float]:
    """Batches that all instances have committed so far, and items in them."""
    pages = [status["flush"] for status in await setup.cluster.statuses()]
    return sum(page["count"] for page in pages), sum(page["count"] * page["items_mean"] for page in pages)


def _tell(setup: FleetSetup, size: int, measure: SizeMeasure, one: float) -> None:
    """A size's line of facts."""
    answers, took = measure.answers, measure.answers.took_s or 1.0
    name = f"acceptance, {size} instance{'s' if size > 1 else ''}"
    setup.report.tally(name).seconds.extend(answers.seconds)
    shares = zip(("instances", "Postgres", "generator"), measure.cpu, strict=True)
    cpu = ", ".join(f"{who} {100 * used / took:.0f} %" for who, used in shares)
    ratio = measure.per_s / one if one else 0.0
    batch = measure.items / measure.flushes if measure.flushes else 0.0
    text = (
        f"{measure.per_s:.0f} won/s, {ratio:.2f} times one; of a processor: {cpu}; {batch:.1f} items a flush"
    )
    setup.report.facts[name] = text
