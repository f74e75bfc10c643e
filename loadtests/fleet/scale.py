"""Two instances, four, two again: what moves, and for how long a shard is silent.

Which shards will move is known beforehand (placement depends on names alone). Of these, some are probed: reads of
one order each, over and over, at an instance that stays. The gap of a shard is the longest time between two good
answers of its probe, from before the change until all is balanced; it includes the probe's own pace. Callers
spread over all instances; who finds an instance gone tries the next address, as a balancer would.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from time import perf_counter

from actors.cluster.placement import desired
from loadtests.fleet.load import Load, open_load
from loadtests.fleet.ownership import ideal_moves, moved, owners
from loadtests.fleet.probes import ShardProbe, connect_all
from loadtests.fleet.setup import FleetSetup
from loadtests.kit.report import Limit
from loadtests.kit.server import ServerProcess

FEWER, MORE = 2, 4
ROUNDS = 3
# 48 probes, 20 reads a second each: a thousand reads a second are a small part of what two instances carry, and
# 50 ms is a small part of the limit.
PROBES = 48
PACE_S = 0.05
REST_S = 1.0
GAP, PROBE = "silence of a moved shard", "probe"
GAP_P99_MS = 250.0
MOVED_MOST = 1.1


async def run(setup: FleetSetup) -> None:
    """As many rounds as the options say."""
    cluster = setup.cluster
    await cluster.start(FEWER)
    names = list(cluster.members)
    more = [f"mall-{number}" for number in range(1, MORE + 1)]
    before, after = desired(names), desired(more)
    moving = [shard for shard, owner in enumerate(before) if owner != after[shard]]
    stay = cluster.urls
    setup.report.facts["probed shards"] = f"{min(PROBES, len(moving))} of {len(moving)} that should move"
    async with open_load(setup, setup.options.per_s) as load:
        probes = [
            _probe(setup, shard, stay[index % len(stay)])
            for index, shard in enumerate(setup.chance.sample(moving, min(PROBES, len(moving))))
        ]
        await connect_all(probes)
        async with _watched(probes):
            for _ in range(setup.options.rounds or ROUNDS):
                await _change(setup, load, probes, grow=True)
                await _change(setup, load, probes, grow=False)
    failed = setup.report.tally(PROBE).failed + load.failed()
    setup.report.limit(Limit("failed commands", failed, at_most=0), timing=False)
    setup.report.limit(
        Limit("silence of a moved shard, p99 ms", setup.report.ms([GAP], 0.99), at_most=GAP_P99_MS)
    )


def _probe(setup: FleetSetup, shard: int, url: str) -> ShardProbe:
    order = setup.orders[shard]
    return ShardProbe(shard, lambda: setup.reading(order), [url], PACE_S)


@asynccontextmanager
async def _watched(probes: Sequence[ShardProbe]) -> AsyncIterator[None]:
    """All probes at work until the block ends."""
    over = asyncio.Event()
    async with asyncio.TaskGroup() as tasks:
        for index, probe in enumerate(probes):
            tasks.create_task(probe.watch(over, index / len(probes)))
        try:
            yield
        finally:
            over.set()
    for probe in probes:
        probe.caller.close()


async def _change(setup: FleetSetup, load: Load, probes: Sequence[ShardProbe], *, grow: bool) -> None:
    """From two to four or back, measured from before the first step until all is balanced."""
    cluster, report = setup.cluster, setup.report
    before = owners(await cluster.holdings())
    for probe in probes:
        probe.begin()
    began = perf_counter()
    if grow:
        await cluster.start(MORE)
    else:
        await _leave([cluster.members[f"mall-{number}"] for number in range(FEWER + 1, MORE + 1)])
        await cluster.balanced(FEWER)
    step = f"{FEWER} to {MORE}" if grow else f"{MORE} to {FEWER}"
    report.done(f"{step}, balanced", perf_counter() - began)
    # An answer of every probe after the change, so that a silence that has not ended is not missed.
    await asyncio.sleep(REST_S)
    gone = moved(before, owners(await cluster.holdings()))
    for probe in probes:
        if probe.shard in gone:
            report.done(GAP, probe.longest_s)
        for fault in probe.failed:
            report.failed(PROBE, fault)
    ideal = ideal_moves(FEWER, MORE)
    setup.report.limit(
        Limit(f"{step}: moved of ideally {ideal}", len(gone), at_most=MOVED_MOST * ideal), timing=False
    )
    if grow:
        load.spread(cluster.urls)


async def _leave(members: Sequence[ServerProcess]) -> None:
    """SIGTERM to all of these at once; returns when they are gone."""
    async with asyncio.TaskGroup() as tasks:
        for member in members:
            tasks.create_task(member.stop())
