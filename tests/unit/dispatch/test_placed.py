"""An order that was just placed: its zone hears of it once, and where nobody of this instance has heard, again."""

from __future__ import annotations

import asyncio

import pytest

from actors.clock import LoopClock, SystemRandomness
from actors.messages import Emit, Seed
from actors.runtime import Runtime
from actors.shards import shard_of
from dispatch import messages as m
from dispatch.domain import order as o
from dispatch.order_actor import MADE, OrderBehaviour, order_ref
from dispatch.zone_actor import ZoneBehaviour, zone_ref
from storage.memory.journal import MemoryJournal
from tests.support.waiting import until
from tests.unit.dispatch.test_order_decisions import order


class Deaf:
    """Nobody listens."""

    def emit(self, emit: Emit, trace: str) -> None:
        pass


@pytest.mark.parametrize("zone_is_here", [True, False])
async def test_order_is_due_again_only_where_its_zone_is_elsewhere(*, zone_is_here: bool) -> None:
    clock = LoopClock(asyncio.get_running_loop())
    journal = MemoryJournal(clock.wall)
    journal.add_zone(1)
    runtime = Runtime(
        instance="one", behaviours=[OrderBehaviour(), ZoneBehaviour()], journal=journal, emitter=Deaf(), clock=clock,
        entropy=SystemRandomness(),
    )  # fmt: skip
    placed = order(o.CONFIRMED, due_ms=1)
    mine, its = order_ref(placed.id), zone_ref(placed.facts.zone_id)
    assert shard_of(mine) != shard_of(its)
    async with runtime.running():
        if not zone_is_here:
            runtime.surrender(shard_of(its))
        runtime.tell(mine, m.Created(), seed=Seed(clock.monotonic(), {MADE: placed}))
        assert await runtime.ask(mine, m.View()) is placed
        if not zone_is_here:
            await until(lambda: runtime.counters.timers_fired == 1)
        assert len(runtime.timers) == 0
        assert runtime.counters.timers_fired == (0 if zone_is_here else 1)
