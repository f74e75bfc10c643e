"""Whether this instance reaches the journal.

One that does not cannot commit, and its shards would stand still for as long as that lasts. When others can,
it gives its shards to them and goes on as an edge; when nobody can, nothing moves, for it would help nobody.
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
# A restart of the journal is over by then; giving shards away and back for it would cost more.
PATIENCE_S = 3.0
WELL_S = 2.0
ASK_S = 0.5


class AilingMember(Protocol):
    """The reconciler, as the health of its journal changes it."""

    member: Member
    membership: Membership

    def ail(self, *, ailing: bool) -> None:
        """Say to the others that this instance can, or cannot, write."""
        ...


class JournalHealth:
    """Looks at the journal twice a second."""

    def __init__(self, reconciler: AilingMember, runtime: Runtime, peers: PeerLinks) -> None:
        self._reconciler = reconciler
        self._runtime = runtime
        self._peers = peers
        self._seen_at = runtime.clock.monotonic()

    @property
    def silent_s(self) -> float:
        """Since the journal's last answer."""
        return self._runtime.clock.monotonic() - self._seen_at

    @property
    def is_well(self) -> bool:
        """True when the journal has answered a moment ago."""
        return self.silent_s < WELL_S

    async def run(self) -> None:
        """Look until cancelled."""
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
        """True when some active peer says that it reaches the journal."""
        for member in list(self._reconciler.membership.active.values()):
            if member.incarnation in self._peers.links:
                try:
                    if await self._peers.call(member.incarnation, "healthy", None, ASK_S):
                        return True
                except (LinkLost, TimeoutError):
                    continue
        return False
