"""A cache beside Postgres: who needs a value looks here, asks Postgres if it is missing, and puts it here.

Two steps. Near: this instance's memory, NEAR_S from the beginning of the look, so that a change shows
everywhere within that time. Far: Redis, shared by all instances (storage/redis/cache_store.py has how a change
gets there). Callers of one instance who want the same value at once share one look and one query; two
instances may each send one: a lock between them would cost every miss a round trip to save one query.

Redis may be gone, slow or empty at any time: then Postgres is asked, and nobody waits longer than
BUDGET_S. An instance that dies between its commit and its mark leaves the old value until the end
of its life; so does a change by hand in the database.
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
# Each at most a page of rows, 25 KB: 25 MB at worst.
NEAR_MAX = 1000
# Lives differ by this share, so that what was put together does not end together.
JITTER = 0.1
# That there is no such row is believed for so long.
MISSING_S = 5.0
# Marks that Redis did not take are sent again that often, for as many places at most.
OWED_S = 0.2
OWED_MAX = 10_000
_BATCH = 500

Load = Callable[[], Awaitable[Any]]
# Which cache, and how a value was had: hit, miss, stale or bypass.
Count = Callable[[str, str], None]


def _as_long_as_kept(value: Any) -> float | None:
    del value
    return None


@frozen
class CacheKind:
    """What is kept: its name in the metric, how long, and how long it is fresh.

    Attributes:
        life_s: how long a value is kept.
        fresh_s: tells for how long a value may be shown; None: as long as it is kept. An older one is
            shown only while Postgres cannot be asked.
    """

    name: str
    life_s: float
    fresh_s: Callable[[Any], float | None] = _as_long_as_kept


@frozen
class _Near:
    value: Any
    until_s: float


class _Abandoned:
    """What those who wait are told when the one who asks for all is cancelled: ask again."""


_ABANDONED = _Abandoned()


class Cache:
    """Values by place; a value is None (no such row), a row as a dict, or a list of rows. Do not change them."""

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
        """The value of a place; `load` asks Postgres for rows, one row or None.

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
        """Call it after the commit of a change: whoever asks from now on, here, gets what is so now, and
        whoever asks elsewhere within NEAR_S. Never fails: what Redis does not take is sent again.
        """
        wanted = list(places)
        try:
            await self._entries.mark(wanted)
        except Unreachable:
            self._owe(wanted)
        finally:
            # After the mark: a look of a moment before must not be kept here.
            for place in wanted:
                self._near.pop(place, None)
                self._flights.pop(place, None)

    async def run(self) -> None:
        """Send what is owed, until cancelled."""
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
        """Ask for all who want this place now."""
        flight: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self._flights[place] = flight
        try:
            value = await self._find(kind, place, load, flight)
        except Exception as error:
            flight.set_exception(error)
            flight.exception()  # perhaps nobody waits
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
        with suppress(Unreachable):  # the next reader asks Postgres, too
            await self._entries.put(place, seen, orjson.dumps([until, value]), life_s)
        self._keep_near(place, flight, value, began_s)
        return value

    def _life_s(self, kind: CacheKind, value: Any) -> float:
        life_s = MISSING_S if value is None else kind.life_s
        return life_s * (1 + JITTER * (2 * self._entropy.random() - 1))

    def _keep_near(self, place: str, flight: asyncio.Future[Any], value: Any, began_s: float) -> None:
        if self._flights.get(place) is not flight:
            return  # changed meanwhile
        self._near.pop(place, None)
        self._near[place] = _Near(value, began_s + NEAR_S)
        while len(self._near) > NEAR_MAX:
            del self._near[next(iter(self._near))]


def plain(found: Any) -> Any:
    """Rows as dicts, whatever they were."""
    if found is None:
        return None
    if isinstance(found, list):
        return [dict(row) for row in found]
    return dict(found)


def _unpack(data: bytes) -> tuple[float, Any]:
    until, value = orjson.loads(data)
    for row in value if isinstance(value, list) else (value or {},):
        for name, text in row.items():
            # JSON knows no times; columns of them are called so.
            if name.endswith("_at") and isinstance(text, str):
                row[name] = datetime.fromisoformat(text)
    return until, value
