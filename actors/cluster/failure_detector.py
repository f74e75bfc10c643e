"""Failure detector: the fast path to a takeover.

A peer is probably dead if its link was reset and its address refuses connections. Its leases would last up to four more
seconds. So the lease store is asked to remove them as soon as they were not renewed for QUIET_S. An early takeover is
safe (the fence), and a slow peer does not refuse connections.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import Protocol

from actors.cluster.leases import QUIET_S, LeasesAway, LeaseStore, Member

# Pause between two tries at the store; and the time after which the peer is left to its lease.
EVERY_S = 0.2
GIVE_UP_S = 6.0


class SuspicionListener(Protocol):
    """Receiver of confirmed failures: the reconciler."""

    counts: Counter[str]

    @property
    def is_running(self) -> bool: ...

    @property
    def tasks(self) -> asyncio.TaskGroup: ...

    def buried(self, member: Member) -> None:
        """Note that the member is dead and its shards are free."""
        ...


class FailureDetector:
    """Peers that are probably dead, each with a task that finds out."""

    def __init__(self, reconciler: SuspicionListener, leases: LeaseStore) -> None:
        self._reconciler = reconciler
        self._leases = leases
        self._against: set[str] = set()

    def raise_against(self, member: Member) -> None:
        """Find out whether a peer still renews its leases; one task per peer."""
        if member.incarnation not in self._against and self._reconciler.is_running:
            self._against.add(member.incarnation)
            self._reconciler.tasks.create_task(self._ask(member), name=f"suspect {member.incarnation}")

    async def _ask(self, member: Member) -> None:
        try:
            async with asyncio.timeout(GIVE_UP_S):
                while not await self._is_dead(member):  # noqa: ASYNC110 - the store has no event for it
                    await asyncio.sleep(EVERY_S)
            self._reconciler.buried(member)
        except TimeoutError:
            self._reconciler.counts["spared"] += 1
        finally:
            self._against.discard(member.incarnation)

    async def _is_dead(self, member: Member) -> bool:
        try:
            return await self._leases.suspect(member.incarnation, member.instance, QUIET_S)
        except LeasesAway:
            return False
