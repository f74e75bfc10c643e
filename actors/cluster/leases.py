"""Port of the lease store. Leases say which instance should serve a shard; safety is the epoch in the journal.

A lease may vanish at any time (it ended, Redis was emptied, a replica took over) without harm: the journal's fence
decides which instance may write. The durations below depend on each other.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Protocol

from actors.values import frozen

# Three renewals in a row may fail.
LEASE_S = 4.0
RENEW_S = 1.0
# Jitter: each pause between renewals is up to this share longer or shorter, so that instances do not renew in step.
RENEW_JITTER = 0.1
# Allowance: clocks may differ by 5 % of a lease, and a scheduler may be half a second late.
MARGIN_S = 0.5 + 0.05 * LEASE_S
# A lease is valid for this long, counted from before its renewal was sent.
VALID_S = LEASE_S - MARGIN_S
# An instance that refuses connections and renewed nothing for this long is considered dead.
QUIET_S = 1.5
# An event loop without progress for this long gets no renewals: another instance should serve.
LOOP_DEAD_S = 2.0

JOINING, ACTIVE, AILING, DRAINING = "joining", "active", "ailing", "draining"


class LeasesAway(Exception):
    """The lease store did not answer in time."""


@frozen
class Member:
    """Member record: one life of an instance, as published to the others.

    Attributes:
        instance: stable name; a restart under the same name gets the same shards.
        incarnation: name of this life of it.
        address: `host:port` where it accepts links of its peers.
        state: JOINING (cannot serve yet), ACTIVE, AILING (does not reach the journal while others do, and gives its
            shards away), or DRAINING (gives its shards away and leaves).
        version: of the program.
        since_ms: start of this life by the journal's clock; for people.
        life: number of this life, from the journal: a later life has a higher one, independent of clocks. 0: an older
            version, without numbers.
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
    """Record and shards that an instance publishes with each tick. Immutable: another thread reads it."""

    member: Member
    shards: tuple[int, ...] = ()


@frozen
class Tick:
    """Result of one renewal.

    Attributes:
        sent_at: boot time before it was sent; leases are valid until `sent_at + VALID_S`.
        gen: generation: a token that changes when the store has lost its data.
        young: True until LEASE_S after the store lost its data.
        members: members whose records are alive, ordered by instance.
        holders: the incarnation that holds each shard, "" for none; by number of shard. Held shards without a holder
            were taken back for the caller in the same step.
        before: incarnation of the record that was under the caller's name; another one is an earlier life, or another
            process that uses the name.
        removed: keys that no instance can have written and that would fail every tick, each with the reason.
    """

    sent_at: float
    gen: str
    young: bool
    members: tuple[Member, ...]
    holders: tuple[str, ...]
    before: Member | None = None
    removed: tuple[str, ...] = ()


class LeaseStore(Protocol):
    """Lease store of one instance. All methods raise `LeasesAway`; none retries."""

    def ticking(
        self, holding: Callable[[], Holding], told: Callable[[Tick | None], None]
    ) -> AbstractAsyncContextManager[None]:
        """Renew membership and leases every RENEW_S until the block ends.

        Pauses of the event loop do not delay renewals, but a loop without progress for LOOP_DEAD_S gets none.

        `holding` is called before each tick, perhaps in another thread. `told` is called on the loop with the tick's
        result, or None after a failure.
        """
        ...

    def hurry(self) -> None:
        """Run the next tick now."""
        ...

    async def acquire(self, incarnation: str, shards: Sequence[int], *, proven: bool) -> list[int]:
        """Acquire leases of shards without a holder. Returns those acquired.

        A store that has just lost its data refuses unless `proven`: the journal names the caller, or none, as the
        owner.
        """
        ...

    async def transfer(self, shards: Sequence[int], giver: str, taker: str) -> list[int]:
        """Transfer leases in one step, so that they always have a holder. Returns those transferred."""
        ...

    async def release(self, incarnation: str, shards: Sequence[int]) -> None:
        """Release leases that this incarnation still holds."""
        ...

    async def suspect(self, incarnation: str, instance: str, quiet_s: float) -> bool:
        """Remove an incarnation and its leases if it renewed nothing for `quiet_s`.

        Returns True if it is gone, now or before.
        """
        ...

    async def leave(self, incarnation: str, instance: str) -> None:
        """Remove the own member record and all own leases."""
        ...
