"""Reads of a shard whose lease is in another name wait for the journal's word."""

from __future__ import annotations

import asyncio

from tests.simulation.loop import simulated
from tests.simulation.node import Host
from tests.simulation.wires import Faults
from tests.simulation.world import World

# A lease of somebody who is gone, as a replica may remember it: long enough to be seen by a tick.
GHOST, GHOST_S = "ghost.1", 3.0


def _owner(world: World, shard: int) -> Host:
    return next(
        h for h in world.hosts if h.dispatch is not None and h.dispatch.runtime.cells.owned[shard] is not None
    )


async def _story() -> list[int]:
    """Doubts of the owner: before, with a lease in another name, and after it ended."""
    faults = Faults()
    faults.calm()
    world = World(1, faults)
    counted: list[int] = []
    async with asyncio.TaskGroup() as tasks:
        lives = [tasks.create_task(host.live()) for host in world.hosts]
        await asyncio.sleep(15.0)
        shard = world.hosts[0].dispatch.runtime.cells.held()[0]  # type: ignore[union-attr]
        reconciler = _owner(world, shard).cluster.reconciler  # type: ignore[union-attr]
        sure = reconciler.runtime.read_fence.sure

        def ask() -> None:
            sure(shard)
            counted.append(reconciler.counts["doubts"])

        ask()
        world.table._known.leases[shard] = (GHOST, round((world.loop.time() + GHOST_S) * 1000))
        await asyncio.sleep(1.5)
        ask()
        await asyncio.sleep(GHOST_S)
        ask()
        assert reconciler.runtime.cells.owned[shard] is not None, "it served all the time"
        for life in lives:
            life.cancel()
    return counted


def test_read_of_a_shard_whose_lease_is_in_another_name_is_in_doubt_until_it_is_ours_again() -> None:
    with simulated(1) as loop:
        before, during, after = loop.run_until_complete(_story())
    assert (during - before, after - during) == (1, 0)
