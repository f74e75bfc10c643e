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

from loadtests.bench.load import Answers, RestLoop
from loadtests.fleet.stage import Stage
from loadtests.scene import Person
from loadtests.usage import cpu_s, family_cpu_s
from loadtests.verdict import Limit
from loadtests.wire import HttpWire, open_wire

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
class Measure:
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


async def run(stage: Stage) -> None:
    """Sizes in turn, as many rounds as the options say."""
    measures = {size: Measure() for size in SIZES}
    for _ in range(stage.options.rounds or ROUNDS):
        for size in SIZES:
            await _resize(stage, size)
            await _measure(stage, measures[size])
    stage.report.facts["requests in flight"] = stage.options.width
    for size, measure in measures.items():
        _tell(stage, size, measure, measures[SIZES[0]].per_s)
    failed = sum(measure.answers.failed + measure.answers.refused for measure in measures.values())
    stage.limit(Limit("acceptances that did not win", failed, at_most=0), timing=False)


async def _resize(stage: Stage, size: int) -> None:
    """Have so many instances."""
    for member in stage.fleet.running[size:]:
        await member.stop()
    await stage.fleet.start(size)


async def _measure(stage: Stage, measure: Measure) -> None:
    """One burst: fresh zones, drivers and orders, for here every slot counts."""
    seconds = stage.options.seconds or SECONDS
    jobs = await _jobs(stage, int(RATE_MAX * (seconds + WARM_S)))
    urls = stage.fleet.urls
    wires = [await open_wire(urls[index % len(urls)]) for index in range(stage.options.width)]
    first = RestLoop(wires, jobs, WARM_S)
    await first.run()
    second = RestLoop(wires, jobs[first.used :], seconds)
    flushed, before = await _flushed(stage), _cpu(stage)
    answers = await second.run()
    for index, (after, was) in enumerate(zip(_cpu(stage), before, strict=True)):
        measure.cpu[index] += after - was
    flushes, items = await _flushed(stage)
    measure.flushes += flushes - flushed[0]
    measure.items += items - flushed[1]
    measure.answers.add(answers)
    for wire in wires:
        wire.close()


async def _jobs(stage: Stage, count: int) -> list[bytes]:
    """Acceptances, the zones in turn, the drivers of a zone in turn."""
    each = min(DRIVERS * CAPACITY, count // ZONES)
    columns = []
    for _ in range(ZONES):
        zone = await stage.open_zone("open")
        drivers = await stage.mint("driver", DRIVERS, zone, CAPACITY)
        await stage.go_online(drivers)
        await _verify(stage, drivers)
        orders = await stage.place(zone, each)
        columns.append(
            [stage.acceptance(o, d) for o, d in zip(orders, itertools.cycle(drivers), strict=False)]
        )
    return [job for row in zip(*columns, strict=True) for job in row]


async def _verify(stage: Stage, drivers: Sequence[Person]) -> None:
    """Let every instance verify each signature once: none pays for it inside a measurement."""
    for url in stage.fleet.urls:
        wires: list[HttpWire] = [await open_wire(url) for _ in range(8)]
        await RestLoop(wires, [stage.availability(driver, "online") for driver in drivers]).run()
        for wire in wires:
            wire.close()


async def _flushed(stage: Stage) -> tuple[float, float]:
    """Batches that all instances have committed so far, and items in them."""
    pages = [status["flush"] for status in await stage.fleet.statuses()]
    return sum(page["count"] for page in pages), sum(page["count"] * page["items_mean"] for page in pages)


def _cpu(stage: Stage) -> tuple[float, float, float]:
    servers = sum(cpu_s(member.pid) for member in stage.fleet.running)
    return servers, family_cpu_s(stage.fleet.postgres.pid or 0), process_time()


def _tell(stage: Stage, size: int, measure: Measure, one: float) -> None:
    """A size's line of facts."""
    answers, took = measure.answers, measure.answers.took_s or 1.0
    name = f"acceptance, {size} instance{'s' if size > 1 else ''}"
    stage.report.tally(name).seconds.extend(answers.seconds)
    shares = zip(("instances", "Postgres", "generator"), measure.cpu, strict=True)
    cpu = ", ".join(f"{who} {100 * used / took:.0f} %" for who, used in shares)
    ratio = measure.per_s / one if one else 0.0
    batch = measure.items / measure.flushes if measure.flushes else 0.0
    text = (
        f"{measure.per_s:.0f} won/s, {ratio:.2f} times one; of a processor: {cpu}; {batch:.1f} items a flush"
    )
    stage.report.facts[name] = text
