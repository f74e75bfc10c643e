"""Journal of the actors over Postgres.

Each commit lane has a connection. A flush is one round trip in autocommit, so a frozen client holds no locks.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from time import perf_counter
from typing import Any

import orjson

from actors.behaviour import Outcome
from actors.errors import Unanswered
from actors.messages import ActorId, Query
from actors.ports import Blocker, Claim, ShardRow
from storage.errors import StorageError
from storage.locking import blocker_of, needs
from storage.postgres.database import (
    SLOW_S,
    Connection,
    Database,
    Observe,
    SlowQuery,
    connect_lane,
    traces_of,
)
from storage.postgres.errors import journal_error, spoils_connection

# Deadline of a flush, whose outcome is unknown afterwards. The server's limit is 2 s.
FLUSH_S = 3.0
# Rows per slice of the event loop: all rows after 15,000 creations took 18 ms.
SLICE = 1000
_FLUSH = "SELECT flush($1::integer[], $2::bigint[], $3::bigint[], $4::jsonb, $5::jsonb, $6::boolean)"
_HOLDER = ("username", "application", "state")
_LOADS = {"order": "load_orders", "driver": "load_drivers", "zone": "load_zones"}


class PostgresJournal:
    """Implements actors.ports.Journal.

    Args:
        wrote: called after each commit.
        slow: called with each slow flush.
    """

    def __init__(
        self,
        url: str,
        database: Database,
        observe: Observe,
        wrote: Callable[[], None] = lambda: None,
        slow: Callable[[SlowQuery], None] = lambda _: None,
    ) -> None:
        self._url = url
        self._wrote = wrote
        self._database = database
        self._observe = observe
        self._slow = slow
        self._lanes: dict[int, Connection] = {}

    async def close(self) -> None:
        """End the lanes' connections. Calls under way have an unknown outcome."""
        for lane in list(self._lanes):
            self._drop(lane)

    def _drop(self, lane: int) -> None:
        connection = self._lanes.pop(lane, None)
        if connection is not None:
            # No close() on a suspect connection: it waits for a server that may not answer.
            connection.terminate()

    async def _lane(self, lane: int) -> Connection:
        connection = self._lanes.get(lane)
        if connection is None or connection.is_closed():
            connection = self._lanes[lane] = await connect_lane(self._url)
        return connection

    async def flush(self, lane: int, items: Sequence[Mapping[str, Any]]) -> list[Outcome]:
        """Write a batch in one server-side call; see functions/flush.sql."""
        try:
            connection = await self._lane(lane)
        except Exception as error:  # noqa: BLE001 - whatever it was, nothing was sent
            raise Unanswered(type(error).__name__, sent=False) from None
        began = perf_counter()
        try:
            async with asyncio.timeout(FLUSH_S):
                answer = await connection.fetchval(_FLUSH, *_arguments(items))
        except asyncio.CancelledError:
            self._drop(lane)
            raise
        except Exception as error:  # noqa: BLE001 - every failure has one of two meanings
            failure = journal_error(error)
            if isinstance(failure, Unanswered) or spoils_connection(error):
                self._drop(lane)
            raise failure from None
        finally:
            seconds = perf_counter() - began
            self._observe("flush", seconds)
            if seconds > SLOW_S:
                self._slow(SlowQuery("flush", seconds, traces_of([items])))
        self._wrote()
        return _outcomes(items, orjson.loads(answer))

    def needs(self, item: Mapping[str, Any]) -> tuple[str, ...]:
        return needs(item)

    async def blocked(self, items: Sequence[Mapping[str, Any]]) -> list[Blocker | None]:
        """The lock that blocks each item, or None; see functions/blockers.sql."""
        shards, drivers, orders, *_ = _arguments(items)
        restocked = [item["id"] for item in items if item.get("restock")]
        rows = await self._read("blockers", shards, drivers, orders, restocked)
        found = {
            row["key"]: (row["held"], row["pid"] or 0, *(row[name] or "" for name in _HOLDER)) for row in rows
        }
        return [blocker_of(item, found.get) for item in items] if found else [None] * len(items)

    async def claim(
        self, shards: Sequence[int], owner: str, incarnation: str, expected: Sequence[int] | None = None
    ) -> list[Claim]:
        known = None if expected is None else list(expected)
        rows = await self._read("claim_shards", list(shards), owner, incarnation, known)
        return [Claim(r["shard_id"], r["new_epoch"], r["previous_epoch"]) for r in rows]

    async def begin_life(self) -> int:
        """The number of a new life of an instance; later lives have higher ones, whatever clocks say."""
        [row] = await self._read("begin_life")
        return int(row[0])

    async def shards(self) -> Sequence[ShardRow]:
        return [ShardRow(row["epoch"], row["owner"]) for row in await self._read("all_shards")]

    async def load(self, kind: str, numbers: Sequence[int]) -> Mapping[int, Mapping[str, Any]]:
        rows = await self._read(_LOADS[kind], list(numbers))
        return {row["id"]: row for row in rows}

    async def due(
        self, shards: Sequence[int], from_ms: int, until_ms: int, limit: int
    ) -> list[tuple[ActorId, int]]:
        rows = await self._read("due_orders", list(shards), from_ms, until_ms, limit)
        found: list[tuple[ActorId, int]] = []
        for start in range(0, len(rows), SLICE):
            found += [(ActorId("order", n), due_ms) for n, due_ms in rows[start : start + SLICE]]
            await asyncio.sleep(0)
        return found

    async def due_ahead(
        self, shards: Sequence[int], now_ms: int, limit: int
    ) -> list[tuple[ActorId, int, int]]:
        rows = await self._read("due_orders_ahead", list(shards), now_ms, limit)
        return [(ActorId("order", number), due_ms, wait_ms) for number, due_ms, wait_ms in rows]

    async def wall(self) -> float:
        rows = await self._read("wall_clock")
        return float(rows[0][0])

    async def read(self, query: Query) -> Any:
        """Run a named read of an actor. `driver_snapshot` returns one row, the others all rows."""
        rows = await self._read(query.name, *query.params)
        if query.name == "driver_snapshot":
            return rows[0] if rows else None
        return rows

    async def _read(self, name: str, *args: Any) -> list[Any]:
        try:
            return await self._database.rows(name, *args)
        except StorageError as error:
            raise Unanswered(str(error)) from None


