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
from loadtests.fleet.stage import Stage
from loadtests.verdict import Limit

INSTANCES = 3
OUTAGE_S = 60.0
# Of part (b): so many times the length of an outage.
FORGETFUL = 2.0
FLUSH_EVERY_S = 10.0
# All is as before when the leases were renewed a few times.
REST_S = 6.0


async def run(stage: Stage) -> None:
    """Three parts, one load."""
    count = stage.options.instances or INSTANCES
    await stage.fleet.start(count)
    async with open_load(stage, stage.options.per_s) as load:
        for name, part in (("hangs", _hang), ("is killed", _die), ("forgets", _forget)):
            await _measured(stage, load, name, part)
            stage.report.done("balanced afterwards", await stage.fleet.balanced(count))
    stage.limit(Limit("failed commands", load.failed(), at_most=0), timing=False)


async def _measured(
    stage: Stage, load: Load, name: str, part: Callable[[Stage, float], Awaitable[None]]
) -> None:
    """One part: what failed in it, and how often a shard changed its epoch."""
    before, failed = await _epochs(stage), load.failed()
    await part(stage, stage.options.seconds or OUTAGE_S)
    await asyncio.sleep(REST_S)
    after = await _epochs(stage)
    grown = [after[shard] - before[shard] for shard in before]
    text = f"{load.failed() - failed} failed, {sum(map(bool, grown))} shards with another epoch"
    stage.report.facts[f"Redis {name}"] = text
    stage.limit(Limit(f"Redis {name}: changes of one shard's epoch", max(grown), at_most=1), timing=False)


async def _epochs(stage: Stage) -> dict[int, int]:
    rows = await stage.sql.fetch("SELECT id, epoch FROM shard")
    return {row["id"]: row["epoch"] for row in rows}


async def _hang(stage: Stage, seconds: float) -> None:
    """It takes connections, through the system, and answers nothing."""
    pid = stage.fleet.valkey.pid
    assert pid is not None
    os.kill(pid, signal.SIGSTOP)
    try:
        await asyncio.sleep(seconds)
    finally:
        os.kill(pid, signal.SIGCONT)


async def _die(stage: Stage, seconds: float) -> None:
    """It is gone, and comes back with an empty memory."""
    stage.fleet.valkey.kill()
    await asyncio.sleep(seconds)
    stage.fleet.valkey.start()


async def _forget(stage: Stage, seconds: float) -> None:
    """Everything is deleted, again and again."""
    client = Redis.from_url(stage.fleet.valkey.redis_url)
    try:
        for _ in range(max(1, int(FORGETFUL * seconds / FLUSH_EVERY_S))):
            await client.flushall()
            await asyncio.sleep(min(FLUSH_EVERY_S, seconds))
    finally:
        await client.aclose()
