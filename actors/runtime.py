"""Runtime of one instance: its public face, and the place where its parts are put together.

    ask, tell ── Router ── mailbox ── ReadyQueue ── Scheduler ── CommitLane ── Journal
                    │                                    │              │
                 peers                                Effects ◄── after the commit

Each part gets what it uses and no more; only this module knows all of them.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any

from actors.activation import Activation
from actors.behaviour import Behaviour
from actors.cancellation import end
from actors.cell_table import CellTable
from actors.clock import Clock, Randomness, now_ms_of
from actors.counters import Counters
from actors.deadlines import Deadlines
from actors.effects import Effects
from actors.errors import Unavailable
from actors.group_commit import CommitLane
from actors.messages import ActorId, Command, Envelope, Receiver
from actors.passivation import Passivation
from actors.ports import Emitter, Journal, PeerTransport
from actors.read_fence import ReadFence
from actors.ready_queue import ReadyQueue
from actors.router import Router
from actors.scheduler import Scheduler
from actors.shards import SHARD_COUNT, Ownership, Parked
from actors.timers import Timers

# One, for a batch shared by twice as many costs each of them a quarter less of the server's and of Postgres's time
# (loadtests/README.md). One lane carries more than one thread of Python can decide.
LANES = 1
CELLS_MAX = 120_000
# How long commits under way may take when the runtime ends.
DRAIN_S = 5.0


def _no_log(event: str, **values: object) -> None:
    del event, values


def _ignore(shard: int) -> None:
    del shard


class Runtime:
    """Runs actors on one instance. Open it with `running()`.

    Args:
        instance, incarnation: stable name, and the name of this life of it (made up when it is not given).
        peers: the way to other instances. Without it the instance is alone, and everything is its own.
        lost: called with a shard that another instance has claimed.
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
        self.log = log
        self.drain_s = DRAIN_S
        self.counters = counters = Counters()
        self.cells = cells = CellTable(behaviours)
        self.lanes: list[CommitLane] = []
        self._alone = peers is None
        self._ready = ready = ReadyQueue()
        self._deadlines = Deadlines(clock)
        self._activation = Activation(journal, clock, cells, log)
        self._passivation = Passivation(clock, counters, cells, cells_max)
        self._router = router = Router(
            clock=clock, counters=counters, cells=cells, ready=ready, activation=self._activation, lanes=self.lanes,
            peers=peers, log=log, lost=lost,
        )  # fmt: skip
        self.timers = Timers(
            journal=journal,
            clock=clock,
            entropy=entropy,
            counters=counters,
            cells=cells,
            router=router,
            log=log,
        )
        self.read_fence = ReadFence(
            journal=journal, counters=counters, cells=cells, deadlines=self._deadlines, router=router
        )
        self._effects = Effects(
            journal=journal, emitter=emitter, cells=cells, router=router, timers=self.timers, log=log
        )
        scheduler = Scheduler(
            clock=clock, entropy=entropy, counters=counters, cells=cells, ready=ready, router=router,
            activation=self._activation, timers=self.timers, effects=self._effects, read_fence=self.read_fence,
            lanes=self.lanes, log=log,
        )  # fmt: skip
        self.lanes += [
            CommitLane(
                index, instance=instance, incarnation=self.incarnation, journal=journal, clock=clock, entropy=entropy,
                counters=counters, cells=cells, router=router, scheduler=scheduler, log=log,
            )
            for index in range(LANES)
        ]  # fmt: skip
        # Without a step between: every message passes here.
        self.tell = router.tell
        self.deliver = router.deliver
        self.refuse = router.refuse
        self.fence_out = router.fence_out
        self.watch = self._deadlines.watch
        self.forget = self._deadlines.forget

    # -- life ---------------------------------------------------------------------------------

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Serve until the block ends. An instance that is alone owns everything from the first moment;
        for others the reconciler of the cluster takes and gives shards while this runs.
        """
        self._ready.start()
        async with asyncio.TaskGroup() as tasks:
            self._effects.start(tasks)
            self.clock.anchor(await self.journal.wall())
            if self._alone:
                await self.take(range(SHARD_COUNT))
            loops = [tasks.create_task(lane.run(), name=f"lane {lane.index}") for lane in self.lanes]
            loops += [
                tasks.create_task(lane.blocked.run(), name=f"blocked {lane.index}") for lane in self.lanes
            ]
            loops.append(tasks.create_task(self._activation.run(tasks), name="activation"))
            loops.append(tasks.create_task(self.timers.run_poll(), name="timer poll"))
            loops.append(tasks.create_task(self.timers.run_fire(), name="timer fire"))
            loops.append(tasks.create_task(self._passivation.run(), name="passivation"))
            loops.append(tasks.create_task(self._deadlines.run(), name="deadlines"))
            loops.append(tasks.create_task(self.read_fence.run(), name="read fence"))
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
                while self._ready.cells or self.gated > self.set_aside:  # noqa: ASYNC110 - once, at the end of our life
                    await asyncio.sleep(0.005)
        except TimeoutError:
            self.log("gave_up_drain", gated=self.gated)

    def _abandon_all(self) -> None:
        for shard in self.cells.held():
            for parked in self.cells.surrender(shard):
                parked.envelope.give_up(Unavailable("stopping"))

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
            before = self.cells.owned[claim.shard]
            stayed = before is not None and before.epoch == claim.previous_epoch
            first = before.first if before is not None and stayed else claim.epoch
            waiting = self.cells.surrender(claim.shard)
            since = self.clock.monotonic()
            self.cells.own(Ownership(claim.shard, claim.epoch, first=first, since=since))
            for parked in waiting:
                self.deliver(parked.envelope, latest=parked.latest)

    def park(self, shard: int) -> None:
        """From now on what arrives for the shard waits; what is in its mailboxes is still worked off."""
        self.cells.park(shard)

    def freeze(self, shards: Sequence[int]) -> None:
        """No more turns in these parked shards: messages in mailboxes go in front of the parked ones."""
        for lane in self.lanes:
            lane.blocked.recall(shards)
        self.cells.freeze(shards)

    def surrender(self, shard: int) -> list[Parked]:
        """Drop a shard; returns everything that waited for it, in order of arrival."""
        return self.cells.surrender(shard)

    # -- time ---------------------------------------------------------------------------------

    def now_ms(self) -> int:
        """The journal's wall time in milliseconds."""
        return now_ms_of(self.clock)

    @property
    def gated(self) -> int:
        """Commits that wait for the journal."""
        return sum(len(lane) + lane.under_way + lane.to_tell for lane in self.lanes)

    @property
    def set_aside(self) -> int:
        """Those among them that wait for a row lock of another program."""
        return sum(len(lane.blocked) for lane in self.lanes)

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
        """The same without waiting. `reply` may be resolved before this returns. It must not raise or call the runtime,
        and its owner must call `forget()` afterwards.
        """
        until = self.clock.monotonic() + budget_s
        envelope = Envelope(to, message, until, command=command, trace=trace, reply=reply)
        self.watch(envelope)
        self.deliver(envelope)
        return envelope
