"""Commits in whose way a lock of somebody else stands: set aside, so that the others of their lane go on.

Who holds a row in a session of psql for a minute stops what needs that very row, and nothing else. The first
commit that meets the lock costs its lane one short wait; from then on the row is known, and what needs it does
not go to the journal before a look has shown that it is free. A look waits for nobody.
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

# While something is locked, the journal is asked this often what is free by now.
LOOK_S = 0.1
# Looked at together; what is behind them waits for the next look.
LOOK_ITEMS_MAX = 256
# A row that is locked again and again, or in a way that no look shows, is left alone for longer each time: for
# every wait of the lane that it costs. After this long without one it is forgotten.
REST_S_MIN = 0.1
REST_S_MAX = 5.0
FORGOTTEN_S = 30.0


@dataclass(slots=True)
class _Row:
    """A locked row: one of the items that need it, who holds it, and until when it is left alone at least."""

    item: Mapping[str, Any]
    blocker: Blocker
    until: float = 0.0


@dataclass(slots=True)
class _Waits:
    """How often in a row a lane has waited for a row, and when last."""

    times: int
    at: float


class BlockedCommits:
    """Commits of one lane that are set aside.

    Args:
        put: queues a commit again; the lock that stood in its way is gone.
        abandon: ends a commit that has waited for too long; nothing of it was written.
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
        """Commits that wait, by the program that holds what they need."""
        waiting = (self._rows[key].blocker for _, key in self._held.values() if key in self._rows)
        return Counter(blocker.application or "unknown" for blocker in waiting)

    def blocker(self, cell: Cell) -> Blocker | None:
        """Who is known to hold a row that this cell's commit needs."""
        item = _item(cell)
        known = (self._rows.get(key) for key in self._journal.needs(item))
        return next((row.blocker for row in known if row is not None), None)

    def put(self, cell: Cell, blocker: Blocker, *, waited: bool) -> None:
        """Keep this cell's commit, of which nothing was written, until the lock is gone; `waited` says that the lane
        has waited for it.
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
        """These shards are to go elsewhere: what was set aside stands first in its mailbox again."""
        for cell in [cell for cell in self._held if cell.shard in shards]:
            (envelope, _), _ = self._held.pop(cell)
            if cell.pending is not None and cell.pending[0] is envelope:
                cell.pending = None
                cell.status = READY
                cell.put_first(envelope)

    # -- looking ------------------------------------------------------------------------------

    async def run(self) -> None:
        """Look while something is locked, until cancelled."""
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
        """Queue again what nothing stands in the way of any more, and end what has waited for too long."""
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
            return  # it has gone elsewhere while we looked
        del self._held[cell]
        key = kept[1] if blocker is None else blocker.key
        if blocker is not None or key in self._rows:
            self._held[cell] = (
                pending,
                key,
            )  # at the end: every look begins with those that waited longest for one
        else:
            self._put(cell)

    def _give_up(self) -> None:
        """Nobody waits for an answer for ever, and a cell whose commit was given up goes on with its mailbox."""
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
    """What a cell wants written, as far as it says what it needs."""
    assert cell.pending is not None
    return {**cell.pending[1].item, "shard": cell.shard}
