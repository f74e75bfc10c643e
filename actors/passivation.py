"""Passivation: removes idle actors from memory. Nothing is lost, because the row has the state.

It visits a few shards at a time, so that 100,000 cells do not cause one long pause. Above a limit of cells it removes
the longest unused ones.
"""

from __future__ import annotations

import asyncio

from actors.cell import READY, Cell
from actors.cell_table import CellTable
from actors.clock import Clock
from actors.counters import Counters
from actors.shards import Ownership

# Each shard is visited every SHARDS / SHARDS_PER_STEP * STEP_S seconds: 256 / 8 * 0.25 = 8 s.
STEP_S = 0.25
SHARDS_PER_STEP = 8


def may_leave(cell: Cell, now: float, *, at_once: bool = False) -> bool:
    """True if the cell has no message and no commit, and was idle for long enough.

    There is no await between this check and the removal, so no message can be lost.
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
        """Passivate until cancelled."""
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
        """Passivate the idle cells of one shard, then the longest unused above the shard's share."""
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
