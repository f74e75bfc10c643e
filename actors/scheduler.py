"""Whose turn it is, and what follows from it.

A cell with a message stands once in the ready queue, takes one message a turn, and goes to the back, so
that a hot actor starves nobody. A slice of turns ends after 2 ms and lets the loop serve its sockets.
What a turn wants written waits in a lane; the cell is parked until the journal has answered.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from actors import dedup
from actors.behaviour import SETTLED, Done, Outcome
from actors.cell import FLUSHING, LOADING, READY, Cell
from actors.errors import (
    ActorCrashed,
    ActorError,
    CommandReused,
    DeadlinePassed,
    JournalError,
    Unavailable,
    WrongOwner,
)
from actors.messages import ActorId, Envelope, Query, QueryAnswer, QueryFailed, Turn, Wake

if TYPE_CHECKING:
    from actors.runtime import Runtime

SLICE_S = 0.002
SLICE_TURNS = 64
# A message is put back at most this often after its actor had to be reloaded.
ATTEMPTS_MAX = 3
QUERIES_MAX = 16
QUERY_TRIES = 5


class Scheduler:
    """Runs the cells of one runtime."""

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime
        self._ready: deque[Cell] = deque()
        self._scheduled = False
        self._loop: asyncio.AbstractEventLoop | None = None
        self._queries = asyncio.Semaphore(QUERIES_MAX)

    def __len__(self) -> int:
        return len(self._ready)

    def start(self) -> None:
        """From now on ready cells take their turns on the running loop."""
        self._loop = asyncio.get_running_loop()

    def make_ready(self, cell: Cell) -> None:
        if cell.status == READY and not cell.queued and cell.waiting:
            cell.queued = True
            self._ready.append(cell)
            if not self._scheduled and self._loop is not None:
                self._scheduled = True
                self._loop.call_soon(self._run_slice)

    def _run_slice(self) -> None:
        clock, ready, counters = self._runtime.clock, self._ready, self._runtime.counters
        began = now = clock.monotonic()
        turns = 0
        while ready and turns < SLICE_TURNS and now - began < SLICE_S:
            cell = ready.popleft()
            cell.queued = False
            try:
                self._turn(cell, now)
            except Exception as error:  # noqa: BLE001 - one sick turn must not stop the others
                self._broken(cell, error)
            self.make_ready(cell)
            turns += 1
            now = clock.monotonic()
        counters.slice_s_max = max(counters.slice_s_max, now - began)
        if ready and self._loop is not None:
            self._loop.call_soon(self._run_slice)
        else:
            self._scheduled = False

    def _broken(self, cell: Cell, error: Exception) -> None:
        """The consequences of a turn have failed: an emitter, a state of the wrong shape."""
        self._runtime.counters.crashes[cell.id.kind] += 1
        self._runtime.log("crashed_turn", actor=str(cell.id), exc_info=error)
        if cell.status != FLUSHING:
            self._runtime.reload(cell)

    def _turn(self, cell: Cell, now: float) -> None:
        """One message: decided, and either finished or sent to be written."""
        runtime = self._runtime
        envelope = cell.take() if cell.status == READY and runtime.is_current(cell) else None
        if envelope is None or envelope.given_up:
            return
        if envelope.until <= now:
            runtime.refuse(envelope, DeadlinePassed())
            return
        if envelope.hop and runtime.shards.predates_ownership(cell.shard, envelope):
            envelope.doubtful = envelope.doubtful or envelope.started
            envelope.fail(WrongOwner())
            return
        cell.used_at = now
        cell.turns += 1
        runtime.counters.turns[cell.id.kind] += 1
        if envelope.command is not None and self._replayed(cell, envelope):
            return
        ownership = runtime.shards.owned[cell.shard]
        turn = Turn(
            runtime.now_ms(), envelope.trace, envelope.command, envelope.until,
            0 if ownership is None else ownership.epoch, runtime.counters.turns[cell.id.kind],
        )  # fmt: skip
        try:
            step = cell.behaviour.decide(cell.state, envelope.message, turn)
        except Exception as error:  # noqa: BLE001 - a sick actor must not take the others down
            self._crash(cell, envelope, error)
            return
        if isinstance(step, Done):
            if envelope.asked and not runtime.doubts.sure(cell.shard):
                # Our lease may be over: what memory says counts when the epoch still stands.
                runtime.doubts.put(cell.shard, envelope, step.reply)
            self._finish(cell, envelope, step)
        else:
            cell.status = FLUSHING
            cell.pending = (envelope, step)
            runtime.lanes[cell.shard % len(runtime.lanes)].put(cell)

    def _replayed(self, cell: Cell, envelope: Envelope) -> bool:
        assert envelope.command is not None
        try:
            entry = dedup.find(cell.state.recent, envelope.command)
        except CommandReused as error:
            self._runtime.refuse(envelope, error)
            return True
        if entry is None:
            return False
        self._runtime.counters.replays += 1
        envelope.answer(entry[2])
        return True

    def _crash(self, cell: Cell, envelope: Envelope, error: Exception) -> None:
        self._runtime.counters.crashes[cell.id.kind] += 1
        self._runtime.log(
            "crashed_actor",
            actor=str(cell.id),
            message=type(envelope.message).__name__,
            trace_id=envelope.trace,
            exc_info=error,
        )
        envelope.fail(ActorCrashed())
        self._runtime.reload(cell)

    def _finish(self, cell: Cell, envelope: Envelope, done: Done) -> None:
        """Everything after the commit, or after a turn that needed none: install, then tell."""
        if done.state is not None:
            cell.state = done.state
        cell.status = READY
        envelope.answer(done.reply)
        self.tell_all(cell, done, envelope.trace)

    def tell_all(self, cell: Cell, done: Done, trace: str) -> None:
        for tell in done.tells:
            told = trace if tell.trace is None else tell.trace
            self._runtime.tell(tell.to, tell.message, trace=told, latest=tell.latest)
        for emit in done.emits:
            self._runtime.emitter.emit(emit, trace)
        for query in done.queries:
            self._runtime.tasks.create_task(self._answer(cell.id, query, trace), name=f"read {query.name}")
        if done.due_ms is not None:
            self._runtime.timers.arm(cell.id, done.due_ms)
        if done.wake_s is not None and self._loop is not None:
            self._loop.call_later(done.wake_s, self._wake, cell, done.wake, trace)

    def _wake(self, cell: Cell, tag: str, trace: str) -> None:
        if self._runtime.is_current(cell):
            self._runtime.tell(cell.id, Wake(tag), trace=trace, latest=f"wake:{tag}")

    async def _answer(self, to: ActorId, query: Query, trace: str) -> None:
        """Read what an actor asked for; after a while it is told that there is no answer."""
        async with self._queries:
            for tries in range(QUERY_TRIES):
                try:
                    result = await self._runtime.journal.read(query)
                    self._runtime.tell(to, QueryAnswer(query, result), trace=trace)
                    return
                except JournalError:
                    await asyncio.sleep(0.1 * 2**tries)
                except Exception as error:  # noqa: BLE001 - one bad read must not end the instance
                    self._runtime.log("failed_read", actor=str(to), query=query.name, exc_info=error)
                    break
        self._runtime.log("gave_up_read", actor=str(to), query=query.name)
        self._runtime.tell(to, QueryFailed(query), trace=trace)

    # -- after the commit ---------------------------------------------------------------------

    def committed(self, cell: Cell, outcome: Outcome) -> None:
        """The journal has answered for the pending commit of this cell."""
        if cell.pending is None:
            return
        envelope, commit = cell.pending
        if outcome.code == "stale":
            self._lost(cell, envelope)
            return
        if outcome.code == "version":
            self._runtime.log("reloaded_actor", actor=str(cell.id), trace_id=envelope.trace)
            self._put_back(cell, envelope)
            self._runtime.reload(cell)
            return
        cell.pending = None
        try:
            self._finish(cell, envelope, commit.then(outcome))
        except Exception as error:  # noqa: BLE001 - see _turn
            self._crash(cell, envelope, error)
            return
        self.make_ready(cell)

    def redecide(self, cell: Cell) -> None:
        """The memory of this cell is in doubt: what it has decided and not sent is decided on the row."""
        if cell.pending is not None:
            self._put_back(cell, cell.pending[0])
            cell.pending = None
        self._runtime.reload(cell)

    def settled(self, cell: Cell, row: Mapping[str, Any], *, written: bool) -> None:
        """The row has shown what became of a commit without an answer.

        A written one is followed by everything that follows a commit, but for facts that the lost answer
        took with it (see SETTLED).
        """
        if cell.pending is None or not self._runtime.is_current(cell):
            return
        envelope, commit = cell.pending
        cell.pending = None
        cell.status = LOADING
        if not written:
            self._put_back(cell, envelope)
        self._runtime.loaded(cell, row, reason="settled")
        if written:
            done = commit.then(SETTLED)
            envelope.answer(done.reply)
            self.tell_all(cell, done, envelope.trace)

    def abandon(self, cell: Cell, error: ActorError) -> None:
        """The pending commit was certainly not written and is not tried again."""
        if cell.pending is None:
            return
        envelope, _ = cell.pending
        cell.pending = None
        self._runtime.refuse(envelope, error)
        cell.status = READY
        self.make_ready(cell)

    def give_back(self, cell: Cell) -> None:
        """The cell is not owned any more: whoever waits in it is sent on."""
        for envelope in cell.drain():
            self._runtime.redirect(envelope)

    def _put_back(self, cell: Cell, envelope: Envelope) -> None:
        envelope.attempts += 1
        envelope.started = False
        if envelope.attempts > ATTEMPTS_MAX:
            self._runtime.refuse(envelope, Unavailable("the actor keeps moving"))
        else:
            cell.put_first(envelope)

    def _lost(self, cell: Cell, envelope: Envelope) -> None:
        """A flush was refused as stale: certainly not written, and the shard is somebody else's."""
        envelope.started = False
        self._runtime.log(
            "refused_stale_flush", shard=cell.shard, actor=str(cell.id), trace_id=envelope.trace
        )
        self.lose(cell.shard)
        self.give_back(cell)

    def lose(self, shard: int) -> None:
        """Somebody else has claimed the shard: all that is in memory for it is worthless."""
        if self._runtime.shards.owned[shard] is None:
            return
        self._runtime.log("lost_shard", shard=shard)
        waiting = self._runtime.surrender(shard)
        self._runtime.counters.lost_shards += 1
        self._runtime.lost(shard)
        for parked in waiting:
            self._runtime.redirect(parked.envelope)
