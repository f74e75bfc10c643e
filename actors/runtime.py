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
from dataclasses import replace
from typing import Any

from actors.activation import Activation
from actors.behaviour import Behaviour
from actors.cancellation import end
from actors.cell import LOADING, READY, Cell
from actors.clock import Clock, Randomness
from actors.counters import Counters
from actors.deadlines import Deadlines
from actors.errors import (
    ActorError,
    NoSuchActor,
    OutcomeUnknown,
    Overloaded,
    Unavailable,
)
from actors.group_commit import CommitLane
from actors.messages import ActorId, Command, Envelope, Receiver, Seed, Turn
from actors.passivation import Passivation
from actors.ports import Emitter, Journal, PeerTransport
from actors.read_fence import ReadFence
from actors.scheduler import Scheduler
from actors.shards import SHARD_COUNT, Ownership, Parked, Shards, shard_of
from actors.timers import Timers

# One, for a batch shared by twice as many costs each of them a quarter less of the server's and of Postgres's
# time (make bench, acceptances, 64 at once, eight pairs: 0.75 and 0.72 times, 1.22 times as many a second; two
# lanes were two batches of half the size). One lane carries more than one thread of Python can decide.
LANES = 1
# Commits that may wait for the journal at once; beyond it commands are refused at the door.
GATED_MAX = 10_000
# Internal messages (tells, timers, query answers) outlive any outage that a client would wait for.
TELL_BUDGET_S = 30.0
CELLS_MAX = 120_000
# How long commits under way may take when the runtime ends.
DRAIN_S = 5.0


def _no_log(event: str, **values: object) -> None:
    del event, values


def _ignore(shard: int) -> None:
    del shard


# What a shard keeps while it is handed over; the rest is told to come back.
PARKED_MAX = 2_000


