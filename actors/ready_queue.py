"""Ready queue: cells that have a message, each once."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable

from actors.cell import READY, Cell


def _nobody() -> None:
    raise AssertionError("no scheduler serves this queue")


class ReadyQueue:
    """Cells in the order of their turns. The first cell that is queued schedules a slice of turns on the loop.

    Attributes:
        cells: the queued cells, the next one first.
        scheduled: True while a slice is scheduled on the loop.
        run_slice: runs turns; set by the scheduler.
    """

    __slots__ = ("cells", "loop", "run_slice", "scheduled")

    def __init__(self) -> None:
        self.cells: deque[Cell] = deque()
        self.scheduled = False
        self.loop: asyncio.AbstractEventLoop | None = None
        self.run_slice: Callable[[], None] = _nobody

    def start(self) -> None:
        """Run turns on the running loop from now on."""
        self.loop = asyncio.get_running_loop()

    def put(self, cell: Cell) -> None:
        """Queue a cell that is ready and has a message. A queued one keeps its place."""
        if cell.status == READY and not cell.queued and cell.waiting:
            cell.queued = True
            self.cells.append(cell)
            if not self.scheduled and self.loop is not None:
                self.scheduled = True
                self.loop.call_soon(self.run_slice)
