"""An instance that comes back as a newer version takes more than its share while older ones are there."""

from __future__ import annotations

import asyncio

from actors.shards import SHARD_COUNT
from tests.simulation.loop import simulated
from tests.simulation.wires import Faults
from tests.simulation.world import HOSTS, World

# Longer than it takes to come, to be believed and to be handed shards eight at a time.
SETTLES_S = 30.0


async def _story() -> list[list[int]]:
    """Shards by instance: all of one version, then one of a newer one, then two, then all."""
    faults = Faults()
    faults.calm()
    world = World(2, faults)
    counted: list[list[int]] = []
    async with asyncio.TaskGroup() as tasks:
        lives = [tasks.create_task(host.live()) for host in world.hosts]
        for host in (None, *world.hosts):
            if host is not None:
                host.drain(0.5)
            await asyncio.sleep(SETTLES_S)
            counted.append([len(h.dispatch.runtime.cells.held()) for h in world.hosts])  # type: ignore[union-attr]
        for life in lives:
            life.cancel()
    return counted


def test_newer_version_is_handed_more_until_everybody_is_of_it() -> None:
    with simulated(2) as loop:
        before, one, two, everybody = loop.run_until_complete(_story())
    most = -(-SHARD_COUNT * 5 // (4 * HOSTS))
    assert sorted(before) == sorted(everybody) == [85, 85, 86]
    assert one[0] == most
    assert two[:2] == [most, most]
    assert sum(one) == sum(two) == SHARD_COUNT
