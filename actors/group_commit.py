"""Group commit: writes the commits that wait as one batch, and settles batches without an answer.

A commit lane is one connection. When it is free, it sends all waiting commits in one call. At low load a commit does
not wait; at high load batches grow by themselves. There is no artificial delay. (589 accepts/s one by one, 18,700 at 64
in a call, on one lane of a two-core machine.)

A batch that is refused as a whole is bisected until the bad item is alone. A batch without an answer is *settled*: its
shards are claimed again, which waits for the lost call or fences it out; then the rows show whether it was written.
Until then no asker gets an answer.

A batch that meets a row lock of another program sets the commits aside that need the row (blocked_commits.py), and goes
on.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict, deque
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, NamedTuple

from actors.behaviour import Commit, Outcome
from actors.blocked_commits import BlockedCommits
from actors.cell import Cell
from actors.cell_table import CellTable
from actors.clock import Clock, Randomness
from actors.counters import Counters
from actors.errors import (
    ActorCrashed,
    DeadlinePassed,
    JournalError,
    NoSuchActor,
    NotWritten,
    OutcomeUnknown,
    Unanswered,
    Unavailable,
)
from actors.messages import Envelope
from actors.ports import Blocker, Journal
from actors.router import Router
from actors.scheduler import Scheduler
from actors.shards import Ownership
from actors.tracing import Tracer, flush_recorded

# A larger batch may exceed the two-second statement timeout on a slow disk, and its first item waits for the last. A
# smaller one costs throughput.
BATCH_ITEMS_MAX = 256
# A deadlock or serialisation failure passes. Three in a row have another cause.
TRANSIENT_TRIES = 3
# Shortest and longest pause between attempts while the journal is down.
BACKOFF_S_MIN = 0.05
BACKOFF_S_MAX = 1.0


class _Waiting(NamedTuple):
    """A queued commit: its cell, the cell's pending commit at that time, when it was queued, and whether its rows are
    known to be free.
    """

    cell: Cell
    pending: tuple[Envelope, Commit] | None
    since: float
    free: bool


class CommitLane:
    """Writes the commits of its shards, one batch at a time.

    Attributes:
        settling: True while a batch without an answer is being settled.
        under_way, to_tell: items that the journal is writing, and items whose outcome is not applied yet.
    """

    def __init__(
        self,
        index: int,
        *,
        instance: str,
        incarnation: str,
        journal: Journal,
        clock: Clock,
        entropy: Randomness,
        counters: Counters,
        cells: CellTable,
        router: Router,
        scheduler: Scheduler,
        log: Callable[..., None],
        tracer: Tracer,
    ) -> None:
        self.index = index
        self.settling = False
        self.under_way = 0
        self.to_tell = 0
        self.blocked = BlockedCommits(
            journal=journal,
            clock=clock,
            counters=counters,
            cells=cells,
            log=log,
            put=self._put_free,
            abandon=scheduler.abandon,
        )
        self._instance = instance
        self._incarnation = incarnation
        self._journal = journal
        self._clock = clock
        self._entropy = entropy
        self._counters = counters
        self._cells = cells
        self._router = router
        self._scheduler = scheduler
        self._log = log
        self._tracer = tracer
        self._waiting: deque[_Waiting] = deque()
        self._wake = asyncio.Event()
        self._writes = 0

    def __len__(self) -> int:
        return len(self._waiting) + len(self.blocked)

    def put(self, cell: Cell, *, free: bool = False) -> None:
        """Queue the cell's pending commit. `free`: a check has just shown that its rows are not locked."""
        self._waiting.append(_Waiting(cell, cell.pending, self._clock.monotonic(), free))
        self._wake.set()

    def _put_free(self, cell: Cell) -> None:
        self.put(cell, free=True)

    async def run(self) -> None:
        """Write batches until cancelled. A flush that is cancelled has an unknown outcome, and no asker has been
        answered.
        """
        while True:
            await self._wake.wait()
            while self._waiting:
                size = min(len(self._waiting), BATCH_ITEMS_MAX)
                taken = [self._waiting.popleft() for _ in range(size)]
                batch = self._ready(taken)
                if batch:
                    self.under_way = len(batch)
                    await self._commit(batch)
                    self.under_way = 0
                    now = self._clock.monotonic()
                    for waited in taken:
                        self._counters.gate_wait_s.add(now - waited.since)
            self._wake.clear()

    def _ready(self, taken: list[_Waiting]) -> list[Cell]:
        """The commits that are still pending, without those whose rows are known to be locked."""
        wanted = [x for x in taken if x.pending is not None and x.cell.pending is x.pending]
        if not self.blocked.knows_locks:
            return [x.cell for x in wanted]
        batch = []
        for x in wanted:
            blocker = None if x.free else self.blocked.blocker(x.cell)
            if blocker is None:
                batch.append(x.cell)
            else:
                self.blocked.put(x.cell, blocker, waited=False)
        return batch

    async def _commit(self, batch: list[Cell], tries: int = 0) -> None:
        while True:
            items = [item for cell in batch if (item := self._item(cell)) is not None]
            batch = [cell for cell in batch if cell.pending is not None]
            if not batch:
                return
            try:
                outcomes = await self._flush(batch, items)
            except NotWritten as error:
                if error.locked and (rest := await self._part(batch, items)) is not None:
                    batch = rest
                    continue
                tries += 1
                if error.transient and tries < TRANSIENT_TRIES:
                    await asyncio.sleep(self._backoff_s(tries))
                    continue
                await self._divide(batch, error)
                return
            except Exception as error:  # noqa: BLE001 - what is not a definite answer is none
                if isinstance(error, Unanswered) and not error.sent:
                    await self._wait(batch, tries)
                    tries += 1
                    continue
                if not isinstance(error, Unanswered):
                    self._log("failed_flush", exc_info=error)
                await self._settle(batch)
                return
            self.to_tell += len(batch)
            asyncio.get_running_loop().call_soon(self._tell, batch, outcomes)
            return

    async def _part(self, batch: list[Cell], items: list[dict[str, Any]]) -> list[Cell] | None:
        """Set the blocked commits of a batch aside. Returns the others, or None if no lock is found."""
        sent = [cell.pending for cell in batch]
        try:
            blockers = await self._journal.blocked(items)
        except JournalError:
            return None
        if not any(blockers):
            return None
        rest = []
        for cell, pending, blocker in zip(batch, sent, blockers, strict=True):
            if pending is None or cell.pending is not pending:
                continue  # it was redirected meanwhile
            if blocker is None:
                rest.append(cell)
            else:
                self.blocked.put(cell, blocker, waited=True)
        return rest

    def _tell(self, batch: list[Cell], outcomes: list[Outcome]) -> None:
        """Apply the outcomes of a batch, after the next batch was sent, so that the journal does not wait for this.

        (make bench, acceptances at 32 and 64 at once: 1.07 and 1.05 times as many.)
        """
        for cell, outcome in zip(batch, outcomes, strict=True):
            self._scheduler.committed(cell, outcome)
        self.to_tell -= len(batch)

    async def _wait(self, batch: list[Cell], tries: int) -> None:
        """Pause after a batch could not be sent: certainly nothing was written."""
        for cell in batch:
            if cell.pending is not None:
                cell.pending[0].not_written()
        self.settling = True
        await asyncio.sleep(self._backoff_s(tries))
        self.settling = False

    def _item(self, cell: Cell) -> dict[str, Any] | None:
        """The item to send. Shard and epoch are read here, together with the state that they guard.

        After `commit_sent`, a timeout means OutcomeUnknown. If the caller timed out before, the item is dropped: the
        caller got "not processed".
        """
        ownership = self._cells.owned[cell.shard]
        if cell.pending is None or ownership is None or ownership.cells.get(cell.id) is not cell:
            self._scheduler.redirect_all(cell)
            return None
        envelope, commit = cell.pending
        if envelope.given_up:
            self._scheduler.abandon(cell, DeadlinePassed())
            return None
        envelope.commit_sent()
        self._writes += 1
        cell.writer = f"{self._incarnation}.{self.index}.{self._writes}"
        return {
            **commit.item,
            "shard": ownership.shard,
            "epoch": ownership.epoch,
            "writer": cell.writer,
        }

    async def _flush(self, batch: list[Cell], items: list[dict[str, Any]]) -> list[Outcome]:
        if self._tracer.on:
            pending = (cell.pending for cell in batch if cell.pending is not None)
            spans = [envelope.span for envelope, _ in pending if envelope.span is not None]
            if spans:
                with flush_recorded(self._tracer, spans):
                    return await self._write(items)
        return await self._write(items)

    async def _write(self, items: list[dict[str, Any]]) -> list[Outcome]:
        clock, counters = self._clock, self._counters
        began = clock.monotonic()
        outcomes = await self._journal.flush(self.index, items)
        if len(outcomes) != len(items):
            raise Unanswered("not one outcome per item")
        counters.flush_s.add(clock.monotonic() - began)
        counters.flush_items.add(len(items))
        counters.flushes += 1
        counters.flushed_items += len(items)
        for outcome in outcomes:
            counters.outcomes[outcome.code] += 1
        return outcomes

    async def _divide(self, batch: list[Cell], error: NotWritten) -> None:
        """Bisect a refused batch to find the item that the journal refuses."""
        if error.locked and len(batch) == 1:
            self._set_aside(batch[0])
        elif error.transient and not error.locked:
            for cell in batch:
                self._scheduler.abandon(cell, Unavailable("the journal is busy"))
        elif len(batch) == 1:
            self._log("refused_item", actor=str(batch[0].id), error_code=str(error))
            self._counters.outcomes["poison"] += 1
            self._scheduler.abandon(batch[0], ActorCrashed("the journal refused the write"))
        else:
            middle = len(batch) // 2
            tries = (
                TRANSIENT_TRIES - 1 if error.locked else 0
            )  # each further try would wait for the lock again
            await self._commit(batch[:middle], tries)
            await self._commit(batch[middle:], tries)

    def _set_aside(self, cell: Cell) -> None:
        """Set a commit aside whose lock's holder is not known."""
        if cell.pending is not None:
            item = cell.pending[1].item | {"shard": cell.shard}
            key = next(iter(self._journal.needs(item)))
            self.blocked.put(cell, Blocker(key, "unknown"), waited=True)

    def _log_strange(self, error: Exception) -> None:
        if not isinstance(error, JournalError):
            self._log("failed_settling", exc_info=error)

    def _backoff_s(self, tries: int) -> float:
        ceiling: float = min(BACKOFF_S_MAX, BACKOFF_S_MIN * 2.0 ** min(tries, 8))
        return ceiling * (0.5 + self._entropy.random() / 2)

    async def _settle(self, batch: list[Cell]) -> None:
        """Settle a batch: learn what an unanswered call has written, then answer.

        The claim waits for the lost call's locks, and raises the epoch so that the call cannot be written later. Only
        then are the rows read.
        """
        self.settling = True
        try:
            await self._claim_again(batch)
            kinds: dict[str, list[Cell]] = defaultdict(list)
            for cell in batch:
                kinds[cell.id.kind].append(cell)
            for kind, cells in kinds.items():
                rows = await self._load(kind, cells)
                for cell in cells:
                    try:
                        self._resolve(cell, rows.get(cell.id.number))
                    except Exception as error:  # noqa: BLE001 - one unreadable row must not end the lane
                        self._log("unreadable_row", actor=str(cell.id), exc_info=error)
                        for envelope in self._cells.remove(cell):
                            envelope.fail(OutcomeUnknown())
        finally:
            self.settling = False

    async def _claim_again(self, batch: list[Cell]) -> None:
        """Raise the epochs of shards that are still owned, and drop those that another instance has claimed."""
        shards = sorted({cell.shard for cell in batch})
        tries, claims = 0, None
        while claims is None:
            held = [o for s in shards if (o := self._cells.owned[s]) is not None]
            try:
                claims = await self._journal.claim(
                    [o.shard for o in held], self._instance, self._incarnation, [o.epoch for o in held]
                )
            except Exception as error:  # noqa: BLE001 - there is no way on but this
                self._log_strange(error)
                tries += 1
                await asyncio.sleep(self._backoff_s(tries))
        for claim in claims:
            ownership = self._cells.owned[claim.shard]
            if claim.epoch is None:
                self._router.fence_out(claim.shard)
            elif ownership is not None:
                self._renew(ownership, claim.epoch, claim.previous_epoch, batch)

    def _renew(self, ownership: Ownership, epoch: int, previous_epoch: int, batch: list[Cell]) -> None:
        kept = ownership.epoch == previous_epoch
        first = ownership.first if kept else epoch
        self._cells.own(replace(ownership, epoch=epoch, first=first))
        if not kept:
            # An earlier claim of this instance had no answer, and may have been written late: after another owner
            # claimed, wrote and left (see the model in actors/model). So nothing in memory is trusted: queued commits
            # are decided again, and every row is read again.
            settling = set(map(id, batch))
            for cell in [c for c in ownership.cells.values() if id(c) not in settling]:
                self._scheduler.redecide(cell)

    async def _load(self, kind: str, cells: list[Cell]) -> Mapping[int, Mapping[str, Any]]:
        tries = 0
        while True:
            try:
                return await self._journal.load(kind, [cell.id.number for cell in cells])
            except Exception as error:  # noqa: BLE001 - there is no way on but this
                self._log_strange(error)
                tries += 1
                await asyncio.sleep(self._backoff_s(tries))

    def _resolve(self, cell: Cell, row: Mapping[str, Any] | None) -> None:
        if row is None:
            self._scheduler.abandon(cell, NoSuchActor())
            return
        written = row["writer"] == cell.writer
        self._counters.settled["written" if written else "not_written"] += 1
        self._scheduler.settled(cell, row, written=written)
