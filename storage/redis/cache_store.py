"""Cache entries in Redis, each with a stamp.

A place is empty, has a value, or has a mark ("just changed"). Values and marks begin with a unique stamp. A writer
marks the places of a row after its commit. A reader notes the stamp, queries Postgres, and puts the value only if the
place still has that stamp. So a reader that read the row before the commit cannot put it after the mark, however slow
it is.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import NamedTuple, TypeVar

from redis.exceptions import ResponseError

from actors.clock import Clock, Randomness
from storage.errors import Unreachable
from storage.redis.client import FAILURES, Client
from storage.redis.keys import Keyspace

T = TypeVar("T")

_PUT = (Path(__file__).parent / "lua" / "put.lua").read_text()
# A cache slower than a query by primary key (1 ms) is useless; this leaves room for a busy loop.
BUDGET_S = 0.05
# With more calls than this under way, Postgres is queried directly: the client's 32 connections are shared.
CALLS_MAX = 16
# Lifetime of a mark, and greatest age of a look when its value is put. The first must be longer, so that an old value
# never finds the place empty after a mark. A query takes 3.5 s at most, including its wait.
MARK_S = 10.0
LOOK_S = 5.0
# This many failures in a row open the breaker for this long. Then one call is tried.
FAILURES_MAX = 3
OPEN_S = 1.0
# A letter (V value, M mark) and 16 hexadecimal digits.
STAMP_BYTES = 17


class Look(NamedTuple):
    """Result of a look at a place: its stamp (empty: no entry), its value if it has one, and the time."""

    stamp: bytes
    value: bytes | None
    at_s: float


class Breaker:
    """Circuit breaker: blocks calls to a failing server, and lets one try at intervals."""

    def __init__(self, clock: Clock, entropy: Randomness) -> None:
        self._clock = clock
        self._entropy = entropy
        self._failures = 0
        self._closed_from_s = 0.0

    @property
    def lets_pass(self) -> bool:
        """False while calls are blocked. Each True of an open breaker is one trial."""
        if self._failures < FAILURES_MAX:
            return True
        now_s = self._clock.monotonic()
        if now_s < self._closed_from_s:
            return False
        self._wait(now_s)
        return True

    def failed(self) -> None:
        """A call has failed."""
        self._failures += 1
        if self._failures >= FAILURES_MAX:
            self._wait(self._clock.monotonic())

    def succeeded(self) -> None:
        """A call was answered."""
        self._failures = 0

    def _wait(self, now_s: float) -> None:
        # Jitter, so that instances whose breakers opened together do not try together.
        self._closed_from_s = now_s + OPEN_S * (0.75 + self._entropy.random() / 2)


class CacheStore:
    """Reads places, puts values and marks changes, each within BUDGET_S.

    Args:
        keys: keys of the cluster.
        failed: called after each failed call.
        budget_s: how long a call may take.
    """

    def __init__(
        self,
        client: Client,
        clock: Clock,
        entropy: Randomness,
        keys: Keyspace,
        failed: Callable[[], None],
        budget_s: float = BUDGET_S,
    ) -> None:
        self._client = client
        self._script = client.register_script(_PUT)
        self._clock = clock
        self._entropy = entropy
        # The number changes with the format of values, so that two versions of this program can share Redis.
        self._base = keys.beginning("cache", "1")
        self._failed = failed
        self._budget_s = budget_s
        self._breaker = Breaker(clock, entropy)
        self._under_way = 0

    async def look(self, place: str) -> Look:
        """Look at a place.

        Raises:
            Unreachable: Redis was not asked, or did not answer in time.
        """
        at_s = self._clock.monotonic()
        found = await self._ask(lambda: self._get(self._base + place))
        if not isinstance(found, bytes):
            return Look(b"", None, at_s)
        stamp, value = found[:STAMP_BYTES], found[STAMP_BYTES:]
        return Look(stamp, value if stamp[:1] == b"V" else None, at_s)

    async def _get(self, key: str) -> object:
        """Read a key. One of another type was made by another program and is deleted, or it would open the breaker."""
        try:
            return await self._client.get(key)
        except ResponseError as error:
            if not str(error).startswith("WRONGTYPE"):
                raise
            await self._client.delete(key)
            return None

    async def put(self, place: str, seen: Look, value: bytes, life_s: float) -> bool:
        """Put a value if the place still has the stamp of `seen`. False if it has changed, or `seen` is too old.

        Raises:
            Unreachable: Redis was not asked, or did not answer in time.
        """
        if self._clock.monotonic() - seen.at_s > LOOK_S:
            return False
        args: list[bytes | int] = [seen.stamp, self._stamp(b"V") + value, max(1, round(life_s * 1000))]
        return bool(await self._ask(lambda: self._script(keys=[self._base + place], args=args)))

    async def mark(self, places: Sequence[str]) -> None:
        """Mark these places as changed, in place of their values.

        Raises:
            Unreachable: marked or not; repeat.
        """
        stamp, life_ms = self._stamp(b"M"), round(MARK_S * 1000)

        async def send() -> None:
            async with self._client.pipeline(transaction=True) as pipeline:
                for place in places:
                    _ = pipeline.set(self._base + place, stamp, px=life_ms)
                await pipeline.execute()

        await self._ask(send)

    def _stamp(self, letter: bytes) -> bytes:
        return letter + self._entropy.trace()[:16].encode()

    async def _ask(self, call: Callable[[], Awaitable[T]]) -> T:
        if self._under_way >= CALLS_MAX:
            raise Unreachable("too many calls under way")
        if not self._breaker.lets_pass:
            raise Unreachable("breaker open")
        self._under_way += 1
        try:
            async with asyncio.timeout(self._budget_s):
                answer = await call()
        except FAILURES as error:
            self._failed()
            self._breaker.failed()
            raise Unreachable(type(error).__name__) from None
        finally:
            self._under_way -= 1
        self._breaker.succeeded()
        return answer
