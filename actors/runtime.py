"""The runtime of one instance: who owns what, who is awake, whose turn it is.

One scheduler runs all cells: a cell with a message stands once in the ready queue, takes one message a
turn, and goes to the back, so that a hot actor starves nobody. A slice of turns ends after 2 ms and lets
the loop serve its sockets.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any

from actors.cell import LOADING, READY, Cell
from actors.clock import Clock, Entropy
from actors.errors import (
    ActorError,
    NoSuchActor,
    OutcomeUnknown,
    Overloaded,
    Unavailable,
)
from actors.gauges import Gauges
from actors.lane import Lane
from actors.loader import Loader
from actors.messages import ActorId, Command, Envelope, Turn
from actors.patience import Patience
from actors.ports import Emitter, Journal, LeaseStore, PeerTransport
from actors.scheduler import Scheduler
from actors.shards import SHARD_COUNT, Ownership, Shards, shard_of
from actors.steps import Behaviour
from actors.sweep import Sweep
from actors.timers import Timers

LANES = 2
# Commits that may wait for the journal at once; beyond it commands are refused at the door.
GATED_MAX = 10_000
# Internal messages (tells, timers, query answers) outlive any outage that a client would wait for.
TELL_BUDGET_S = 30.0
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
        self._patience = Patience(clock)
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
        """Own every shard that the leases give, and serve until the block ends.

        The order is: lease, epoch, and only then the first row is read.
        """
        self.scheduler.start()
        async with asyncio.TaskGroup() as tasks:
            self._tasks = tasks
            self.clock.anchor(await self.journal.wall())
            await self.take(await self.leases.acquire(range(SHARD_COUNT)))
            loops = [tasks.create_task(lane.run(), name=f"lane {lane.index}") for lane in self.lanes]
            loops.append(tasks.create_task(self._loader.run(tasks), name="loader"))
            loops.append(tasks.create_task(self.timers.run_poll(), name="timer poll"))
            loops.append(tasks.create_task(self.timers.run_fire(), name="timer fire"))
            loops.append(tasks.create_task(self._sweep.run(), name="sweep"))
            loops.append(tasks.create_task(self._patience.run(), name="patience"))
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
                while len(self.scheduler) or self.gated:  # noqa: ASYNC110 - once, at the end of our life
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
        for claim in await self.journal.claim(sorted(shards), self.instance, self.incarnation):
            assert claim.epoch is not None
            self.shards.own(Ownership(claim.shard, claim.epoch))

    # -- time ---------------------------------------------------------------------------------

    def now_ms(self) -> int:
        """The journal's wall time in milliseconds."""
        return int(self.clock.wall() * 1000)

    @property
    def gated(self) -> int:
        """Commits that wait for the journal."""
        return sum(len(lane) + lane.under_way for lane in self.lanes)

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
        until = self.clock.monotonic() + budget_s
        envelope = Envelope(to, message, until, command=command, trace=trace, reply=reply)
        self._patience.watch(envelope)
        self.deliver(envelope)
        return await reply

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
            self.refuse(envelope, Overloaded("too many commits are waiting"))
            return
        elif not cell.put(envelope):
            self.refuse(envelope, Overloaded(f"mailbox of {to} is full"))
            return
        self.scheduler.make_ready(cell)

    def _elsewhere(self, envelope: Envelope) -> None:
        if self.peers is not None:
            self.peers.forward(envelope)
        else:
            self.refuse(envelope, Unavailable("no owner"))

    def refuse(self, envelope: Envelope, error: ActorError) -> None:
        """Answer with an error, and count it."""
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
        turn = Turn(self.now_ms(), trace or self.entropy.trace())
        self.scheduler.tell_all(cell, cell.behaviour.activated(cell.state, turn), turn.trace)
        self.scheduler.make_ready(cell)

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
