"""Leases in memory: the scripts of storage/redis/lua over dictionaries.

Each call is atomic. The simulator's `wire` adds delays and losses. Time and random numbers come only from the given
clocks and entropy.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field, replace
from typing import Protocol, TypeVar

from actors.clock import Randomness
from actors.cluster.leases import LEASE_S, RENEW_JITTER, RENEW_S, Holding, LeasesAway, Member, Tick
from actors.shards import SHARD_COUNT

T = TypeVar("T")

# As in the real store: a hundred ticks a second at most, however often `hurry` is called.
GAP_S = 0.01


@dataclass(slots=True)
class _Known:
    """Keys with values and expiry times, as in Redis."""

    gen: str = ""
    young_until_ms: int = 0
    records: dict[str, tuple[Member, int]] = field(default_factory=dict)
    leases: dict[int, tuple[str, int]] = field(default_factory=dict)


class LeaseTable:
    """State that Redis would hold, shared by several stores.

    Args:
        clock: the store's clock, seconds.
        lease_s: lifetime of records and leases.
    """

    def __init__(self, clock: Callable[[], float], lease_s: float = LEASE_S) -> None:
        self._clock = clock
        self._lease_ms = round(lease_s * 1000)
        self._process = 0
        self._known = _Known()

    def snapshot(self) -> _Known:
        """Copy of the state, as a replica or a file would have it."""
        known = self._known
        return replace(known, records=dict(known.records), leases=dict(known.leases))

    def restore(self, known: _Known) -> None:
        """Continue with an earlier snapshot, like another Redis process."""
        self._known = known
        self._process += 1

    def flush(self) -> None:
        """Lose all data."""
        self._known = _Known()

    def tick(self, holding: Holding, token: str, sent_at: float) -> Tick:
        """tick.lua."""
        now_ms = self._expire()
        until_ms = now_ms + self._lease_ms
        if self._is_strange:
            self._known.gen, self._known.young_until_ms = f"{self._process}:{token}", until_ms
        member = holding.member
        before = self._known.records.get(member.instance)
        self._known.records[member.instance] = (member, until_ms)
        for shard in holding.shards:
            if self._holder(shard) in ("", member.incarnation):
                self._known.leases[shard] = (member.incarnation, until_ms)
        return Tick(
            sent_at=sent_at,
            gen=self._known.gen,
            young=now_ms < self._known.young_until_ms,
            members=tuple(self._known.records[name][0] for name in sorted(self._known.records)),
            holders=tuple(self._holder(shard) for shard in range(SHARD_COUNT)),
            before=before[0] if before else None,
        )

    def acquire(self, incarnation: str, shards: Sequence[int], *, proven: bool) -> list[int]:
        """acquire.lua."""
        now_ms = self._expire()
        if not proven and (self._is_strange or now_ms < self._known.young_until_ms):
            return []
        won = [shard for shard in dict.fromkeys(shards) if not self._holder(shard)]
        self._known.leases |= dict.fromkeys(won, (incarnation, now_ms + self._lease_ms))
        return won

    def transfer(self, shards: Sequence[int], giver: str, taker: str) -> list[int]:
        """transfer.lua."""
        now_ms = self._expire()
        passed = [shard for shard in dict.fromkeys(shards) if self._holder(shard) == giver]
        self._known.leases |= dict.fromkeys(passed, (taker, now_ms + self._lease_ms))
        return passed

    def release(self, incarnation: str, shards: Sequence[int]) -> None:
        """release.lua without an instance."""
        self._expire()
        for shard in shards:
            if self._holder(shard) == incarnation:
                del self._known.leases[shard]

    def suspect(self, incarnation: str, instance: str, quiet_s: float) -> bool:
        """suspect.lua."""
        now_ms = self._expire()
        remaining_ms_max = self._lease_ms - round(quiet_s * 1000)
        ends = [until_ms for holder, until_ms in self._known.leases.values() if holder == incarnation]
        if self._is_recorded(incarnation, instance):
            ends.append(self._known.records[instance][1])
        if any(until_ms - now_ms > remaining_ms_max for until_ms in ends):
            return False
        self.leave(incarnation, instance)
        return True

    def leave(self, incarnation: str, instance: str) -> None:
        """release.lua with an instance."""
        self.release(incarnation, range(SHARD_COUNT))
        if self._is_recorded(incarnation, instance):
            del self._known.records[instance]

    @property
    def _is_strange(self) -> bool:
        return self._known.gen.partition(":")[0] != str(self._process)

    def _holder(self, shard: int) -> str:
        return self._known.leases[shard][0] if shard in self._known.leases else ""

    def _is_recorded(self, incarnation: str, instance: str) -> bool:
        return instance in self._known.records and self._known.records[instance][0].incarnation == incarnation

    def _expire(self) -> int:
        """Remove expired keys. Returns the time in milliseconds, Redis's resolution."""
        now_ms = round(self._clock() * 1000)
        self._known.records = {k: kept for k, kept in self._known.records.items() if kept[1] > now_ms}
        self._known.leases = {k: kept for k, kept in self._known.leases.items() if kept[1] > now_ms}
        return now_ms


