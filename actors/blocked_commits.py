"""Commits that wait for a row lock of another program, set aside so that the rest of their lane goes on.

A psql session that holds a row for a minute delays commits that need this row, and no others. The first commit that
meets the lock costs its lane one short wait. From then on the row is known to be locked, and commits that need it are
not sent before a check has shown that it is free. A check does not wait for locks.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Any

from actors.behaviour import Commit
from actors.cell import READY, Cell
from actors.cell_table import CellTable
from actors.clock import Clock
from actors.counters import Counters
from actors.errors import ActorError, DeadlinePassed, JournalError
from actors.messages import Envelope
from actors.ports import Blocker, Journal

# Pause between two checks while some row is locked.
LOOK_S = 0.1
# Commits in one check; the others wait for the next one.
LOOK_ITEMS_MAX = 256
# A row that is locked again and again, or whose lock no check shows, is left alone for longer after each wait that it
# costs the lane. After this long without a wait it is forgotten.
REST_S_MIN = 0.1
REST_S_MAX = 5.0
FORGOTTEN_S = 30.0


@dataclass(slots=True)
class _Row:
    """A locked row: an item that needs it, the lock's holder, and the earliest time of the next try."""

    item: Mapping[str, Any]
    blocker: Blocker
    until: float = 0.0


@dataclass(slots=True)
class _Waits:
    """Number of consecutive waits of a lane for a row, and the time of the last one."""

    times: int
    at: float


