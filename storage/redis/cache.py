"""Cache-aside for Postgres: a reader looks in the cache, queries Postgres on a miss, and stores the value.

There are two levels. Near: this instance's memory, for NEAR_S from the start of the read, so that a change shows
everywhere within that time. Far: Redis, shared by all instances (cache_store.py describes invalidation). Concurrent
callers of one instance share one read and one query. Two instances may each send a query: a lock between them would
cost each miss a round trip to save one query.

Redis may be away, slow or empty at any time. Then Postgres is queried, and a caller waits for Redis at most BUDGET_S.
If an instance dies between its commit and its mark, the old value stays until it expires; so it does after a change by
hand in the database.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from contextlib import suppress
from datetime import datetime
from typing import Any

import orjson

from actors.clock import Clock, Randomness
from actors.values import frozen
from storage.errors import Unreachable
from storage.redis.cache_store import CacheStore

# Half of the second within which a change must show everywhere.
NEAR_S = 0.5
# Each value is a page of rows at most, 25 KB: 25 MB in the worst case.
NEAR_MAX = 1000
# Jitter of lifetimes, so that values stored together do not expire together.
JITTER = 0.1
# Lifetime of a missing row.
MISSING_S = 5.0
# Interval at which failed marks are repeated, and the limit of places with one.
OWED_S = 0.2
OWED_MAX = 10_000
_BATCH = 500

Load = Callable[[], Awaitable[Any]]
# Called with the cache's name and the result of a read: hit, miss, stale or bypass.
Count = Callable[[str, str], None]


def _as_long_as_kept(value: Any) -> float | None:
    del value
    return None


@frozen
class CacheKind:
    """Kind of values: its metric's name, its lifetime, and its time of freshness.

    Attributes:
        life_s: lifetime of a value.
        fresh_s: returns how long a value may be shown; None: its lifetime. An older value is shown only while Postgres
            is away.
    """

    name: str
    life_s: float
    fresh_s: Callable[[Any], float | None] = _as_long_as_kept


@frozen
class _Near:
    value: Any
    until_s: float


class _Abandoned:
    """Tells waiting callers to retry, because the caller that queried for all was cancelled."""


_ABANDONED = _Abandoned()


class Cache:
    """Values by place: None (no row), a row as a dict, or a list of rows. Do not change them."""

    def __init__(self, entries: CacheStore, clock: Clock, entropy: Randomness, count: Count) -> None:
        self._entries = entries
        self._clock = clock
        self._entropy = entropy
        self._count = count
        self._near: dict[str, _Near] = {}
        self._flights: dict[str, asyncio.Future[Any]] = {}
        self._owed: dict[str, None] = {}
        self._owes = asyncio.Event()

    async def get(self, kind: CacheKind, place: str, load: Load) -> Any:
        """Read the value of a place. `load` queries Postgres for rows, a row or None.

        Raises:
            StorageError: what `load` raised.
        """
        while True:
            near = self._near.get(place)
            if near is not None and near.until_s > self._clock.monotonic():
                self._count(kind.name, "hit")
                return near.value
            flight = self._flights.get(place)
            if flight is None:
                return await self._lead(kind, place, load)
            value = await asyncio.shield(flight)
            if value is not _ABANDONED:
                self._count(kind.name, "hit")
                return value

    async def forget(self, places: Iterable[str]) -> None:
        """Invalidate places after the commit of a change.

        Reads here see the change from now on, reads on other instances within NEAR_S. Never fails: if Redis is away,
        the marks are repeated.
        """
        wanted = list(places)
        try:
            await self._entries.mark(wanted)
        except Unreachable:
            self._owe(wanted)
        finally:
            # After the mark, so that a read from before it is not kept here.
            for place in wanted:
                self._near.pop(place, None)
                self._flights.pop(place, None)

    async def run(self) -> None:
        """Repeat failed marks until cancelled."""
        while True:
            await self._owes.wait()
            self._owes.clear()
            while self._owed:
                places = list(self._owed)[:_BATCH]
                try:
                    await self._entries.mark(places)
                except Unreachable:
                    await asyncio.sleep(OWED_S)
                    continue
                for place in places:
                    self._owed.pop(place, None)

    def _owe(self, places: Iterable[str]) -> None:
        for place in places:
            self._owed[place] = None
        while len(self._owed) > OWED_MAX:
            del self._owed[next(iter(self._owed))]
        self._owes.set()

    async def _lead(self, kind: CacheKind, place: str, load: Load) -> Any:
        """Read a place for all callers that wait for it."""
        flight: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self._flights[place] = flight
        try:
            value = await self._find(kind, place, load, flight)
        except Exception as error:
            flight.set_exception(error)
            flight.exception()  # there may be no waiting caller
            raise
        except BaseException:
            flight.set_result(_ABANDONED)
            raise
        else:
            flight.set_result(value)
            return value
        finally:
            self._land(place, flight)

    def _land(self, place: str, flight: asyncio.Future[Any]) -> None:
        if self._flights.get(place) is flight:
            del self._flights[place]

    async def _find(self, kind: CacheKind, place: str, load: Load, flight: asyncio.Future[Any]) -> Any:
        began_s = self._clock.monotonic()
        try:
            if place in self._owed:
                raise Unreachable("its mark is owed")
            seen = await self._entries.look(place)
        except Unreachable:
            value = plain(await load())
            self._count(kind.name, "bypass")
            self._keep_near(place, flight, value, began_s)
            return value
        held = None if seen.value is None else _unpack(seen.value)
        if held is not None and held[0] > self._clock.wall():
            self._count(kind.name, "hit")
            self._keep_near(place, flight, held[1], began_s)
            return held[1]
        asked_s = self._clock.wall()
        try:
            value = plain(await load())
        except Unreachable:
            if held is None:
                raise
            self._count(kind.name, "stale")
            return held[1]
        self._count(kind.name, "miss")
        life_s = self._life_s(kind, value)
        fresh_s = kind.fresh_s(value)
        until = asked_s + (life_s if fresh_s is None else min(fresh_s, life_s))
        with suppress(Unreachable):  # the next reader queries Postgres too
            await self._entries.put(place, seen, orjson.dumps([until, value]), life_s)
        self._keep_near(place, flight, value, began_s)
        return value

    def _life_s(self, kind: CacheKind, value: Any) -> float:
        life_s = MISSING_S if value is None else kind.life_s
        return life_s * (1 + JITTER * (2 * self._entropy.random() - 1))

    def _keep_near(self, place: str, flight: asyncio.Future[Any], value: Any, began_s: float) -> None:
        if self._flights.get(place) is not flight:
            return  # invalidated meanwhile
        self._near.pop(place, None)
        self._near[place] = _Near(value, began_s + NEAR_S)
        while len(self._near) > NEAR_MAX:
            del self._near[next(iter(self._near))]


def plain(found: Any) -> Any:
    """Convert rows to dicts."""
    if found is None:
        return None
    if isinstance(found, list):
        return [dict(row) for row in found]
    return dict(found)


def _unpack(data: bytes) -> tuple[float, Any]:
    until, value = orjson.loads(data)
    for row in value if isinstance(value, list) else (value or {},):
        for name, text in row.items():
            # JSON has no times. Columns of times have names with this ending.
            if name.endswith("_at") and isinstance(text, str):
                row[name] = datetime.fromisoformat(text)
    return until, value
