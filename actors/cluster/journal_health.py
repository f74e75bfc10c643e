"""Journal health: whether this instance reaches the journal.

An instance without the journal cannot commit, and its shards would not make progress. If other members reach it, this
instance gives them its shards and goes on as an edge. If no member does, no shard moves.
"""

from __future__ import annotations

import asyncio
from typing import Protocol

from actors.cluster.leases import ACTIVE, Member
from actors.cluster.membership import Membership
from actors.cluster.peer_links import PeerLinks
from actors.cluster.transport import LinkLost
from actors.errors import JournalError
from actors.runtime import Runtime

LOOK_S = 0.5
ANSWER_S = 1.0
# A restart of the journal takes less; moving shards away and back would cost more.
PATIENCE_S = 3.0
WELL_S = 2.0
ASK_S = 0.5


class AilingMember(Protocol):
    """Receiver of changes of journal health: the reconciler."""

    member: Member
    membership: Membership

    def ail(self, *, ailing: bool) -> None:
        """Tell the other members that this instance can or cannot write."""
        ...


class JournalHealth:
    """Checks the journal twice a second."""

    def __init__(self, reconciler: AilingMember, runtime: Runtime, peers: PeerLinks) -> None:
        self._reconciler = reconciler
        self._runtime = runtime
        self._peers = peers
        self._seen_at = runtime.clock.monotonic()

    @property
    def silent_s(self) -> float:
        """Seconds since the journal's last answer."""
        return self._runtime.clock.monotonic() - self._seen_at

    @property
    def is_well(self) -> bool:
        """True if the journal has answered recently."""
        return self.silent_s < WELL_S

    async def run(self) -> None:
        """Check until cancelled."""
        self._seen_at = self._runtime.clock.monotonic()
        while True:
            await asyncio.sleep(LOOK_S)
            try:
                async with asyncio.timeout(ANSWER_S):
                    await self._runtime.journal.wall()
                self._seen_at = self._runtime.clock.monotonic()
                self._reconciler.ail(ailing=False)
            except (JournalError, TimeoutError):
                state = self._reconciler.member.state
                if self.silent_s > PATIENCE_S and state == ACTIVE and await self._others_are_well():
                    self._reconciler.ail(ailing=True)

    async def _others_are_well(self) -> bool:
        """True if an active peer reports that it reaches the journal."""
        for member in list(self._reconciler.membership.active.values()):
            if member.incarnation in self._peers.links:
                try:
                    if await self._peers.call(member.incarnation, "healthy", None, ASK_S):
                        return True
                except (LinkLost, TimeoutError):
                    continue
        return False
