"""Lease store in Redis: implements actors.cluster.leases.LeaseStore.

Each call is one script, and so atomic. There are no retries here: the reconciler compares desired and actual state
every second.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.commands.core import AsyncScript

from actors.clock import Randomness, boot_clock
from actors.cluster.leases import Holding, LeasesAway, Tick
from actors.shards import SHARD_COUNT
from storage.redis.client import FAILURES
from storage.redis.keys import Keyspace
from storage.redis.lease_heartbeat import TIMEOUT_S, LeaseHeartbeat, Renewal, Timing

_LUA = Path(__file__).parent / "lua"


class RedisLeases:
    """Lease store of one instance. Connects when first used. Close it with `close`.

    Args:
        url: of the Redis server.
        entropy: tokens and jitter; also used in another thread.
        keys: of the cluster.
        clock: the boot clock, seconds; readings are compared with `Tick.sent_at` only.
        timing: shortened by tests. All instances of a cluster must agree on the length of a lease.
    """

    def __init__(
        self,
        url: str,
        entropy: Randomness,
        *,
        keys: Keyspace,
        clock: Callable[[], float] = boot_clock,
        timing: Timing = Timing(),
    ) -> None:
        self._url = url
        self._entropy = entropy
        self._base = keys.beginning()
        self._clock = clock
        self._timing = timing
        self._ticker: LeaseHeartbeat | None = None
        self._client: Redis = Redis.from_url(
            url,
            socket_timeout=TIMEOUT_S,
            socket_connect_timeout=TIMEOUT_S,
            retry=Retry(NoBackoff(), 0),
        )
        self._acquire = self._script("acquire")
        self._transfer = self._script("transfer")
        self._release = self._script("release")
        self._suspect = self._script("suspect")

    async def close(self) -> None:
        """Close the connections. To be called outside of `ticking`."""
        await self._client.aclose()

    @property
    def trouble(self) -> str:
        """Reason of the last tick's failure, for logs and /status; "" after a success."""
        return "" if self._ticker is None else self._ticker.trouble

    @asynccontextmanager
    async def ticking(
        self, holding: Callable[[], Holding], told: Callable[[Tick | None], None]
    ) -> AsyncIterator[None]:
        """Renew in a thread until the block ends. `holding` is called in that thread."""
        renewal = Renewal(self._url, self._base, self._clock, self._entropy, self._timing.lease_ms)
        ticker = LeaseHeartbeat(renewal, holding, told, self._clock, self._entropy, self._timing)
        self._ticker = ticker
        async with ticker.running():
            yield

    def hurry(self) -> None:
        """Run the next tick now. Does nothing outside of `ticking`."""
        if self._ticker is not None:
            self._ticker.hurry()

    async def acquire(self, incarnation: str, shards: Sequence[int], *, proven: bool) -> list[int]:
        """Acquire leases of shards without any holder. Returns those acquired.

        Raises:
            LeasesAway: no answer in time; the next tick shows the outcome.
        """
        won = await self._call(self._acquire, incarnation, self._timing.lease_ms, int(proven), *shards)
        return [int(shard) for shard in won]

    async def transfer(self, shards: Sequence[int], giver: str, taker: str) -> list[int]:
        """Transfer leases. Returns those transferred.

        Raises:
            LeasesAway: no answer in time; the next tick shows the outcome of the transfer.
        """
        passed = await self._call(self._transfer, giver, taker, self._timing.lease_ms, *shards)
        return [int(shard) for shard in passed]

    async def release(self, incarnation: str, shards: Sequence[int]) -> None:
        """Release leases that this incarnation still holds.

        Raises:
            LeasesAway: no answer in time; the leases expire without renewal.
        """
        await self._call(self._release, incarnation, "", *shards)

    async def suspect(self, incarnation: str, instance: str, quiet_s: float) -> bool:
        """Remove an incarnation and its leases if none of them was renewed for `quiet_s`.

        Raises:
            LeasesAway: no answer in time.
        """
        gone = await self._call(
            self._suspect, incarnation, instance, self._timing.lease_ms, round(quiet_s * 1000), SHARD_COUNT
        )
        return bool(gone)

    async def leave(self, incarnation: str, instance: str) -> None:
        """Remove the own record and all own leases. To be called after `ticking`: a tick would restore them.

        Raises:
            LeasesAway: no answer in time; they expire within a lease.
        """
        await self._call(self._release, incarnation, instance, *range(SHARD_COUNT))

    def _script(self, name: str) -> AsyncScript:
        return self._client.register_script((_LUA / f"{name}.lua").read_text())

    async def _call(self, script: AsyncScript, *args: str | int) -> Any:
        try:
            async with asyncio.timeout(TIMEOUT_S):
                return await script(keys=[self._base], args=args)
        except FAILURES as error:
            raise LeasesAway(type(error).__name__) from error
