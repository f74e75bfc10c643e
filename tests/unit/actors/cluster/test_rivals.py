"""Two lives under one name: the one that began earlier ends."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

import pytest

from actors.clock import LoopClock, SystemRandomness
from actors.cluster.codec import Codec
from actors.cluster.node import Cluster
from actors.cluster.transport import Ended, Greeting, Link, LinkLost, Receive
from actors.messages import Emit
from actors.runtime import Runtime
from storage.memory.journal import MemoryJournal
from storage.memory.leases import LeaseTable, MemoryLeases


class Alone:
    """Peers are out of reach."""

    @asynccontextmanager
    async def serving(self, me: Greeting, receive: Receive, ended: Ended) -> AsyncIterator[str]:
        yield f"{me.incarnation}:1"

    async def dial(self, address: str, me: Greeting, receive: Receive, ended: Ended) -> Link:
        raise LinkLost("refused", refused=True)


class Deaf:
    """Nobody listens."""

    def emit(self, emit: Emit, trace: str) -> None:
        pass


@asynccontextmanager
async def _living(table: LeaseTable, life: int, wall_s: float) -> AsyncIterator[asyncio.Event]:
    """A life of the instance `mall` on a machine whose clock shows `wall_s`; yields what is set when it should end."""
    clock, entropy, ended = LoopClock(asyncio.get_running_loop(), wall_s), SystemRandomness(), asyncio.Event()
    me = Greeting("mall", f"mall.{life}")
    cluster = Cluster(
        me=me, transport=Alone(), leases=MemoryLeases(table, clock.boot, entropy), emitter=Deaf(), codec=Codec(()),
        clock=clock, entropy=entropy, life=life, usurped=ended.set,
    )  # fmt: skip
    runtime = Runtime(
        instance=me.instance, incarnation=me.incarnation, behaviours=[], journal=MemoryJournal(clock.wall),
        emitter=cluster.peers, peers=cluster.forwarding, clock=clock, entropy=entropy, lost=cluster.lost,
    )  # fmt: skip
    cluster.attach(runtime)
    async with runtime.running(), cluster.running():
        await cluster.reconciler.next_tick()
        yield ended


@pytest.mark.parametrize("ahead_s", [-600.0, 600.0])
async def test_earlier_life_ends_whatever_the_clocks_say(ahead_s: float) -> None:
    table = LeaseTable(asyncio.get_running_loop().time)
    async with AsyncExitStack() as stack:
        earlier = await stack.enter_async_context(_living(table, 1, 1_800_000_000.0 + ahead_s))
        later = await stack.enter_async_context(_living(table, 2, 1_800_000_000.0))
        await asyncio.wait_for(earlier.wait(), 30)
        assert not later.is_set()
