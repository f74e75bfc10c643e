"""The runtime of one instance: who owns what, who is awake, whose turn it is.

One scheduler runs all cells: a cell with a message stands once in the ready queue, takes one message a
turn, and goes to the back, so that a hot actor starves nobody. A slice of turns ends after 2 ms and lets
the loop serve its sockets.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any

from actors import dedup
from actors.cell import FLUSHING, LOADING, READY, Cell
from actors.clock import Clock, Entropy
from actors.errors import (
    ActorCrashed,
    ActorError,
    CommandReused,
    DeadlinePassed,
    JournalError,
    NoSuchActor,
    OutcomeUnknown,
    Overloaded,
    Unavailable,
)
from actors.gauges import Gauges
from actors.lane import Lane
from actors.loader import Loader
from actors.messages import ActorId, Command, Envelope, Query, QueryAnswer, Turn, Wake
from actors.ports import Emitter, Journal, LeaseStore, PeerTransport
from actors.shards import SHARD_COUNT, Ownership, Shards, shard_of
from actors.steps import Behaviour, Done, Outcome
from actors.sweep import Sweep
from actors.timers import Timers

LANES = 2
SLICE_S = 0.002
SLICE_TURNS = 64
# Commits that may wait for the journal at once; beyond it commands are refused at the door.
GATED_MAX = 10_000
# A message is put back at most this often after its actor had to be reloaded.
ATTEMPTS_MAX = 3
# Internal messages (tells, timers, query answers) outlive any outage that a client would wait for.
TELL_BUDGET_S = 30.0
QUERIES_MAX = 16
QUERY_TRIES = 5
CELLS_MAX = 120_000
# How long commits under way may take when the runtime ends.
DRAIN_S = 5.0


def _no_log(event: str, **values: object) -> None:
    del event, values


class Runtime:
    """Everything that runs actors on one instance. Open it with `running()`."""

    def __init__(
        self,
        *,
        instance: str,
        behaviours: Sequence[Behaviour],
        journal: Journal,
        leases: LeaseStore,
        emitter: Emitter,
        clock: Clock,
        entropy: Entropy,
        peers: PeerTransport | None = None,
        cells_max: int = CELLS_MAX,
        log: Callable[..., None] = _no_log,
        lost: Callable[[], None] = lambda: None,
    ) -> None:
        self.instance = instance
        self.incarnation = f"{instance}.{entropy.token()[:12]}"
        self.journal = journal
        self.leases = leases
        self.emitter = emitter
        self.clock = clock
        self.entropy = entropy
        self.peers = peers
        self.log = log
        self.lost = lost
        self.drain_s = DRAIN_S
        self.gauges = Gauges()
        self.shards = Shards()
        self.lanes = [Lane(index, self) for index in range(LANES)]
        self.timers = Timers(self)
        self._behaviours = {b.kind: b for b in behaviours}
        self._loader = Loader(self)
        self._sweep = Sweep(self, cells_max)
        self._ready: deque[Cell] = deque()
        self._scheduled = False
        self._loop: asyncio.AbstractEventLoop | None = None
        self._tasks: asyncio.TaskGroup | None = None
        self._queries = asyncio.Semaphore(QUERIES_MAX)

    # -- life ---------------------------------------------------------------------------------

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Own every shard that the leases give, and serve until the block ends.

        The order is: lease, epoch, and only then the first row is read.
        """
        self._loop = asyncio.get_running_loop()
        async with asyncio.TaskGroup() as tasks:
            self._tasks = tasks
            self.clock.anchor(await self.journal.wall())
            await self.take(await self.leases.acquire(range(SHARD_COUNT)))
            loops = [tasks.create_task(lane.run(), name=f"lane {lane.index}") for lane in self.lanes]
            loops.append(tasks.create_task(self._loader.run(tasks), name="loader"))
            loops.append(tasks.create_task(self.timers.run_poll(), name="timer poll"))
            loops.append(tasks.create_task(self.timers.run_fire(), name="timer fire"))
            loops.append(tasks.create_task(self._sweep.run(), name="sweep"))
            try:
                yield
            finally:
                await self._drain()
                for task in loops:
                    task.cancel()
                self._abandon_all()

    async def _drain(self) -> None:
        """Let commits under way finish, so that nobody is left without an answer who could have one."""
        try:
            async with asyncio.timeout(self.drain_s):
                while self._ready or self.gated:  # noqa: ASYNC110 - once, at the end of our life
                    await asyncio.sleep(0.005)
        except TimeoutError:
            self.log("gave_up_drain", gated=self.gated)

    def _abandon_all(self) -> None:
        for shard in self.shards.held():
            ownership = self.shards.drop(shard)
            for cell in list(ownership.cells.values()) if ownership else ():
                for envelope in cell.drain():
                    error = OutcomeUnknown() if envelope.started else Unavailable("stopping")
                    envelope.fail(error)

    async def take(self, shards: Sequence[int]) -> None:
        """Claim shards whose lease was won; their actors load when they are first needed."""
        for claim in await self.journal.claim(sorted(shards), self.instance):
            self.shards.own(Ownership(claim.shard, claim.epoch))

    # -- time ---------------------------------------------------------------------------------

    def now_ms(self) -> int:
        """The journal's wall time in milliseconds."""
        return int(self.clock.wall() * 1000)

    @property
    def gated(self) -> int:
        """Commits that wait for the journal."""
        return sum(len(lane) for lane in self.lanes) + sum(lane.settling for lane in self.lanes)

    # -- sending ------------------------------------------------------------------------------

    async def ask(
        self,
        to: ActorId,
        message: object,
        *,
        budget_s: float = 2.0,
        command: Command | None = None,
        trace: str = "",
    ) -> Any:
        """Have a message decided and wait for its reply.

        Raises:
            NotProcessed: certainly no effect.
            NoSuchActor, CommandReused, ActorCrashed: as they say; no effect.
            OutcomeUnknown: the budget ended after the turn began.
        """
        loop = asyncio.get_running_loop()
        reply: asyncio.Future[Any] = loop.create_future()
        until = self.clock.monotonic() + budget_s
        envelope = Envelope(to, message, until, command=command, trace=trace, reply=reply)
        timer = loop.call_later(budget_s, self._give_up, envelope)
        try:
            self.deliver(envelope)
            return await reply
        finally:
            timer.cancel()

    @staticmethod
    def _give_up(envelope: Envelope) -> None:
        envelope.fail(OutcomeUnknown() if envelope.started else DeadlinePassed())

    def tell(
        self,
        to: ActorId,
        message: object,
        *,
        trace: str = "",
        latest: str | None = None,
        seed: Mapping[str, Any] | None = None,
    ) -> None:
        """Send a message that nobody waits for."""
        until = self.clock.monotonic() + TELL_BUDGET_S
        self.deliver(Envelope(to, message, until, trace=trace), latest=latest, seed=seed)

    def deliver(
        self,
        envelope: Envelope,
        *,
        latest: str | None = None,
        seed: Mapping[str, Any] | None = None,
    ) -> None:
        """Put a message into its actor's mailbox, here or on the owner's instance."""
        to = envelope.to
        shard = shard_of(to)
        ownership = self.shards.owned[shard]
        if ownership is None:
            self._elsewhere(envelope)
            return
        cell = ownership.cells.get(to)
        if cell is None:
            if seed is None and self._loader.is_unknown(to):
                envelope.fail(NoSuchActor(str(to)))
                return
            cell = self._activate(ownership, to, seed, envelope.trace)
        if latest is not None:
            cell.put_latest(latest, envelope)
        elif envelope.command is not None and len(self.lanes[shard % LANES]) >= GATED_MAX // LANES:
            self._refuse(envelope, Overloaded("too many commits are waiting"))
            return
        elif not cell.put(envelope):
            self._refuse(envelope, Overloaded(f"mailbox of {to} is full"))
            return
        self._make_ready(cell)

    def _elsewhere(self, envelope: Envelope) -> None:
        if self.peers is not None:
            self.peers.forward(envelope)
        else:
            self._refuse(envelope, Unavailable("no owner"))

    def _refuse(self, envelope: Envelope, error: ActorError) -> None:
        self.gauges.refusals[type(error).__name__] += 1
        envelope.fail(error)

    # -- cells --------------------------------------------------------------------------------

    def _activate(
        self, ownership: Ownership, to: ActorId, seed: Mapping[str, Any] | None, trace: str
    ) -> Cell:
        cell = Cell(to, self._behaviours[to.kind], ownership.shard)
        ownership.cells[to] = cell
        if seed is None:
            self._loader.want(cell)
        else:
            self._loader.forget_unknown(to)
            self.loaded(cell, seed, reason="created", trace=trace)
        return cell

    def is_current(self, cell: Cell) -> bool:
        """True while this very activation is the owned one."""
        ownership = self.shards.owned[cell.shard]
        return ownership is not None and ownership.cells.get(cell.id) is cell

    def loaded(self, cell: Cell, row: Mapping[str, Any], reason: str = "loaded", trace: str = "") -> None:
        """Install a row that was read while the shard was ours, and open the mailbox."""
        if not self.is_current(cell) or cell.status != LOADING:
            return
        cell.state = cell.behaviour.restore(cell.id.number, row, cell.state)
        cell.status = READY
        cell.used_at = self.clock.monotonic()
        self.gauges.activations[reason] += 1
        turn = Turn(self.now_ms(), trace or self.entropy.token())
        self._tell_all(cell, cell.behaviour.activated(cell.state, turn), turn.trace)
        self._make_ready(cell)

    def reload(self, cell: Cell) -> None:
        """Read the row again before the next turn; the mailbox is kept."""
        if not self.is_current(cell):
            return
        cell.status = LOADING
        cell.pending = None
        self._loader.want(cell)

    def remove(self, cell: Cell) -> list[Envelope]:
        """Drop an activation; returns what waited in it."""
        ownership = self.shards.owned[cell.shard]
        if ownership is not None and ownership.cells.get(cell.id) is cell:
            del ownership.cells[cell.id]
        return cell.drain()

    def _make_ready(self, cell: Cell) -> None:
        if cell.status == READY and not cell.queued and cell.waiting:
            cell.queued = True
            self._ready.append(cell)
            if not self._scheduled and self._loop is not None:
                self._scheduled = True
                self._loop.call_soon(self._run_slice)

    # -- turns --------------------------------------------------------------------------------

    def _run_slice(self) -> None:
        began = self.clock.monotonic()
        turns = 0
        while self._ready and turns < SLICE_TURNS:
            cell = self._ready.popleft()
            cell.queued = False
            self._turn(cell)
            self._make_ready(cell)
            turns += 1
            if turns % 8 == 0 and self.clock.monotonic() - began > SLICE_S:
                break
        spent = self.clock.monotonic() - began
        self.gauges.slice_s_max = max(self.gauges.slice_s_max, spent)
        if self._ready and self._loop is not None:
            self._loop.call_soon(self._run_slice)
        else:
            self._scheduled = False

    def _turn(self, cell: Cell) -> None:
        envelope = cell.take() if cell.status == READY and self.is_current(cell) else None
        if envelope is None:
            return
        now = self.clock.monotonic()
        if envelope.given_up:
            return
        if envelope.until <= now:
            self._refuse(envelope, DeadlinePassed())
            return
        cell.used_at = now
        self.gauges.turns[cell.id.kind] += 1
        if envelope.command is not None and self._replayed(cell, envelope):
            return
        envelope.started = True
        turn = Turn(self.now_ms(), envelope.trace, envelope.command, envelope.until)
        try:
            step = cell.behaviour.decide(cell.state, envelope.message, turn)
        except Exception as error:  # noqa: BLE001 - a sick actor must not take the others down
            self._crash(cell, envelope, error)
            return
        if isinstance(step, Done):
            self._finish(cell, envelope, step)
        else:
            cell.status = FLUSHING
            cell.pending = (envelope, step)
            self.lanes[cell.shard % LANES].put(cell)

    def _replayed(self, cell: Cell, envelope: Envelope) -> bool:
        assert envelope.command is not None
        try:
            entry = dedup.find(cell.state.recent, envelope.command)
        except CommandReused as error:
            self._refuse(envelope, error)
            return True
        if entry is None:
            return False
        self.gauges.replays += 1
        envelope.answer(entry[2])
        return True

    def _crash(self, cell: Cell, envelope: Envelope, error: Exception) -> None:
        self.gauges.crashes[cell.id.kind] += 1
        self.log(
            "crashed_actor",
            actor=str(cell.id),
            message=type(envelope.message).__name__,
            trace_id=envelope.trace,
            exc_info=error,
        )
        envelope.fail(ActorCrashed())
        self.reload(cell)

    def _finish(self, cell: Cell, envelope: Envelope, done: Done) -> None:
        """Everything after the commit, or after a turn that needed none: install, then tell."""
        if done.state is not None:
            cell.state = done.state
        cell.status = READY
        envelope.answer(done.reply)
        self._tell_all(cell, done, envelope.trace)

    def _tell_all(self, cell: Cell, done: Done, trace: str) -> None:
        for tell in done.tells:
            told = trace if tell.trace is None else tell.trace
            self.tell(tell.to, tell.message, trace=told, latest=tell.latest, seed=tell.seed)
        for emit in done.emits:
            self.emitter.emit(emit, trace)
        for query in done.queries:
            assert self._tasks is not None
            self._tasks.create_task(self._answer(cell.id, query, trace), name=f"read {query.name}")
        if done.due_ms is not None:
            self.timers.arm(cell.id, done.due_ms)
        if done.wake_s is not None and self._loop is not None:
            self._loop.call_later(done.wake_s, self._wake, cell, trace)

    def _wake(self, cell: Cell, trace: str) -> None:
        if self.is_current(cell):
            self.tell(cell.id, Wake(), trace=trace, latest="wake")

    async def _answer(self, to: ActorId, query: Query, trace: str) -> None:
        """Read what an actor asked for. Gives up after a while: an actor asks again by itself."""
        async with self._queries:
            for tries in range(QUERY_TRIES):
                try:
                    result = await self.journal.read(query)
                    self.tell(to, QueryAnswer(query, result), trace=trace)
                    return
                except JournalError:
                    await asyncio.sleep(0.1 * 2**tries)
        self.log("gave_up_read", actor=str(to), query=query.name)

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
            self.log("reloaded_actor", actor=str(cell.id), trace_id=envelope.trace)
            self._put_back(cell, envelope)
            self.reload(cell)
            return
        cell.pending = None
        try:
            done = commit.then(outcome)
        except Exception as error:  # noqa: BLE001 - see _turn
            self._crash(cell, envelope, error)
            return
        self._finish(cell, envelope, done)
        self._make_ready(cell)

    def settled(self, cell: Cell, row: Mapping[str, Any], *, written: bool) -> None:
        """The row has shown what became of a commit without an answer."""
        if cell.pending is None or not self.is_current(cell):
            return
        envelope, _ = cell.pending
        cell.pending = None
        cell.status = LOADING
        command = envelope.command
        if not written:
            self._put_back(cell, envelope)
        self.loaded(cell, row, reason="settled")
        if written and command is not None:
            entry = dedup.find(cell.state.recent, command)
            if entry is not None:
                envelope.answer(entry[2])
            else:
                envelope.fail(OutcomeUnknown())
        elif written:
            envelope.answer(None)

    def abandon(self, cell: Cell, error: ActorError) -> None:
        """The pending commit was certainly not written and is not tried again."""
        if cell.pending is None:
            return
        envelope, _ = cell.pending
        cell.pending = None
        self._refuse(envelope, error)
        cell.status = READY
        self._make_ready(cell)

    def give_back(self, cell: Cell) -> None:
        """The cell is not owned any more: whoever waits in it may try elsewhere."""
        for envelope in cell.drain():
            self._refuse(envelope, Unavailable("ownership moved"))

    def _put_back(self, cell: Cell, envelope: Envelope) -> None:
        envelope.attempts += 1
        envelope.started = False
        if envelope.attempts > ATTEMPTS_MAX:
            self._refuse(envelope, Unavailable("the actor keeps moving"))
        else:
            cell.put_first(envelope)

    def _lost(self, cell: Cell, envelope: Envelope) -> None:
        """Somebody else has claimed the shard: all that is in memory for it is worthless."""
        self.log("lost_shard", shard=cell.shard, actor=str(cell.id), trace_id=envelope.trace)
        ownership = self.shards.drop(cell.shard)
        for other in list(ownership.cells.values()) if ownership else [cell]:
            self.give_back(other)
        self.lost()
