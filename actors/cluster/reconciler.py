"""Reconciler: compares the shards that this instance should serve with those it serves, and takes the next step.

Level-triggered: each tick of the lease store, and each event that may matter, causes one look at all shards. Each step
can be repeated and depends on no other, so the next look finds a failed step again. There is no coordinator and no
global barrier; each shard moves by itself.

    should be | lease of           | here     | step
    ----------|--------------------|----------|------------------------------------------------------
    mine      | no instance        | not mine | acquire, claim
    mine      | me                 | not mine | claim
    mine      | an old life of me  | not mine | transfer to this life, claim
    mine      | another instance   | not mine | wait: its holder gives it, or its lease ends
    another's | me                 | mine     | hand over (handover.py), once the other is active
    another's | me                 | not mine | release
    any       | another instance   | mine     | compare epochs with the journal; lost, or keep
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

from actors.cancellation import end
from actors.cluster.failure_detector import FailureDetector
from actors.cluster.handover import Handover
from actors.cluster.journal_health import JournalHealth
from actors.cluster.lease_state import LeaseState
from actors.cluster.leases import (
    ACTIVE,
    AILING,
    JOINING,
    RENEW_S,
    Holding,
    LeasesAway,
    LeaseStore,
    Member,
    Tick,
)
from actors.cluster.membership import Membership
from actors.cluster.peer_links import PeerLinks
from actors.cluster.placement import desired
from actors.cluster.routing_table import RoutingTable
from actors.cluster.transport import Greeting
from actors.errors import JournalError
from actors.runtime import Runtime

# A new member serves after this long at the latest, also without all links: a peer may stay unreachable.
JOIN_S = 3.0


# Pause before the next tick while a member is missing, instead of a second.
DOUBT_S = 0.25


class Reconciler:
    """Ownership of one instance. Open it with `running()`, inside the runtime's and the peers'. drain.py ends it.

    Args:
        taken: called with shards that this instance has just begun to serve.
        usurped: called when a younger life of this instance runs, so that this one ends.
        status: makes the status that peers ask for.
    """

    def __init__(
        self,
        runtime: Runtime,
        leases: LeaseStore,
        peers: PeerLinks,
        routing_table: RoutingTable,
        *,
        version: str = "",
        life: int = 0,
        taken: Callable[[Sequence[int]], None],
        cut_off: Callable[[str], None],
        usurped: Callable[[], None],
        status: Callable[[], Awaitable[Any]],
    ) -> None:
        self.member = Member(runtime.instance, runtime.incarnation, "", JOINING, version, life=life)
        self.lease_state = LeaseState(runtime.clock)
        self.membership = Membership(runtime.incarnation)
        self.counts: Counter[str] = Counter()
        self.tick: Tick | None = None
        self.handover = Handover(self, runtime, leases, peers)
        self.failure_detector = FailureDetector(self, leases)
        self.health = JournalHealth(self, runtime, peers)
        self.leases = leases
        self.runtime = runtime
        self._peers = peers
        self._routing_table = routing_table
        self._taken = taken
        self._cut_off = cut_off
        self._status = status
        self._usurped = usurped
        # Set once this instance serves and each shard has a known owner.
        self.settled = asyncio.Event()
        self._wake = asyncio.Event()
        self._claiming = asyncio.Lock()
        self._ticked = asyncio.Event()
        self._owned_at: dict[int, float] = {}
        self._doubtful: frozenset[int] = frozenset()
        self._joined_at = 0.0
        self._tasks: asyncio.TaskGroup | None = None

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Reconcile until the block ends. See drain.py for a clean leave."""
        runtime = self.runtime
        runtime.read_fence.sure = self._is_sure
        self.member = replace(self.member, address=self._peers.address, since_ms=runtime.now_ms())
        self._joined_at = runtime.clock.monotonic()
        async with self.leases.ticking(self._holding, self._told), asyncio.TaskGroup() as tasks:
            self._tasks = tasks
            loops = [
                tasks.create_task(self._run(), name="keeper"),
                tasks.create_task(self.health.run(), name="health of the journal"),
            ]
            try:
                yield
            finally:
                await end(loops)
                await self.handover.end()
                self._tasks = None

    @property
    def is_running(self) -> bool:
        return self._tasks is not None

    @property
    def tasks(self) -> asyncio.TaskGroup:
        assert self._tasks is not None, "the keeper is not running"
        return self._tasks

    def _is_sure(self, shard: int) -> bool:
        """True if a reply from memory needs no check of its epoch. Called for each one.

        A shard that is served here under another holder's lease is in doubt too: that lease may end and go to a third
        instance while all renewals of this one succeed.
        """
        sure = shard not in self._doubtful and self.lease_state.sure()
        if not sure:
            self.counts["doubts"] += 1
        return sure

    # -- what it hears ------------------------------------------------------------------------

    def _holding(self) -> Holding:
        return Holding(self.member, tuple(self.runtime.cells.held()))

    def _told(self, tick: Tick | None) -> None:
        if tick is None:
            self.counts["ticks_failed"] += 1
        else:
            self.tick = tick
            if tick.removed:
                self.runtime.log(
                    "mended_lease_store", removed=list(tick.removed[:16]), count=len(tick.removed)
                )
            self.lease_state.renewed(tick.sent_at)
            self.membership.learn(tick)
            self.membership.update(self.member)
            owned = self.runtime.cells.owned
            self._doubtful = frozenset(self._foreign(tick))
            self._routing_table.learn(tick, self.runtime.incarnation, lambda shard: owned[shard] is not None)
            self._ticked.set()
            self._mind_rival(tick.before)
            if self.membership.in_doubt:
                asyncio.get_running_loop().call_later(DOUBT_S, self.leases.hurry)
        self.look()

    def _mind_rival(self, before: Member | None) -> None:
        """End the older of two lives under one name, which would take each other's shards for ever."""
        me = self.member
        if before is not None and before.incarnation != me.incarnation and before.life > me.life:
            self.runtime.log("found_younger_life", instance=me.instance, rival=before.address)
            self._usurped()

    def look(self) -> None:
        """Schedule a look at all shards."""
        self._wake.set()

    def lost(self, shard: int) -> None:
        """Note that another instance has claimed a shard, and ask the peers for its owner."""
        self._routing_table.forget(shard, self.runtime.incarnation)
        self._peers.broadcast(["W", [shard]])
        self.look()

    def owned_by(self, incarnation: str, epochs: list[tuple[int, int]]) -> None:
        """Note that a peer serves these shards at these epochs. A higher epoch than ours ends our ownership."""
        self._routing_table.hear(incarnation, epochs, self.runtime.clock.boot())
        for shard, epoch in epochs:
            ownership = self.runtime.cells.owned[shard]
            if ownership is not None and epoch > ownership.epoch:
                if ownership.parked is not None:
                    self.handover.hand_on(shard)
                else:
                    self.runtime.fence_out(shard)

    def mine(self, shards: Iterable[int] | None) -> list[tuple[int, int]]:
        """Those of these shards (None: of all) that are served here, with their epochs."""
        owned = self.runtime.cells.owned
        looked = owned if shards is None else [owned[s] for s in shards]
        return [(o.shard, o.epoch) for o in looked if o is not None and o.parked is None]

    def cut_off(self, incarnation: str) -> None:
        """A link to a peer has ended: its frames may be lost, and its shards may be free."""
        self._cut_off(incarnation)
        self.leases.hurry()
        asyncio.get_running_loop().call_later(DOUBT_S, self.leases.hurry)

    def dialled(self, incarnation: str, *, known: bool) -> None:
        """A peer has made a link: frames on its link before may be lost."""
        self._cut_off(incarnation)
        if not known:
            self.leases.hurry()  # a new member, or one considered gone: there is no link to it yet
        self.look()

    async def called(self, name: str, peer: Greeting, value: Any) -> Any:
        """Answer a peer's call."""
        if name == "take":
            giver = self.membership.of(peer.incarnation)
            if giver is not None:
                self.membership.update(replace(giver, state=value["state"]))
            return await self.handover.take(value["shards"])
        if name == "healthy":
            return self.health.is_well
        if name == "status":
            return await self._status()
        raise ValueError(name)

    # -- the look -----------------------------------------------------------------------------

    async def _run(self) -> None:
        while True:
            try:
                async with asyncio.timeout(RENEW_S):
                    await self._wake.wait()
            except TimeoutError:
                pass
            self._wake.clear()
            try:
                await self._look()
            except (LeasesAway, JournalError) as error:
                self.counts["looks_failed"] += 1
                self.runtime.log("failed_look", exc_info=error)
                await asyncio.sleep(0.1)
            except Exception as error:  # noqa: BLE001 - who cannot look must not stop looking
                self.counts["looks_failed"] += 1
                self.runtime.log("crashed_look", exc_info=error)
                await asyncio.sleep(RENEW_S)

    async def _look(self) -> None:
        """Take one step for each shard that is not as it should be."""
        self._peers.meet(self.membership.members)
        if self.lease_state.must_check and self.lease_state.margin_s > 0:
            await self._check(self.runtime.cells.held())
            self.lease_state.checked()
        if self.member.state == JOINING and self._may_serve():
            self.become(ACTIVE)
        tick = self.tick
        if tick is None or not self.lease_state.sure():
            return  # without renewals, shards are neither taken nor given
        await self._check(self._foreign(tick))
        wanted, me = self.wanted(), self.runtime.incarnation
        await self._take([s for s, owner in enumerate(wanted) if owner == me], tick)
        await self._release([s for s, owner in enumerate(wanted) if owner != me], tick)
        self.handover.give(wanted)
        if self.member.state == ACTIVE and not self._routing_table.counts().get(""):
            self.settled.set()

    def wanted(self) -> tuple[str, ...]:
        """The incarnation that should serve each shard."""
        active = self.membership.active
        names = {name: member.incarnation for name, member in active.items()}
        versions = {name: member.version for name, member in active.items()}
        return tuple(names.get(name, "") for name in desired(active, versions=versions))

    def _may_serve(self) -> bool:
        """True if a tick has shown the members, and there are links to and from each of them."""
        if self.tick is None:
            return False
        others = [m.incarnation for m in self.membership.members if m.incarnation != self.runtime.incarnation]
        late = self.runtime.clock.monotonic() - self._joined_at > JOIN_S
        return late or all(i in self._peers.links and self._peers.has_dialled(i) for i in others)

    def become(self, state: str) -> None:
        """Change the own member state, and publish it with an early tick."""
        self.member = replace(self.member, state=state)
        self.membership.update(self.member)
        self.runtime.log("changed_state", state=state)
        self.leases.hurry()
        self.look()

    def _foreign(self, tick: Tick) -> list[int]:
        """Shards that are served here although another incarnation has their lease."""
        me = self.runtime.incarnation
        return [
            s
            for s in self.runtime.cells.held()
            if tick.holders[s] != me
            and self._owned_at.get(s, 0.0) < tick.sent_at
            and not self.handover.moves(s)
        ]

    async def _check(self, shards: Sequence[int]) -> None:
        """Compare epochs with the journal, and drop those of these shards that another instance has claimed."""
        if not shards:
            return
        rows = await self.runtime.journal.shards()
        for shard in shards:
            ownership = self.runtime.cells.owned[shard]
            if ownership is not None and rows[shard].epoch > ownership.epoch:
                self.runtime.fence_out(shard)

    async def _take(self, shards: Sequence[int], tick: Tick) -> None:
        runtime, me = self.runtime, self.runtime.incarnation
        missing = [s for s in shards if runtime.cells.owned[s] is None and not self.handover.moves(s)]
        if not missing:
            return
        free = [s for s in missing if tick.holders[s] == ""]
        won = [s for s in missing if tick.holders[s] == me]
        if free and tick.young:
            rows = await runtime.journal.shards()
            proven = [s for s in free if rows[s].owner in (None, runtime.instance)]
            won += await self.leases.acquire(me, proven, proven=True)
            free = [s for s in free if s not in proven]
        if free:
            won += await self.leases.acquire(me, free, proven=False)
        for giver in sorted({tick.holders[s] for s in missing} - {"", me}):
            if giver.rpartition(".")[0] == runtime.instance:
                old = [s for s in missing if tick.holders[s] == giver]
                won += await self.leases.transfer(old, giver, me)
        if won:
            await self.own(won)

    async def own(self, shards: Sequence[int]) -> list[tuple[int, int]]:
        """Claim shards whose leases are held, and serve them. Returns them with their epochs."""
        runtime, owned = self.runtime, self.runtime.cells.owned
        async with self._claiming:
            # A giver's call and a look may find the same shards: one claim is enough.
            missing = [s for s in shards if (o := owned[s]) is None or o.parked is not None]
            if missing:
                await runtime.take(missing)
        now = runtime.clock.boot()
        for shard in missing:
            self._owned_at[shard] = now
        epochs = self.mine(shards)
        self.counts["shards_taken"] += len(missing)
        if missing:
            runtime.log("took_shards", count=len(missing), shards=missing[:16])
        self._routing_table.hear(runtime.incarnation, epochs, now)
        self._peers.broadcast(["O", epochs])
        self._taken(missing)
        self.leases.hurry()
        return epochs

    async def _release(self, shards: Sequence[int], tick: Tick) -> None:
        me, owned = self.runtime.incarnation, self.runtime.cells.owned
        idle = [
            s
            for s in shards
            if tick.holders[s] == me
            and owned[s] is None
            and self._owned_at.get(s, 0.0) < tick.sent_at
            and not self.handover.moves(s)
        ]
        if idle:
            await self.leases.release(me, idle)

    # -- the dead and the ailing --------------------------------------------------------------

    def suspect(self, member: Member) -> None:
        """Suspect a member whose link has ended and whose address refuses connections."""
        self.failure_detector.raise_against(member)

    def buried(self, member: Member) -> None:
        """Take in that the lease store has removed a dead peer: its shards are free."""
        self.counts["buried"] += 1
        self.runtime.log("buried_peer", peer=member.incarnation)
        self.membership.defer_close(member.incarnation, certain=True)
        self._routing_table.forget_all(member.incarnation)
        self.leases.hurry()

    def ail(self, *, ailing: bool) -> None:
        """Change between AILING and ACTIVE: only this instance lost the journal, or it has it again."""
        if ailing and self.member.state == ACTIVE:
            self.become(AILING)
        elif not ailing and self.member.state == AILING:
            self.become(ACTIVE)

    async def next_tick(self) -> None:
        """Wait for the next successful tick."""
        self._ticked.clear()
        self.leases.hurry()
        await self._ticked.wait()