class Runtime:
    """Everything that runs actors on one instance. Open it with `running()`.

    Args:
        instance, incarnation: stable name, and the name of this life of it (made up when it is not given).
        peers: the way to other instances. Without it the instance is alone, and everything is its own.
        lost: told when somebody else has claimed a shard.
    """

    def __init__(
        self,
        *,
        instance: str,
        behaviours: Sequence[Behaviour],
        journal: Journal,
        emitter: Emitter,
        clock: Clock,
        entropy: Randomness,
        incarnation: str = "",
        peers: PeerTransport | None = None,
        cells_max: int = CELLS_MAX,
        log: Callable[..., None] = _no_log,
        lost: Callable[[int], None] = _ignore,
    ) -> None:
        self.instance = instance
        self.incarnation = incarnation or f"{instance}.{entropy.token()[:12]}"
        self.journal = journal
        self.emitter = emitter
        self.clock = clock
        self.entropy = entropy
        self.peers = peers
        self.log = log
        self.lost = lost
        self.drain_s = DRAIN_S
        self.counters = Counters()
        self.shards = Shards()
        self.lanes = [CommitLane(index, self) for index in range(LANES)]
        self.timers = Timers(self)
        self._behaviours = {b.kind: b for b in behaviours}
        self._activation = Activation(self)
        self._passivation = Passivation(self, cells_max)
        self._deadlines = Deadlines(clock)
        self.doubts = ReadFence(self)
        self.scheduler = Scheduler(self)
        self._tasks: asyncio.TaskGroup | None = None

    @property
    def tasks(self) -> asyncio.TaskGroup:
        """The group that owns every task of the runtime."""
        assert self._tasks is not None, "the runtime is not running"
        return self._tasks

    # -- life ---------------------------------------------------------------------------------

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Serve until the block ends. An instance that is alone owns everything from the first moment;
        for others the keeper of the cluster takes and gives shards while this runs.
        """
        self.scheduler.start()
        async with asyncio.TaskGroup() as tasks:
            self._tasks = tasks
            self.clock.anchor(await self.journal.wall())
            if self.peers is None:
                await self.take(range(SHARD_COUNT))
            loops = [tasks.create_task(lane.run(), name=f"lane {lane.index}") for lane in self.lanes]
            loops += [tasks.create_task(lane.aside.run(), name=f"aside {lane.index}") for lane in self.lanes]
            loops.append(tasks.create_task(self._activation.run(tasks), name="loader"))
            loops.append(tasks.create_task(self.timers.run_poll(), name="timer poll"))
            loops.append(tasks.create_task(self.timers.run_fire(), name="timer fire"))
            loops.append(tasks.create_task(self._passivation.run(), name="sweep"))
            loops.append(tasks.create_task(self._deadlines.run(), name="patience"))
            loops.append(tasks.create_task(self.doubts.run(), name="doubts"))
            try:
                yield
            finally:
                await self._drain()
                await end(loops)
                self._abandon_all()

    async def _drain(self) -> None:
        """Let commits under way finish, so that nobody is left without an answer who could have one. What a lock of
        somebody else stands in the way of may wait for long: it was not written, and that is its answer.
        """
        try:
            async with asyncio.timeout(self.drain_s):
                while len(self.scheduler) or self.gated > self.set_aside:  # noqa: ASYNC110 - once, at the end of our life
                    await asyncio.sleep(0.005)
        except TimeoutError:
            self.log("gave_up_drain", gated=self.gated)

    def _abandon_all(self) -> None:
        for shard in self.shards.held():
            for parked in self.surrender(shard):
                started = parked.envelope.started
                parked.envelope.fail(OutcomeUnknown() if started else Unavailable("stopping"))

    async def take(self, shards: Sequence[int]) -> None:
        """Claim shards whose lease was won; their actors load when they are first needed.

        The order is: lease, epoch, and only then the first row is read.

        Raises:
            JournalError: not claimed, or nobody knows; claiming again is the cure.
        """
        claims = await self.journal.claim(sorted(shards), self.instance, self.incarnation)
        self.timers.forget(frozenset(shards))
        for claim in claims:
            assert claim.epoch is not None
            before = self.shards.owned[claim.shard]
            stayed = before is not None and before.epoch == claim.previous_epoch
            first = before.first if before is not None and stayed else claim.epoch
            waiting = self.surrender(claim.shard)
            since = self.clock.monotonic()
            self.shards.own(Ownership(claim.shard, claim.epoch, first=first, since=since))
            for parked in waiting:
                self.deliver(parked.envelope, latest=parked.latest)

    def park(self, shard: int) -> None:
        """From now on what arrives for the shard waits; what is in its mailboxes is still worked off."""
        ownership = self.shards.owned[shard]
        if ownership is not None and ownership.parked is None:
            self.shards.own(replace(ownership, parked=deque()))

    def freeze(self, shards: Sequence[int]) -> None:
        """Have no more turns in these parked shards: what waits in mailboxes goes in front of the parked."""
        for lane in self.lanes:
            lane.aside.recall(shards)
        for shard in shards:
            ownership = self.shards.owned[shard]
            if ownership is not None and ownership.parked is not None:
                waiting = [e for cell in ownership.cells.values() for e in cell.empty()]
                ownership.parked.extendleft(Parked(e) for e in reversed(waiting))

    def surrender(self, shard: int) -> list[Parked]:
        """Drop a shard; returns everything that waited for it, in order of arrival."""
        ownership = self.shards.drop(shard)
        if ownership is None:
            return []
        waiting = [Parked(e) for cell in list(ownership.cells.values()) for e in cell.drain()]
        return [*waiting, *(ownership.parked or ())]

    # -- time ---------------------------------------------------------------------------------

    def now_ms(self) -> int:
        """The journal's wall time in milliseconds."""
        return int(self.clock.wall() * 1000)

    @property
    def gated(self) -> int:
        """Commits that wait for the journal."""
        return sum(len(lane) + lane.under_way + lane.to_tell for lane in self.lanes)

    @property
    def set_aside(self) -> int:
        """Those among them in whose way a lock of somebody else stands."""
        return sum(len(lane.aside) for lane in self.lanes)

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
        reply: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        envelope = self.ask_for(reply, to, message, budget_s=budget_s, command=command, trace=trace)
        try:
            return await reply
        finally:
            self.forget(envelope)
            del reply  # it holds an error, whose traceback holds this frame: a circle

    def ask_for(
        self,
        reply: Receiver,
        to: ActorId,
        message: object,
        *,
        budget_s: float = 2.0,
        command: Command | None = None,
        trace: str = "",
    ) -> Envelope:
        """The same without waiting. The receiver is told in the very turn that answers, or even in this call: it
        raises nothing, asks nothing, and has the question forgotten.
        """
        until = self.clock.monotonic() + budget_s
        envelope = Envelope(to, message, until, command=command, trace=trace, reply=reply)
        self.watch(envelope)
        self.deliver(envelope)
        return envelope

    def watch(self, envelope: Envelope) -> None:
        """Answer it with an error at its deadline, if nobody has by then."""
        self._deadlines.watch(envelope)

    def forget(self, envelope: Envelope) -> None:
        """Its asker needs no answer any more."""
        self._deadlines.forget(envelope)

    def tell(
        self,
        to: ActorId,
        message: object,
        *,
        trace: str = "",
        latest: str | None = None,
        seed: Seed | None = None,
    ) -> None:
        """Send a message that nobody waits for."""
        until = self.clock.monotonic() + TELL_BUDGET_S
        self.deliver(Envelope(to, message, until, trace=trace), latest=latest, seed=seed)

    def deliver(
        self,
        envelope: Envelope,
        *,
        latest: str | None = None,
        seed: Seed | None = None,
    ) -> None:
        """Put a message into its actor's mailbox, here or on the owner's instance.

        A seed serves the actor of this instance, here and now; it never travels and never waits, for the
        actor may have changed meanwhile.
        """
        to = envelope.to
        shard = shard_of(to)
        ownership = self.shards.owned[shard]
        if ownership is None:
            self._elsewhere(Parked(envelope, latest))
            return
        if ownership.parked is not None:
            self._park(ownership.parked, Parked(envelope, latest))
            return
        cell = ownership.cells.get(to)
        if cell is None:
            if seed is not None and seed.at < ownership.since:
                seed = None
            if seed is None and self._activation.is_unknown(to):
                envelope.fail(NoSuchActor(str(to)))
                return
            cell = self._activate(ownership, to, seed, envelope.trace)
        if latest is not None:
            cell.put_latest(latest, envelope)
        elif envelope.command is not None and len(self.lanes[shard % LANES]) >= GATED_MAX // LANES:
            self.refuse(envelope, Overloaded("too many commits are waiting"))
            return
        elif not cell.put(envelope):
            self.refuse(envelope, Overloaded(f"mailbox of {to} is full"))
            return
        self.scheduler.make_ready(cell)

    def _park(self, queue: deque[Parked], parked: Parked) -> None:
        if len(queue) >= PARKED_MAX:
            self.refuse(parked.envelope, Unavailable("too much waits for the hand-over"))
        else:
            queue.append(parked)

    def _elsewhere(self, parked: Parked) -> None:
        if self.peers is not None:
            self.peers.forward(parked)
        else:
            self.refuse(parked.envelope, Unavailable("no owner"))

    def redirect(self, envelope: Envelope) -> None:
        """The shard has gone while this waited or was under way: its new owner knows what became of it."""
        if self.peers is None:
            error = OutcomeUnknown() if envelope.started else Unavailable("ownership moved")
            self.refuse(envelope, error)
        elif not envelope.given_up:
            envelope.doubtful = envelope.doubtful or envelope.started
            self.peers.forward(Parked(envelope))

    def refuse(self, envelope: Envelope, error: ActorError) -> None:
        """Answer with an error, and count it."""
        self.counters.refusals[type(error).__name__] += 1
        envelope.fail(error)

    # -- cells --------------------------------------------------------------------------------

    def _activate(self, ownership: Ownership, to: ActorId, seed: Seed | None, trace: str) -> Cell:
        cell = Cell(to, self._behaviours[to.kind], ownership.shard)
        ownership.cells[to] = cell
        if seed is None:
            self._activation.want(cell)
        else:
            self._activation.forget_unknown(to)
            self.loaded(cell, seed.row, reason="created", trace=trace)
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
        self.counters.activations[reason] += 1
        # What follows from waking belongs to what has woken it.
        trace = trace or (cell.mailbox[0].trace if cell.mailbox else "") or self.entropy.trace()
        turn = Turn(self.now_ms(), trace)
        done = cell.behaviour.activated(cell.state, turn)
        done = self.timers.without_echo(cell.id, done, turn.now_ms) if reason == "created" else done
        self.scheduler.tell_all(cell, done, turn.trace)
        self.scheduler.make_ready(cell)

    def reload(self, cell: Cell) -> None:
        """Read the row again before the next turn; the mailbox is kept."""
        if not self.is_current(cell):
            return
        cell.status = LOADING
        cell.pending = None
        self._activation.want(cell)

    def remove(self, cell: Cell) -> list[Envelope]:
        """Drop an activation; returns what waited in it."""
        ownership = self.shards.owned[cell.shard]
        if ownership is not None and ownership.cells.get(cell.id) is cell:
            del ownership.cells[cell.id]
        return cell.drain()
