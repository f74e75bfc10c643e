"""The same call at the owner and through another instance.

One client with one request at a time asks one instance, alternately for an order that this instance owns and for
one that the other owns: whatever else the machine does hits both alike. The command sets an order's ready time,
which ends in a commit at the owner. What a forwarded call costs in processor time is measured in blocks, eight
at once, for /proc counts in hundredths of a second.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from loadtests.fleet.ownership import owners
from loadtests.fleet.setup import FleetSetup
from loadtests.kit.closed_loop import RestLoop
from loadtests.kit.keep_alive import KeepAliveClient
from loadtests.kit.report import Limit
from loadtests.kit.wire import open_wires

INSTANCES = 2
PAIRS = 2000
WARM_PAIRS = 100
# Blocks of each kind, in turn: the machine's speed changes from second to second.
BLOCKS, BLOCK_CALLS, WIDTH = 6, 2000, 8
RATIO_MAX = 1.5
KINDS = ("read", "command")


@dataclass(frozen=True, slots=True)
class Comparison:
    """One instance that is asked, orders that it owns (`here`), and orders that the other owns (`there`)."""

    setup: FleetSetup
    url: str
    here: Sequence[str]
    there: Sequence[str]

    async def alternate(self, kind: str, make: Callable[[str], bytes]) -> None:
        """One at a time: local, forwarded, local, forwarded."""
        caller, report = KeepAliveClient([self.url]), self.setup.report
        pairs = zip(itertools.cycle(self.here), itertools.cycle(self.there), strict=False)
        count = (self.setup.options.rounds or PAIRS) + WARM_PAIRS
        for number, (own, foreign) in enumerate(itertools.islice(pairs, count)):
            for name, order in ((f"{kind}, local", own), (f"{kind}, forwarded", foreign)):
                if number < WARM_PAIRS:
                    await caller.call(make(order))
                else:
                    await caller.timed(report, name, make(order))
        caller.close()

    async def cost(self, kind: str, make: Callable[[str], bytes]) -> None:
        """Processor time of both instances, and of Postgres, for a call of each sort."""
        used = {"local": [0.0, 0.0], "forwarded": [0.0, 0.0]}
        calls = min(BLOCK_CALLS, self.setup.options.rounds or BLOCK_CALLS)
        async with open_wires([self.url], WIDTH) as wires:
            for _ in range(BLOCKS):
                for sort, orders in (("local", self.here), ("forwarded", self.there)):
                    jobs = [make(order) for order in itertools.islice(itertools.cycle(orders), calls)]
                    before = self.setup.cluster.cpu_s()
                    answers = await RestLoop(wires, jobs).run()
                    for index, after in enumerate(self.setup.cluster.cpu_s()):
                        used[sort][index] += after - before[index]
                    for _ in range(len(jobs) - answers.good):
                        self.setup.report.failed(f"{kind}, {sort}", "in a block")
        for sort, (servers, postgres) in used.items():
            per = 1e6 / (BLOCKS * calls)
            text = f"instances {servers * per:.0f}, Postgres {postgres * per:.0f}"
            self.setup.report.facts[f"us of processor time, {kind}, {sort}"] = text


async def run(setup: FleetSetup) -> None:
    """Latency first, then processor time."""
    await setup.cluster.start(setup.options.instances or INSTANCES)
    await setup.cover()
    edge, report = setup.cluster.running[0], setup.report
    name, served = edge.environ["MALL_INSTANCE"], owners(await setup.cluster.holdings())
    here = [order for shard, order in setup.orders.items() if served[shard] == name]
    there = [order for shard, order in setup.orders.items() if served[shard] != name]
    comparison = Comparison(setup, edge.url, here, there)
    makers = dict(zip(KINDS, (setup.reading, setup.ready_time), strict=True))
    for kind, make in makers.items():
        await comparison.alternate(kind, make)
    for kind, make in makers.items():
        await comparison.cost(kind, make)
    for kind in KINDS:
        local, forwarded = (report.ms([f"{kind}, {where}"], 0.5) for where in ("local", "forwarded"))
        ratio = round(forwarded / local if local else 0.0, 3)
        report.facts[f"{kind}: p50 us, local and forwarded"] = [round(local * 1e3), round(forwarded * 1e3)]
        report.facts[f"{kind}: p50 forwarded over local"] = ratio
        if kind == "command":  # a read is so short that two hops between processes are a third of it
            report.limit(Limit("command: p50 forwarded over local", ratio, at_most=RATIO_MAX))
    report.limit(Limit("failed calls", report.errors, at_most=0), timing=False)
