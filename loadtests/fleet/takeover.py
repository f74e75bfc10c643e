"""kill -9 of one instance after the other: when everything it held answers again.

Clients of the survivors keep a light load over all shards. From the moment of each kill one probe for each shard
of the victim sends a keyed command, through one survivor or another, at most ten a second; the takeover is over
when the last of them has its first good answer. Then the victim starts again, and the next kill waits until all
have their share of the shards.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from time import perf_counter

from loadtests.fleet.load import NAMES, Load, open_load
from loadtests.fleet.probes import ShardProbe, connect_all
from loadtests.fleet.setup import FleetSetup
from loadtests.kit.report import Limit
from loadtests.kit.server import ServerProcess

INSTANCES = 4
PACE_S = 0.1
# Anything longer is a takeover that does not come.
PATIENCE_S = 60.0
# The phase of the kill against the leases' ticks is not ours to choose.
PAUSE_S = (0.2, 1.2)
ALL, EACH = "all shards of a victim", "a shard of a victim"
LIMITS_S = (("p50", 0.5, 2.0), ("p95", 0.95, 4.0), ("max", 1.0, 7.0))


async def run(setup: FleetSetup) -> None:
    """Kill as often as the options say."""
    count = setup.options.instances or INSTANCES
    await setup.cluster.start(count)
    told: Counter[str] = Counter()
    async with open_load(setup, setup.options.per_s) as load:
        for number in range(setup.options.kills):
            victim = list(setup.cluster.members.values())[number % count]
            await _kill(setup, load, victim, told)
            await victim.start()
            setup.report.done("balanced after start", await setup.cluster.balanced(count))
            await asyncio.sleep(setup.chance.uniform(*PAUSE_S))
    facts = setup.report.facts
    facts["instances"], facts["kills"] = count, setup.options.kills
    facts["probes meanwhile"] = dict(told.most_common())
    facts["load's failures"] = f"{load.failed()} of {_calls(setup)}: reported, without a limit"
    for name, share, most_s in LIMITS_S:
        setup.report.limit(Limit(f"takeover {name} ms", setup.report.ms([ALL], share), at_most=most_s * 1000))
    taken = len(setup.report.tally(ALL).seconds)
    setup.report.limit(Limit("takeovers that ended", taken, at_least=setup.options.kills), timing=False)


def _calls(setup: FleetSetup) -> int:
    tallies = [setup.report.tally(name) for name in NAMES]
    return sum(len(tally.seconds) + tally.failed for tally in tallies)


async def _kill(setup: FleetSetup, load: Load, victim: ServerProcess, told: Counter[str]) -> None:
    """One kill, measured."""
    others = [member.url for member in setup.cluster.running if member is not victim]
    await load.use(others)
    name = victim.environ["MALL_INSTANCE"]
    held = next(holding.epochs for holding in await setup.cluster.holdings() if holding.instance == name)
    probes = [_probe(setup, shard, others[index % len(others)]) for index, shard in enumerate(sorted(held))]
    await connect_all(probes)
    began = perf_counter()
    await victim.kill()
    try:
        async with asyncio.timeout(PATIENCE_S), asyncio.TaskGroup() as tasks:
            waits = [tasks.create_task(_wait(p, began, i / len(probes))) for i, p in enumerate(probes)]
    except TimeoutError:
        setup.report.failed(ALL, f"not within {PATIENCE_S:.0f} s")
    else:
        for wait in waits:
            setup.report.done(EACH, wait.result())
        setup.report.done(ALL, max(wait.result() for wait in waits))
    finally:
        for probe in probes:
            told.update(probe.failed)
            probe.caller.close()


async def _wait(probe: ShardProbe, began: float, phase: float) -> float:
    """The seconds from the kill to the shard's first good answer."""
    await asyncio.sleep(phase * PACE_S)
    return await probe.until_good(began)


def _probe(setup: FleetSetup, shard: int, url: str) -> ShardProbe:
    order = setup.orders[shard]
    return ShardProbe(shard, lambda: setup.ready_time(order), [url], PACE_S)
