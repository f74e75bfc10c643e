"""Runtime of one instance: its public interface, and the assembly of its parts.

    ask, tell ── Router ── mailbox ── ReadyQueue ── Scheduler ── CommitLane ── Journal
                    │                                    │              │
                 peers                                Effects ◄── after the commit

Each part gets only what it uses. Only this module knows all of them.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
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
from actors.tracing import NO_TRACER, Tracer

# One lane: a batch of twice the size costs each commit a quarter less of the server's and of Postgres's time
# (loadtests/README.md). One lane writes more than one Python thread can decide.
LANES = 1
CELLS_MAX = 120_000
# Time for commits under way when the runtime ends.
DRAIN_S = 5.0


def _no_log(event: str, **values: object) -> None:
    del event, values


def _ignore(shard: int) -> None:
    del shard


class Runtime:
    """Runs actors on one instance. Open it with `running()`.

    Args:
        instance, incarnation: stable name, and the name of this life of the process (generated if absent).
        peers: forwards messages to other instances. Without it the instance is alone and owns every shard.
        lost: called with a shard that another instance has claimed.
        computed: queries, by name, that are computed from their parameters and not read from the journal.
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
        computed: Mapping[str, Callable[..., Awaitable[Any]]] | None = None,
        tracer: Tracer = NO_TRACER,
    ) -> None:
        self.instance = instance
        self.incarnation = incarnation or f"{instance}.{entropy.token()[:12]}"
        self.journal = journal
        self.emitter = emitter
        self.clock = clock
        self.entropy = entropy
        self.log = log
        self.tracer = tracer
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
            clock=clock,
            counters=counters,
            cells=cells,
            ready=ready,
            activation=self._activation,
            lanes=self.lanes,
            peers=peers,
            log=log,
            lost=lost,
        )
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
            journal=journal,
            emitter=emitter,
            cells=cells,
            router=router,
            timers=self.timers,
            log=log,
            computed=computed or {},
        )
        scheduler = Scheduler(
            clock=clock,
            entropy=entropy,
            counters=counters,
            cells=cells,
            ready=ready,
            router=router,
            activation=self._activation,
            timers=self.timers,
            effects=self._effects,
            read_fence=self.read_fence,
            lanes=self.lanes,
            log=log,
            tracer=tracer,
        )
        self.lanes += [
            CommitLane(
                index,
                instance=instance,
                incarnation=self.incarnation,
                journal=journal,
                clock=clock,
                entropy=entropy,
                counters=counters,
                cells=cells,
                router=router,
                scheduler=scheduler,
                log=log,
                tracer=tracer,
            )
            for index in range(LANES)
        ]
        # Bound directly, because every message takes these calls.
        self.tell = router.tell
        self.deliver = router.deliver
        self.refuse = router.refuse
        self.fence_out = router.fence_out
        self.watch = self._deadlines.watch
        self.forget = self._deadlines.forget

    # -- life ---------------------------------------------------------------------------------

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Run until the block ends.

        An instance that is alone claims all shards first. In a cluster the reconciler takes and gives shards meanwhile.
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
        """Let commits under way finish, so that their askers get answers. Commits that are set aside are not waited
        for: they were not written, and their askers are told so.
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
        """Claim shards whose leases are held. Their actors are loaded when they get a message.

        The order is fixed: lease, epoch, and only then the first row is read.

        Raises:
            JournalError: not claimed, or not known; claim again.
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
        """Keep messages that arrive for the shard from now on. Turns of messages in mailboxes go on."""
        self.cells.park(shard)

    def freeze(self, shards: Sequence[int]) -> None:
        """Stop turns in these parked shards. Messages in mailboxes go in front of the parked ones."""
        for lane in self.lanes:
            lane.blocked.recall(shards)
        self.cells.freeze(shards)

    def surrender(self, shard: int) -> list[Parked]:
        """Drop a shard. Returns its waiting messages in order of arrival."""
        return self.cells.surrender(shard)

    # -- time ---------------------------------------------------------------------------------

    def now_ms(self) -> int:
        """Time of the journal's clock in milliseconds."""
        return now_ms_of(self.clock)

    @property
    def gated(self) -> int:
        """Number of commits that wait for the journal."""
        return sum(len(lane) + lane.under_way + lane.to_tell for lane in self.lanes)

    @property
    def set_aside(self) -> int:
        """Number of commits that wait for a row lock of another program."""
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
        """Send a message and wait for its reply.

        Raises:
            NotProcessed: certainly no effect.
            NoSuchActor, CommandReused, ActorCrashed: no effect; see errors.py.
            OutcomeUnknown: the time ended after the commit was sent.
        """
        reply: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        envelope = self.ask_for(reply, to, message, budget_s=budget_s, command=command, trace=trace)
        try:
            return await reply
        finally:
            self.forget(envelope)
            del reply  # breaks a reference cycle: its error's traceback has this frame

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
        """Send a message; the reply goes to a receiver.

        `reply` may be resolved before this returns. It must not raise or call the runtime, and its owner must call
        `forget()` afterwards.
        """
        until = self.clock.monotonic() + budget_s
        envelope = Envelope(to, message, until, command=command, trace=trace, reply=reply)
        self.watch(envelope)
        self.deliver(envelope)
        return envelope
