"""Hand-over: moves shards from their owner to the instance that should serve them.

1. The giver parks arriving messages, and lets commits under way finish (a few milliseconds). 2. It transfers the leases
in one step: they always have a holder. 3. It calls the taker, which claims and serves. The epoch rises: from here on
the giver is fenced out. 4. It drops its cells and forwards the parked messages. Asks of other instances go back to
them; they know the taker.

If the taker does not answer in time, the giver takes the leases back and claims again. If that fails too, another
instance has them, and the parked messages go to it. A shard's cells are never used after its epoch may have risen: the
giver serves again only after a claim of its own.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter, defaultdict
from collections.abc import Sequence
from typing import Any, Protocol

from actors.cancellation import end
from actors.cluster.leases import AILING, LeasesAway, LeaseStore, Member
from actors.cluster.peer_links import PeerLinks
from actors.cluster.transport import LinkLost
from actors.counters import Samples
from actors.errors import JournalError
from actors.runtime import Runtime

# Shards per hand-over. With more, the first shard waits for the last one's commit.
SHARDS_MAX = 8
# Time for mailboxes to run empty; messages left in them go with the parked ones.
QUIET_S = 0.2
# Time for commits under way: a flush is limited to 3 s. After that the shards stay here for now.
COMMIT_S = 1.0
TAKE_S = 2.0
LOOK_S = 0.002


class ShardOwner(Protocol):
    """Owner of shards, as hand-over needs it: the reconciler."""

    member: Member
    counts: Counter[str]

    @property
    def tasks(self) -> asyncio.TaskGroup: ...

    def look(self) -> None:
        """Ask for a look at all shards."""
        ...

    def owned_by(self, incarnation: str, epochs: list[tuple[int, int]]) -> None:
        """Note that a peer serves these shards at these epochs."""
        ...

    async def own(self, shards: list[int]) -> list[tuple[int, int]]:
        """Claim shards. Returns them with their epochs."""
        ...


class Handover:
    """Gives shards to other instances, one group at a time per taker, and takes shards from them."""

    def __init__(
        self, reconciler: ShardOwner, runtime: Runtime, leases: LeaseStore, peers: PeerLinks
    ) -> None:
        self._reconciler = reconciler
        self._runtime = runtime
        self._leases = leases
        self._peers = peers
        self._giving: dict[str, asyncio.Task[None]] = {}
        self._moving: set[int] = set()
        self._change = asyncio.Event()
        self.seconds = Samples()

    def moves(self, shard: int) -> bool:
        """True while the shard is being given or taken."""
        return shard in self._moving

    async def end(self) -> None:
        """Cancel hand-overs under way. The next owner claims shards that were left in between."""
        await end(list(self._giving.values()))

    async def changed(self) -> None:
        """Wait until a hand-over has ended, for half a second at most."""
        self._change.clear()
        try:
            async with asyncio.timeout(0.5):
                await self._change.wait()
        except TimeoutError:
            pass

    def give(self, wanted: Sequence[str]) -> None:
        """Start hand-overs to members that serve and have a link."""
        me = self._runtime.incarnation
        stranded = [s for s in self._runtime.cells.leaving() if wanted[s] == me and s not in self._moving]
        if stranded and me not in self._giving:
            task = self._reconciler.tasks.create_task(self._serve_again(stranded), name="serve again")
            self._giving[me] = task
        groups: dict[str, list[int]] = defaultdict(list)
        for shard in self._runtime.cells.held():
            if wanted[shard] not in ("", self._runtime.incarnation) and shard not in self._moving:
                groups[wanted[shard]].append(shard)
        for taker, shards in groups.items():
            if taker not in self._giving and taker in self._peers.links:
                part = shards[:SHARDS_MAX]
                task = self._reconciler.tasks.create_task(
                    self._give(part, taker), name=f"hand over to {taker}"
                )
                self._giving[taker] = task

    async def _give(self, shards: list[int], taker: str) -> None:
        clock = self._runtime.clock
        began = clock.monotonic()
        self._moving.update(shards)
        try:
            for shard in shards:
                self._runtime.park(shard)
            passed: list[int] = []
            try:
                await self._finish(shards)
                passed = await self._leases.transfer(shards, self._runtime.incarnation, taker)
                value = {"shards": passed, "state": self._reconciler.member.state}
                taken = await self._peers.call(taker, "take", value, TAKE_S)
            except (LeasesAway, LinkLost, TimeoutError) as error:
                self._reconciler.counts["handovers_failed"] += 1
                self._runtime.log("failed_handover", taker=taker, reason=type(error).__name__)
                await self._take_back(shards, taker)
            else:
                self._reconciler.owned_by(taker, [(int(s), int(e)) for s, e in taken])
                await self._take_back([s for s in shards if self._is_parked(s)], taker)
                self._reconciler.counts["handovers"] += len(taken)
                self.seconds.add(clock.monotonic() - began)
        finally:
            self._moving.difference_update(shards)
            self._giving.pop(taker, None)
            self._change.set()
            self._reconciler.look()

    async def _serve_again(self, shards: list[int]) -> None:
        """Serve parked shards again whose hand-over is cancelled."""
        self._moving.update(shards)
        try:
            await self._take_back(shards, self._runtime.incarnation)
        finally:
            self._moving.difference_update(shards)
            self._giving.pop(self._runtime.incarnation, None)
            self._reconciler.look()

    def _is_parked(self, shard: int) -> bool:
        ownership = self._runtime.cells.owned[shard]
        return ownership is not None and ownership.parked is not None

    async def _finish(self, shards: Sequence[int]) -> None:
        """Wait for commits under way, and shortly for the mailboxes.

        Raises:
            TimeoutError: a commit is still under way.
        """
        if self._reconciler.member.state == AILING:
            return  # no commit will end; their messages are forwarded, and the ring has their effects
        runtime, clock = self._runtime, self._runtime.clock
        end = clock.monotonic() + QUIET_S
        while clock.monotonic() < end and not all(map(runtime.cells.is_quiet, shards)):  # noqa: ASYNC110 - milliseconds
            await asyncio.sleep(LOOK_S)
        runtime.freeze(shards)
        async with asyncio.timeout(COMMIT_S):
            while any(map(runtime.cells.is_committing, shards)):  # noqa: ASYNC110 - milliseconds
                await asyncio.sleep(LOOK_S)

    def hand_on(self, shard: int) -> None:
        """Drop a shard that another instance serves now, and forward or send back its messages."""
        for parked in self._runtime.surrender(shard):
            envelope = parked.envelope
            envelope.left_owner()
            self._runtime.deliver(envelope, latest=parked.latest)

    async def _take_back(self, shards: Sequence[int], taker: str) -> None:
        """Serve shards of a failed hand-over again, under a new epoch and from their rows."""
        if not shards:
            return
        me = self._runtime.incarnation
        with contextlib.suppress(LeasesAway):  # the claim decides which instance serves
            await self._leases.transfer(shards, taker, me)
        tries = 0
        while self._reconciler.member.state != AILING:
            try:
                rows = await self._runtime.journal.shards()
                ours = [
                    s
                    for s in shards
                    if (o := self._runtime.cells.owned[s]) is not None and rows[s].epoch == o.epoch
                ]
                for shard in shards:
                    if shard not in ours:
                        self._runtime.fence_out(shard)
                if ours:
                    await self._reconciler.own(ours)
                return
            except JournalError:
                tries += 1
                await asyncio.sleep(min(1.0, 0.05 * 2**tries))

    async def take(self, shards: Any) -> list[tuple[int, int]]:
        """Claim shards whose leases a peer has transferred to this instance."""
        numbers = [int(s) for s in shards]
        self._moving.update(numbers)
        try:
            return await self._reconciler.own(numbers) if numbers else []
        finally:
            self._moving.difference_update(numbers)
