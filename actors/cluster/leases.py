"""Leases: who should serve a shard. Liveness only; safety is the epoch in the journal.

A lease may vanish at any moment (its time ran out, Redis was emptied, a replica took over), and nothing
wrong comes of it: it says who should try, and the journal's fence says who may write. The numbers are one
set; changing one means looking at all.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Protocol

from actors.values import frozen

# Three renewals in a row may fail.
LEASE_S = 4.0
RENEW_S = 1.0
# Each pause between renewals is up to this share longer or shorter, so that instances do not march in step.
RENEW_JITTER = 0.1
# Clocks may run apart by 5 % of a lease, and a scheduler may be half a second late.
MARGIN_S = 0.5 + 0.05 * LEASE_S
# A lease is believed this long, counted from before its renewal was sent.
VALID_S = LEASE_S - MARGIN_S
# An instance whose line was refused and that renewed nothing for this long is taken for dead.
QUIET_S = 1.5
# A loop that made no progress for this long does not get its leases renewed: somebody else should serve.
LOOP_DEAD_S = 2.0

JOINING, ACTIVE, AILING, DRAINING = "joining", "active", "ailing", "draining"


class LeasesAway(Exception):
    """The lease store did not answer in time."""


@frozen
class Member:
    """One life of an instance, as it tells the others about itself.

    Attributes:
        instance: stable name; a restart under the same name gets the same shards.
        incarnation: this life of it.
        address: `host:port` where it takes the lines of its peers.
        state: JOINING (not yet able to serve), ACTIVE, AILING (cannot reach the journal, others can: gives
            its shards away until it can again), or DRAINING (gives everything away and leaves).
        version: of the program.
        since_ms: when this life began, by the journal's clock; for people.
        life: its number, which the journal gives out: of two lives the one that began later has the higher one,
            whatever clocks say. 0: a program that does not count them, so an older one.
    """

    instance: str
    incarnation: str
    address: str
    state: str = JOINING
    version: str = ""
    since_ms: int = 0
    life: int = 0


@frozen
class Holding:
    """What an instance says with each tick. Immutable: another thread reads it."""

    member: Member
    shards: tuple[int, ...] = ()


@frozen
class Tick:
    """What one renewal has shown.

    Attributes:
        sent_at: reading of the boot clock before it was sent; leases are good until `sent_at + VALID_S`.
        gen: a token that changes when the store has lost its memory.
        young: True while that was less than LEASE_S ago.
        members: everybody whose record is alive, ordered by instance.
        holders: the incarnation that holds each shard, "" for nobody; by number of shard. Held shards
            that had no holder any more were taken back for the caller in the same step.
        before: whose record stood under the caller's name; another incarnation is an old life of it, or
            somebody else who uses the name.
        removed: keys that none of us can have written, and that would have failed every tick: what, and why.
    """

    sent_at: float
    gen: str
    young: bool
    members: tuple[Member, ...]
    holders: tuple[str, ...]
    before: Member | None = None
    removed: tuple[str, ...] = ()


class LeaseStore(Protocol):
    """The lease store as one instance uses it. All methods raise `LeasesAway`; none repeats by itself."""

    def ticking(
        self, holding: Callable[[], Holding], told: Callable[[Tick | None], None]
    ) -> AbstractAsyncContextManager[None]:
        """Renew membership and leases every RENEW_S until the block ends, independently of the loop's
        pauses, but not past LOOP_DEAD_S without progress of the loop.

        `holding` is asked before each tick, perhaps in another thread; `told` is called on the loop with
        what the tick has shown, or None when it failed.
        """
        ...

    def hurry(self) -> None:
        """Have the next tick now."""
        ...

    async def acquire(self, incarnation: str, shards: Sequence[int], *, proven: bool) -> list[int]:
        """Take shards that nobody holds; returns what was won.

        A store that has just lost its memory refuses unless `proven`: the journal names the caller, or
        nobody, as the owner of these shards.
        """
        ...

    async def transfer(self, shards: Sequence[int], giver: str, taker: str) -> list[int]:
        """Pass leases on, without a moment in which nobody holds them; returns what was passed on."""
        ...

    async def release(self, incarnation: str, shards: Sequence[int]) -> None:
        """Give up leases that are still held by this incarnation."""
        ...

    async def suspect(self, incarnation: str, instance: str, quiet_s: float) -> bool:
        """Remove an incarnation and its leases if it renewed nothing for `quiet_s`.

        Returns True when it is gone: removed now, or before.
        """
        ...

    async def leave(self, incarnation: str, instance: str) -> None:
        """Remove the own record and all own leases."""
        ...
