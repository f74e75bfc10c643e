"""Redis hangs, dies, or forgets everything, under load.

Leases may be lost at any time: who owns a shard goes on serving it. (a) Valkey is stopped by a signal, later
killed and started again empty; (b) everything in it is deleted every ten seconds. Nothing may fail, and no shard
may change its epoch more than once in each part.
"""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Awaitable, Callable

from redis.asyncio import Redis

from loadtests.fleet.load import Load, open_load
from loadtests.fleet.setup import FleetSetup
from loadtests.kit.report import Limit

INSTANCES = 3
OUTAGE_S = 60.0
# Of part (b): in lengths of an outage.
FORGETFUL = 2.0
FLUSH_EVERY_S = 10.0
# All is as before when the leases were renewed a few times.
REST_S = 6.0


async def run(setup: FleetSetup) -> None:
    """Three parts, one load."""
    count = setup.options.instances or INSTANCES
    await setup.cluster.start(count)
    async with open_load(setup, setup.options.per_s) as load:
        for name, part in (("hangs", _hang), ("is killed", _die), ("forgets", _forget)):
            await _measured(setup, load, name, part)
            setup.report.done("balanced afterwards", await setup.cluster.balanced(count))
    setup.report.limit(Limit("failed commands", load.failed(), at_most=0), timing=False)


async def _measured(
    setup: FleetSetup, load: Load, name: str, part: Callable[[FleetSetup, float], Awaitable[None]]
) -> None:
    """One part: what failed in it, and how often a shard changed its epoch."""
    before, failed = await _epochs(setup), load.failed()
    await part(setup, setup.options.seconds or OUTAGE_S)
    await asyncio.sleep(REST_S)
    after = await _epochs(setup)
    grown = [after[shard] - before[shard] for shard in before]
    text = f"{load.failed() - failed} failed, {sum(map(bool, grown))} shards with another epoch"
    setup.report.facts[f"Redis {name}"] = text
    setup.report.limit(
        Limit(f"Redis {name}: changes of one shard's epoch", max(grown), at_most=1), timing=False
    )


async def _epochs(setup: FleetSetup) -> dict[int, int]:
    rows = await setup.sql.fetch("SELECT id, epoch FROM shard")
    return {row["id"]: row["epoch"] for row in rows}


async def _hang(setup: FleetSetup, seconds: float) -> None:
    """It takes connections, through the system, and answers nothing."""
    pid = setup.cluster.stores.valkey.pid
    assert pid is not None
    os.kill(pid, signal.SIGSTOP)
    try:
        await asyncio.sleep(seconds)
    finally:
        os.kill(pid, signal.SIGCONT)


async def _die(setup: FleetSetup, seconds: float) -> None:
    """It is gone, and comes back with an empty memory."""
    setup.cluster.stores.valkey.kill()
    await asyncio.sleep(seconds)
    setup.cluster.stores.valkey.start()


async def _forget(setup: FleetSetup, seconds: float) -> None:
    """Everything is deleted, again and again."""
    client = Redis.from_url(setup.cluster.stores.valkey.redis_url)
    try:
        for _ in range(max(1, int(FORGETFUL * seconds / FLUSH_EVERY_S))):
            await client.flushall()
            await asyncio.sleep(min(FLUSH_EVERY_S, seconds))
    finally:
        await client.aclose()