class BlockedCommits:
    """Commits of one commit lane that are set aside.

    Args:
        put: queues a commit again after its lock is gone.
        abandon: ends a commit that has waited too long; nothing of it was written.
    """

    def __init__(
        self,
        *,
        journal: Journal,
        clock: Clock,
        counters: Counters,
        cells: CellTable,
        log: Callable[..., None],
        put: Callable[[Cell], None],
        abandon: Callable[[Cell, ActorError], None],
    ) -> None:
        self._journal = journal
        self._clock = clock
        self._counters = counters
        self._cells = cells
        self._log = log
        self._put = put
        self._abandon = abandon
        self._held: dict[Cell, tuple[tuple[Envelope, Commit], str]] = {}
        self._rows: dict[str, _Row] = {}
        self._waits: dict[str, _Waits] = {}
        self._holders: dict[int, tuple[Blocker, float]] = {}
        self._wake = asyncio.Event()

    def __len__(self) -> int:
        return len(self._held)

    @property
    def knows_locks(self) -> bool:
        """True while some row is locked."""
        return bool(self._rows)

    def holders(self) -> Counter[str]:
        """Number of waiting commits, by the program that holds the lock."""
        waiting = (self._rows[key].blocker for _, key in self._held.values() if key in self._rows)
        return Counter(blocker.application or "unknown" for blocker in waiting)

    def locked(self) -> Counter[str]:
        """Number of rows that are known to be locked, by the program that holds the lock. A row stays here while it is
        locked, also when no commit waits for it: clients give up and try again.
        """
        return Counter(row.blocker.application or "unknown" for row in self._rows.values())

    def blocker(self, cell: Cell) -> Blocker | None:
        """The known holder of a row that this cell's commit needs, or None."""
        item = _item(cell)
        known = (self._rows.get(key) for key in self._journal.needs(item))
        return next((row.blocker for row in known if row is not None), None)

    def put(self, cell: Cell, blocker: Blocker, *, waited: bool) -> None:
        """Set this cell's commit aside until the lock is gone. Nothing of it was written. `waited`: the lane has waited
        for the lock.
        """
        assert cell.pending is not None
        cell.pending[0].not_written()
        self._held.pop(cell, None)
        self._held[cell] = (cell.pending, blocker.key)
        self._note(_item(cell), blocker)
        if waited:
            self._counters.lock_waits += 1
            self._rest(blocker.key)
        self._tell_new(blocker, cell)
        self._wake.set()

    def _note(self, item: Mapping[str, Any], blocker: Blocker) -> None:
        row = self._rows.get(blocker.key)
        self._rows[blocker.key] = _Row(item, blocker, row.until if row is not None else 0.0)

    def _rest(self, key: str) -> None:
        now = self._clock.monotonic()
        before = self._waits.pop(key, None)
        times = before.times + 1 if before is not None and now - before.at < FORGOTTEN_S else 1
        self._waits[key] = _Waits(times, now)
        rest_s = min(REST_S_MAX, REST_S_MIN * 2.0 ** min(times - 1, 16)) if times > 1 else 0.0
        self._rows[key].until = now + rest_s

    def recall(self, shards: Collection[int]) -> None:
        """Before a hand-over of these shards: put commits that are set aside back in front of their mailboxes."""
        for cell in [cell for cell in self._held if cell.shard in shards]:
            (envelope, _), _ = self._held.pop(cell)
            if cell.pending is not None and cell.pending[0] is envelope:
                cell.pending = None
                cell.status = READY
                cell.put_first(envelope)

    # -- looking ------------------------------------------------------------------------------

    async def run(self) -> None:
        """Check locked rows until cancelled."""
        while True:
            await self._wake.wait()
            while self._held or self._rows:
                await asyncio.sleep(LOOK_S)
                try:
                    await self.look()
                except Exception as error:  # noqa: BLE001 - the next look is the cure
                    if not isinstance(error, JournalError):
                        self._log("failed_look_at_locks", exc_info=error)
            self._wake.clear()

    async def look(self) -> None:
        """Queue commits again whose locks are gone, and end those that have waited too long."""
        self._give_up()
        cells = list(self._held)[:LOOK_ITEMS_MAX]
        held = [self._held[cell][0] for cell in cells]
        waited_for = {key for _, key in self._held.values()}
        others = [row for key, row in self._rows.items() if key not in waited_for][:LOOK_ITEMS_MAX]
        items = [_item(cell) for cell in cells] + [row.item for row in others]
        found = await self._journal.blocked(items) if items else []
        now = self._clock.monotonic()
        resting = {key: row for key, row in self._rows.items() if row.until > now}
        self._rows = dict(resting)
        for item, blocker in zip(items, found, strict=True):
            if blocker is not None:
                self._note(item, blocker)
        for cell, pending, blocker in zip(cells, held, found, strict=False):
            self._decide(cell, pending, blocker)
        for pending, key in list(self._held.values())[LOOK_ITEMS_MAX:]:
            self._rows.setdefault(key, _Row(pending[1].item, Blocker(key, key)))
        self._waits = {key: w for key, w in self._waits.items() if now - w.at < FORGOTTEN_S}
        self._tell_gone()

    def _decide(self, cell: Cell, pending: tuple[Envelope, Commit], blocker: Blocker | None) -> None:
        kept = self._held.get(cell)
        if kept is None or kept[0] is not pending or cell.pending is not pending:
            return  # it was handed over during the check
        del self._held[cell]
        key = kept[1] if blocker is None else blocker.key
        if blocker is not None or key in self._rows:
            self._held[cell] = (
                pending,
                key,
            )  # at the end, so that the rows checked longest ago come first
        else:
            self._put(cell)

    def _give_up(self) -> None:
        """End commits whose deadline has passed, so that their cells go on with their mailboxes."""
        now = self._clock.monotonic()
        for cell, (pending, _) in list(self._held.items()):
            if cell.pending is not pending or not self._cells.is_current(cell):
                del self._held[cell]
            elif pending[0].given_up or pending[0].until <= now:
                del self._held[cell]
                self._abandon(cell, DeadlinePassed())

    # -- telling ------------------------------------------------------------------------------

    def _tell_new(self, blocker: Blocker, cell: Cell) -> None:
        if blocker.pid not in self._holders:
            self._holders[blocker.pid] = (blocker, self._clock.monotonic())
            self._log("blocked_commit", actor=str(cell.id), **blocker.shown())

    def _tell_gone(self) -> None:
        now, present = self._clock.monotonic(), {row.blocker.pid for row in self._rows.values()}
        for pid in [pid for pid in self._holders if pid not in present]:
            blocker, since = self._holders.pop(pid)
            self._log("unblocked_commit", duration_s=round(now - since, 3), **blocker.shown())


def _item(cell: Cell) -> dict[str, Any]:
    """The item of a cell's commit with its shard, from which the rows it locks follow."""
    assert cell.pending is not None
    return {**cell.pending[1].item, "shard": cell.shard}