class Wire(Protocol):
    """Calls the table. May delay the call, or lose it or its answer by raising LeasesAway."""

    def __call__(self, call: Callable[[], T], /) -> Awaitable[T]: ...


async def at_once(call: Callable[[], T]) -> T:
    """Wire without delay and loss."""
    return call()


class MemoryLeases:
    """Implements actors.cluster.leases.LeaseStore over a table that several of these share.

    Ticks are a task on the loop, so that a simulated run can be replayed from its seed. The real store survives an
    error in `holding` or `told`. Here it ends the block, so that a simulation sees it.

    Args:
        table: what Redis would hold.
        clock: the boot clock of this instance, seconds; may differ from the table's.
        entropy: tokens and jitter.
        wire: all calls go through it.
        renew_s: pause between ticks.
    """

    def __init__(
        self,
        table: LeaseTable,
        clock: Callable[[], float],
        entropy: Randomness,
        wire: Wire = at_once,
        renew_s: float = RENEW_S,
    ) -> None:
        self._table = table
        self._clock = clock
        self._entropy = entropy
        self._wire = wire
        self._renew_s = renew_s
        self._wake = asyncio.Event()

    @asynccontextmanager
    async def ticking(
        self, holding: Callable[[], Holding], told: Callable[[Tick | None], None]
    ) -> AsyncIterator[None]:
        """Renew in a task until the block ends."""
        async with asyncio.TaskGroup() as tasks:
            ticker = tasks.create_task(self._run(holding, told), name="lease ticker")
            try:
                yield
            finally:
                ticker.cancel()

    def hurry(self) -> None:
        """Run the next tick now."""
        self._wake.set()

    async def acquire(self, incarnation: str, shards: Sequence[int], *, proven: bool) -> list[int]:
        return await self._wire(lambda: self._table.acquire(incarnation, shards, proven=proven))

    async def transfer(self, shards: Sequence[int], giver: str, taker: str) -> list[int]:
        return await self._wire(lambda: self._table.transfer(shards, giver, taker))

    async def release(self, incarnation: str, shards: Sequence[int]) -> None:
        await self._wire(lambda: self._table.release(incarnation, shards))

    async def suspect(self, incarnation: str, instance: str, quiet_s: float) -> bool:
        return await self._wire(lambda: self._table.suspect(incarnation, instance, quiet_s))

    async def leave(self, incarnation: str, instance: str) -> None:
        await self._wire(lambda: self._table.leave(incarnation, instance))

    async def _run(self, holding: Callable[[], Holding], told: Callable[[Tick | None], None]) -> None:
        while True:
            self._wake.clear()
            began = self._clock()
            told(await self._tick(holding()))
            pause_s = self._renew_s * (1 + RENEW_JITTER * (2 * self._entropy.random() - 1))
            await asyncio.sleep(GAP_S)
            with suppress(TimeoutError):
                async with asyncio.timeout(min(pause_s, max(0.0, pause_s - (self._clock() - began)))):
                    await self._wake.wait()

    async def _tick(self, holding: Holding) -> Tick | None:
        sent_at, token = self._clock(), self._entropy.token()
        try:
            return await self._wire(lambda: self._table.tick(holding, token, sent_at))
        except LeasesAway:
            return None
