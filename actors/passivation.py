"""Passivation: actors that nobody talks to leave memory. Nothing is lost by it: the row is the record.

The sweep visits a few shards at a time, so that 100,000 cells never cost one long pause, and evicts the
longest unused above a cap.
"""

from __future__ import annotations

import asyncio

from actors.cell import READY, Cell
from actors.cell_table import CellTable
from actors.clock import Clock
from actors.counters import Counters
from actors.shards import Ownership

# Every shard is visited once in SHARDS / SHARDS_PER_STEP * STEP_S seconds: 256 / 8 * 0.25 = 8 s.
STEP_S = 0.25
SHARDS_PER_STEP = 8


def may_leave(cell: Cell, now: float, *, at_once: bool = False) -> bool:
    """True when nothing waits in or for the cell and it was idle for long enough.

    Check and removal happen without an await between: no message can be lost.
    """
    if cell.status != READY or cell.waiting or cell.queued:
        return False
    idle_s = cell.behaviour.idle_s(cell.state)
    return idle_s is not None and (at_once or now - cell.used_at >= idle_s)


class Passivation:
    """Removes idle cells, shard by shard."""

    def __init__(self, clock: Clock, counters: Counters, cells: CellTable, cells_max: int) -> None:
        self._clock = clock
        self._counters = counters
        self._cells = cells
        self._cells_max = cells_max

    async def run(self) -> None:
        """Sweep until cancelled."""
        at = 0
        while True:
            await asyncio.sleep(STEP_S)
            owned = self._cells.owned
            for _ in range(SHARDS_PER_STEP):
                ownership = owned[at]
                if ownership is not None:
                    self.sweep(ownership)
                at = (at + 1) % len(owned)

    def sweep(self, ownership: Ownership) -> None:
        """Passivate what is idle in one shard, then the longest unused above the shard's share."""
        now = self._clock.monotonic()
        for cell in [c for c in ownership.cells.values() if may_leave(c, now)]:
            del ownership.cells[cell.id]
            self._counters.passivations["idle"] += 1
        share = max(1, self._cells_max // len(self._cells.owned))
        excess = len(ownership.cells) - share
        if excess > 0:
            oldest = sorted(ownership.cells.values(), key=lambda c: c.used_at)
            for cell in [c for c in oldest if may_leave(c, now, at_once=True)][:excess]:
                del ownership.cells[cell.id]
                self._counters.passivations["cap"] += 1
