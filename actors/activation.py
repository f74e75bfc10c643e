"""Activation: reads the rows of actors that are not in memory, many in one query.

All misses of one loop iteration become one query per kind (5,000 rows take 19 ms; one query per actor would be 5,000
round trips). At most four of these queries run at once, so that ten thousand actors addressed at the same moment do not
overload the journal.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Callable, Mapping
from typing import Any, Protocol

from actors.cell import LOADING, Cell
from actors.cell_table import CellTable
from actors.clock import Clock
from actors.errors import ActorCrashed, DeadlinePassed, JournalError, NoSuchActor
from actors.ports import Journal

QUERIES_MAX = 4
ROWS_MAX = 1000
# For this long a number without a row is remembered, so that repeated asks for it cost one query.
UNKNOWN_S = 2.0
UNKNOWN_MAX = 10_000
RETRY_S = 0.1


class InstallState(Protocol):
    """Callback: sets a cell's state from its row, and opens its mailbox."""

    def __call__(self, cell: Cell, row: Mapping[str, Any], *, reason: str, trace: str = "") -> None: ...


def _nobody(cell: Cell, row: Mapping[str, Any], *, reason: str, trace: str = "") -> None:
    del cell, row, reason, trace
    raise AssertionError("no scheduler runs these cells")


class Activation:
    """Reads the rows of cells that are LOADING.

    `install` is set by the scheduler that runs the cells.
    """

    def __init__(self, journal: Journal, clock: Clock, cells: CellTable, log: Callable[..., None]) -> None:
        self.install: InstallState = _nobody
        self._journal = journal
        self._clock = clock
        self._cells = cells
        self._log = log
        self._missing: dict[str, list[Cell]] = defaultdict(list)
        self._wake = asyncio.Event()
        self._free = asyncio.Semaphore(QUERIES_MAX)
        self._unknown: dict[object, float] = {}

    def want(self, cell: Cell) -> None:
        """Read the cell's row with the next query."""
        self._missing[cell.id.kind].append(cell)
        self._wake.set()

    def seed(self, cell: Cell, row: Mapping[str, Any], trace: str) -> None:
        """Install the row of an actor that was just created, without reading it back."""
        self._unknown.pop(cell.id, None)
        self.install(cell, row, reason="created", trace=trace)

    def reload(self, cell: Cell) -> None:
        """Read the row again before the next turn. The mailbox is kept."""
        if self._cells.is_current(cell):
            cell.status = LOADING
            cell.pending = None
            self.want(cell)

    def is_unknown(self, actor: object) -> bool:
        """True if the journal had no row for this actor a moment ago."""
        until = self._unknown.get(actor)
        return until is not None and until > self._clock.monotonic()

    async def run(self, tasks: asyncio.TaskGroup) -> None:
        """Read rows until cancelled. Each query is a task of the given group."""
        while True:
            await self._wake.wait()
            self._wake.clear()
            missing, self._missing = self._missing, defaultdict(list)
            for kind, cells in missing.items():
                for start in range(0, len(cells), ROWS_MAX):
                    await self._free.acquire()
                    part = cells[start : start + ROWS_MAX]
                    tasks.create_task(self._load(kind, part), name=f"load {kind}")

    async def _load(self, kind: str, cells: list[Cell]) -> None:
        try:
            numbers = [cell.id.number for cell in cells]
            try:
                rows = await self._journal.load(kind, numbers)
            except Exception as error:  # noqa: BLE001 - whatever it is, the cells must not wait for ever
                if not isinstance(error, JournalError):
                    self._log("failed_load", kind=kind, exc_info=error)
                await self._again(cells)
                return
            for cell in cells:
                row = rows.get(cell.id.number)
                if row is None:
                    self._refuse(cell)
                else:
                    self._install(cell, row)
        finally:
            self._free.release()

    def _install(self, cell: Cell, row: Mapping[str, Any]) -> None:
        """Install a row. If its behaviour cannot read it, only that actor fails."""
        try:
            self.install(cell, row, reason="loaded")
        except Exception as error:  # noqa: BLE001 - see above
            self._log("unreadable_row", actor=str(cell.id), exc_info=error)
            for envelope in self._cells.remove(cell):
                envelope.fail(ActorCrashed())

    def _refuse(self, cell: Cell) -> None:
        if len(self._unknown) >= UNKNOWN_MAX:
            self._unknown.clear()
        self._unknown[cell.id] = self._clock.monotonic() + UNKNOWN_S
        for envelope in self._cells.remove(cell):
            envelope.fail(NoSuchActor(str(cell.id)))

    async def _again(self, cells: list[Cell]) -> None:
        """After a failed query: keep messages whose deadline has not passed, and refuse the others."""
        await asyncio.sleep(RETRY_S)
        now = self._clock.monotonic()
        for cell in cells:
            if cell.status != LOADING or not self._cells.is_current(cell):
                continue
            for envelope in cell.expire(now):
                envelope.fail(DeadlinePassed())
            # A cell that is read again keeps its state, which has the addresses of its sessions.
            if cell.waiting or cell.state is not None:
                self.want(cell)
            else:
                self._cells.remove(cell)