def _arguments(items: Sequence[Mapping[str, Any]]) -> tuple[Any, ...]:
    """Arguments of flush(): the rows to lock, and the items by kind."""
    shards, orders, drivers, restock = set(), [], [], False
    numbers: list[int] = []
    locked: set[int] = set()
    for item in items:
        shards.add(item["shard"])
        if item["kind"] == "driver":
            drivers.append(item)
            locked.add(item["id"])
            continue
        orders.append(item)
        numbers.append(item["id"])
        restock = restock or item["restock"]
        if item["take"] is not None:
            locked.add(item["take"])
        for entry in item["feed"] or ():
            locked.add(entry["driver"])
    return sorted(shards), sorted(locked), sorted(numbers), orders or None, drivers or None, restock


def _outcomes(items: Sequence[Mapping[str, Any]], answer: Mapping[str, Any]) -> list[Outcome]:
    """Outcomes in the order of the items."""
    orders: list[tuple[str, dict[str, Any]]] = [
        (code, {"slot": slot, "seqs": []}) for code, slot in answer["orders"]
    ]
    for number, seq in answer["feed"]:
        orders[number - 1][1]["seqs"].append(seq)
    of_orders, of_drivers = iter(orders), iter(answer["drivers"])
    return [
        Outcome(next(of_drivers), {}) if item["kind"] == "driver" else Outcome(*next(of_orders))
        for item in items
    ]
