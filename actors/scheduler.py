"""Scheduler: takes the turns of cells, and applies the journal's outcomes to them.

A cell with a message is in the ready queue once. It takes one message per turn and goes to the back, so that a busy
actor does not starve others. A slice of turns ends after 2 ms, so that the loop serves its sockets. A turn's commit
waits in a commit lane, and its cell takes no further turn until the journal has answered.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

from actors import dedup
from actors.activation import Activation
from actors.behaviour import SETTLED, Done, Outcome
from actors.cell import FLUSHING, LOADING, READY, Cell
from actors.cell_table import CellTable
from actors.clock import Clock, Randomness, now_ms_of
from actors.counters import Counters
from actors.effects import Effects
from actors.errors import ActorCrashed, ActorError, CommandReused, DeadlinePassed, Unavailable, WrongOwner
from actors.messages import Envelope, Turn
from actors.read_fence import ReadFence
from actors.ready_queue import ReadyQueue
from actors.router import Router
from actors.timers import Timers
from actors.tracing import TRACE_CHARS, SpanKind, SpanService, Tracer

SLICE_S = 0.002
SLICE_TURNS = 64
# A message is put back at most this often because its actor was reloaded.
ATTEMPTS_MAX = 3


class Commits(Protocol):
    """Queue of commits, as the scheduler uses it: a commit lane."""

    def put(self, cell: Cell) -> None:
        """Queue the cell's pending commit."""
        ...


