"""The same call at the owner and through another instance.

One client with one request at a time asks one instance, alternately for an order that this instance owns and for
one that the other owns: whatever else the machine does hits both alike. The command sets an order's ready time,
which ends in a commit at the owner. What a forwarded call costs in processor time is measured in blocks, eight
at once, for /proc counts in hundredths of a second.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence

from loadtests.bench.load import RestLoop
from loadtests.fleet.connection import Caller
from loadtests.fleet.ownership import owners
from loadtests.fleet.stage import Stage
from loadtests.usage import cpu_s, family_cpu_s
from loadtests.verdict import Limit
from loadtests.wire import open_wire

INSTANCES = 2
PAIRS = 2000
WARM_PAIRS = 100
# Blocks of each kind, in turn: the machine's speed changes from second to second.
BLOCKS, BLOCK_CALLS, WIDTH = 6, 2000, 8
RATIO_MAX = 1.5
KINDS = ("read", "command")


async def run(stage: Stage) -> None:
    """Latency first, then processor time."""
    count = stage.options.instances or INSTANCES
    await stage.fleet.start(count)
    await stage.cover()
    edge = stage.fleet.running[0]
    served = owners(await stage.fleet.holdings())
    name = edge.environ["MALL_INSTANCE"]
    here = [order for shard, order in stage.orders.items() if served[shard] == name]
    there = [order for shard, order in stage.orders.items() if served[shard] != name]
    makers = dict(zip(KINDS, (stage.reading, stage.ready_time), strict=True))
    for kind, make in makers.items():
        await _alternate(stage, edge.url, kind, make, here, there)
    for kind, make in makers.items():
        await _cost(stage, edge.url, kind, make, here, there)
    for kind in KINDS:
        local, forwarded = (stage.report.ms([f"{kind}, {where}"], 0.5) for where in ("local", "forwarded"))
        ratio = forwarded / local if local else 0.0
        stage.report.facts[f"{kind}: p50 us, local and forwarded"] = [
            round(local * 1e3),
            round(forwarded * 1e3),
        ]
        stage.report.facts[f"{kind}: p50 forwarded over local"] = round(ratio, 3)
        if kind == "command":  # a read is so short that two hops between processes are a third of it
            stage.limit(Limit("command: p50 forwarded over local", round(ratio, 3), at_most=RATIO_MAX))
    failed = sum(tally.failed for tally in stage.report.tallies.values())
    stage.limit(Limit("failed calls", failed, at_most=0), timing=False)


async def _alternate(
    stage: Stage, url: str, kind: str, make: Callable[[str], bytes], here: Sequence[str], there: Sequence[str]
) -> None:
    """One at a time: local, forwarded, local, forwarded."""
    caller = Caller([url])
    pairs = zip(itertools.cycle(here), itertools.cycle(there), strict=False)
    for number, (own, foreign) in zip(
        range((stage.options.rounds or PAIRS) + WARM_PAIRS), pairs, strict=False
    ):
        requests = [(f"{kind}, local", make(own)), (f"{kind}, forwarded", make(foreign))]
        for name, request in requests:
            if number < WARM_PAIRS:
                await caller.call(request)
            else:
                await caller.timed(stage.report, name, request)
    caller.close()


async def _cost(
    stage: Stage, url: str, kind: str, make: Callable[[str], bytes], here: Sequence[str], there: Sequence[str]
) -> None:
    """Processor time of both instances, and of Postgres, for a call of each sort."""
    wires = [await open_wire(url) for _ in range(WIDTH)]
    used = {"local": [0.0, 0.0], "forwarded": [0.0, 0.0]}
    calls = min(BLOCK_CALLS, stage.options.rounds or BLOCK_CALLS)
    for _ in range(BLOCKS):
        for sort, orders in (("local", here), ("forwarded", there)):
            jobs = [make(order) for order, _ in zip(itertools.cycle(orders), range(calls), strict=False)]
            before = _cpu(stage)
            answers = await RestLoop(wires, jobs).run()
            for index, (after, was) in enumerate(zip(_cpu(stage), before, strict=True)):
                used[sort][index] += after - was
            for _ in range(len(jobs) - answers.good):
                stage.report.failed(f"{kind}, {sort}", "in a block")
    for wire in wires:
        wire.close()
    for sort, (servers, postgres) in used.items():
        per = 1e6 / (BLOCKS * calls)
        text = f"instances {servers * per:.0f}, Postgres {postgres * per:.0f}"
        stage.report.facts[f"us of processor time, {kind}, {sort}"] = text


def _cpu(stage: Stage) -> tuple[float, float]:
    servers = sum(cpu_s(member.pid) for member in stage.fleet.running)
    return servers, family_cpu_s(stage.fleet.postgres.pid or 0)