class Scheduler:
    """Runs the cells of one instance.

    Args:
        lanes: commit lanes, by number of shard modulo their count.
    """

    def __init__(
        self,
        *,
        clock: Clock,
        entropy: Randomness,
        counters: Counters,
        cells: CellTable,
        ready: ReadyQueue,
        router: Router,
        activation: Activation,
        timers: Timers,
        effects: Effects,
        read_fence: ReadFence,
        lanes: Sequence[Commits],
        log: Callable[..., None],
        tracer: Tracer,
    ) -> None:
        self._clock = clock
        self._entropy = entropy
        self._counters = counters
        self._cells = cells
        self._ready = ready
        self._router = router
        self._activation = activation
        self._timers = timers
        self._effects = effects
        self._read_fence = read_fence
        self._lanes = lanes
        self._log = log
        self._tracer = tracer
        ready.run_slice = self._run_slice
        activation.install = self.install

    def _run_slice(self) -> None:
        clock, ready, counters = self._clock, self._ready.cells, self._counters
        began = now = clock.monotonic()
        turns = 0
        while ready and turns < SLICE_TURNS and now - began < SLICE_S:
            cell = ready.popleft()
            cell.queued = False
            try:
                self._turn(cell, now)
            except Exception as error:  # noqa: BLE001 - one sick turn must not stop the others
                self._broken(cell, error)
            self._ready.put(cell)
            turns += 1
            now = clock.monotonic()
        counters.slice_s_max = max(counters.slice_s_max, now - began)
        if ready and self._ready.loop is not None:
            self._ready.loop.call_soon(self._run_slice)
        else:
            self._ready.scheduled = False

    def _broken(self, cell: Cell, error: Exception) -> None:
        """Log a failure in the effects of a turn, and reload the cell."""
        self._counters.crashes[cell.id.kind] += 1
        self._log("crashed_turn", actor=str(cell.id), exc_info=error)
        if cell.status != FLUSHING:
            self._activation.reload(cell)

    def _turn(self, cell: Cell, now: float) -> None:
        """Take one message: decide it, then finish it or queue its commit."""
        envelope = cell.take() if cell.status == READY and self._cells.is_current(cell) else None
        if envelope is None or envelope.given_up:
            return
        if envelope.until <= now:
            self._router.refuse(envelope, DeadlinePassed())
            return
        if envelope.hop and self._cells.predates_ownership(cell.shard, envelope):
            envelope.left_owner()
            envelope.fail(WrongOwner())
            return
        cell.used_at = now
        cell.turns += 1
        self._counters.turns[cell.id.kind] += 1
        if envelope.command is not None and self._replayed(cell, envelope):
            return
        trace = envelope.trace
        if len(trace) > TRACE_CHARS:
            trace = self._record(cell, envelope)
        ownership = self._cells.owned[cell.shard]
        turn = Turn(
            now_ms_of(self._clock),
            trace,
            envelope.command,
            envelope.until,
            0 if ownership is None else ownership.epoch,
            self._counters.turns[cell.id.kind],
        )
        try:
            step = cell.behaviour.decide(cell.state, envelope.message, turn)
        except Exception as error:  # noqa: BLE001 - a sick actor must not take the others down
            self._crash(cell, envelope, error)
            return
        if isinstance(step, Done):
            if envelope.asked and not self._read_fence.sure(cell.shard):
                # The lease may have ended: the reply waits until the epoch is confirmed.
                self._read_fence.put(cell.shard, envelope, step.reply)
            self._finish(cell, envelope, step)
        else:
            if envelope.span is not None:
                envelope.span.decided_ns = time.time_ns()
            cell.status = FLUSHING
            cell.pending = (envelope, step)
            self._lanes[cell.shard % len(self._lanes)].put(cell)

    def _record(self, cell: Cell, envelope: Envelope) -> str:
        """Begin the span of a turn. Returns the context of what the turn causes. A turn that is decided again goes on
        with its span.
        """
        if envelope.span is None:
            name = f"{cell.id.kind} {type(envelope.message).__name__}"
            kind = SpanKind.CONSUMER
            envelope.span = self._tracer.begin(SpanService.OWNER, name, envelope.trace, kind)
        return envelope.span.trace

    def _replayed(self, cell: Cell, envelope: Envelope) -> bool:
        assert envelope.command is not None
        try:
            entry = dedup.find(cell.state.recent, envelope.command)
        except CommandReused as error:
            self._router.refuse(envelope, error)
            return True
        if entry is None:
            return False
        self._counters.replays += 1
        envelope.answer(entry[2])
        return True

    def _crash(self, cell: Cell, envelope: Envelope, error: Exception) -> None:
        self._counters.crashes[cell.id.kind] += 1
        self._log(
            "crashed_actor",
            actor=str(cell.id),
            message=type(envelope.message).__name__,
            trace_id=envelope.trace,
            exc_info=error,
        )
        envelope.fail(ActorCrashed())
        self._activation.reload(cell)

    def _finish(self, cell: Cell, envelope: Envelope, done: Done) -> None:
        """Finish a turn after its commit, or without one: install the state, carry out effects, reply.

        Effects come first: a receiver that writes at the end of this loop iteration then has their frames too, and
        sends them in one packet with its reply. The reply is given even if they fail.
        """
        if done.state is not None:
            cell.state = done.state
        cell.status = READY
        try:
            trace = envelope.trace if envelope.span is None else envelope.span.trace
            self._effects.carry_out(cell, done, trace)
        finally:
            envelope.answer(done.reply)

    def install(self, cell: Cell, row: Mapping[str, Any], *, reason: str, trace: str = "") -> None:
        """Set a cell's state from a row that was read while the shard was owned, and open its mailbox."""
        if not self._cells.is_current(cell) or cell.status != LOADING:
            return
        cell.state = cell.behaviour.restore(cell.id.number, row, cell.state)
        cell.status = READY
        cell.used_at = self._clock.monotonic()
        self._counters.activations[reason] += 1
        # Effects of the activation get the trace of the message that caused it.
        trace = trace or (cell.mailbox[0].trace if cell.mailbox else "") or self._entropy.trace()
        turn = Turn(now_ms_of(self._clock), trace)
        done = cell.behaviour.activated(cell.state, turn)
        done = self._timers.without_echo(cell.id, done, turn.now_ms) if reason == "created" else done
        self._effects.carry_out(cell, done, turn.trace)
        self._ready.put(cell)

    # -- after the commit ---------------------------------------------------------------------

    def committed(self, cell: Cell, outcome: Outcome) -> None:
        """Apply the journal's outcome to the pending commit of this cell."""
        if cell.pending is None:
            return
        envelope, commit = cell.pending
        if outcome.code == "stale":
            self._lost(cell, envelope)
            return
        if outcome.code == "version":
            self._log("reloaded_actor", actor=str(cell.id), trace_id=envelope.trace)
            self._put_back(cell, envelope)
            self._activation.reload(cell)
            return
        cell.pending = None
        try:
            self._finish(cell, envelope, commit.then(outcome))
        except Exception as error:  # noqa: BLE001 - see _turn
            self._crash(cell, envelope, error)
            return
        self._ready.put(cell)

    def redecide(self, cell: Cell) -> None:
        """Reload a cell whose state is in doubt. A pending commit that was not sent is decided again."""
        if cell.pending is not None:
            self._put_back(cell, cell.pending[0])
            cell.pending = None
        self._activation.reload(cell)

    def settled(self, cell: Cell, row: Mapping[str, Any], *, written: bool) -> None:
        """Finish a commit without an answer, after its row has shown the outcome.

        A written commit gets its reply and its effects, without the facts of the lost answer (see SETTLED).
        """
        if cell.pending is None or not self._cells.is_current(cell):
            return
        envelope, commit = cell.pending
        cell.pending = None
        cell.status = LOADING
        if not written:
            self._put_back(cell, envelope)
        self.install(cell, row, reason="settled")
        if written:
            done = commit.then(SETTLED)
            trace = envelope.trace if envelope.span is None else envelope.span.trace
            envelope.answer(done.reply)
            self._effects.carry_out(cell, done, trace)

    def abandon(self, cell: Cell, error: ActorError) -> None:
        """End a pending commit that was certainly not written, with an error."""
        if cell.pending is None:
            return
        envelope, _ = cell.pending
        cell.pending = None
        self._router.refuse(envelope, error)
        cell.status = READY
        self._ready.put(cell)

    def redirect_all(self, cell: Cell) -> None:
        """Forward all messages of a cell that is no longer owned."""
        for envelope in cell.drain():
            self._router.redirect(envelope)

    def _put_back(self, cell: Cell, envelope: Envelope) -> None:
        envelope.attempts += 1
        envelope.not_written()
        if envelope.attempts > ATTEMPTS_MAX:
            self._router.refuse(envelope, Unavailable("the actor keeps moving"))
        else:
            cell.put_first(envelope)

    def _lost(self, cell: Cell, envelope: Envelope) -> None:
        """Drop the shard after a stale flush: nothing was written, and another instance has claimed the shard."""
        envelope.not_written()
        self._log("refused_stale_flush", shard=cell.shard, actor=str(cell.id), trace_id=envelope.trace)
        self._router.fence_out(cell.shard)
        self.redirect_all(cell)
