"""Reads the record of a test out of its database, as of one moment."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from typing import Any

import orjson

from loadtests.faults.history import LogEntry, RecordedDriver, RecordedEvent, RecordedOrder, RecordedState
from loadtests.kit.fixtures import number_of
from loadtests.kit.stores import Connection

_ORDERS = "SELECT id, status, version, driver_id, coalesce(notes, '') AS note FROM orders"
_EVENTS = """
SELECT order_id, version, type, actor_id, extract(epoch FROM at)::double precision AS at_s,
       data ->> 'driver_id' AS driver
  FROM order_events ORDER BY order_id, version"""
_FEEDS = """
SELECT driver_id, seq, type, order_id, (extract(epoch FROM at) * 1000)::bigint AS at_ms, trace, data::text AS data
  FROM driver_events ORDER BY driver_id, seq"""
# Goods come back from an order that ended before somebody fetched them.
_SOLD = """
SELECT p.name, p.stock,
       coalesce(sum(i.quantity) FILTER (WHERE o.status NOT IN ('cancelled', 'undeliverable')
           OR EXISTS (SELECT FROM order_events e WHERE e.order_id = o.id AND e.type = 'picked_up')), 0)::bigint AS sold
  FROM products p LEFT JOIN order_items i ON i.product_id = p.id LEFT JOIN orders o ON o.id = i.order_id
 WHERE p.stock IS NOT NULL GROUP BY p.id"""


async def read_record(
    connection: Connection, *, stock: Mapping[str, int], believed: Mapping[int, frozenset[int]]
) -> RecordedState:
    """All that the checks look at, in one snapshot of the database.

    Args:
        connection: as a role that may read everything.
        stock: pieces at first, by name of product.
        believed: what the server says that each driver carries.
    """
    async with connection.transaction(isolation="repeatable_read", readonly=True):
        record = RecordedState()
        for row in await connection.fetch(_ORDERS):
            record.orders[row["id"]] = RecordedOrder(*row)
        record.events = await _events(connection)
        rows = await connection.fetch("SELECT order_id, driver_id, slot FROM assignment")
        record.assignments = [(row["order_id"], row["driver_id"], row["slot"]) for row in rows]
        for row in await connection.fetch("SELECT id, capacity, feed_seq FROM drivers"):
            if row["id"] in believed:
                number, capacity, feed_seq = row
                record.drivers[number] = RecordedDriver(number, capacity, feed_seq, believed[number])
        record.feeds = await _feeds(connection)
        names = await connection.fetch("SELECT name FROM products")
        record.products = frozenset(row["name"] for row in names)
        for row in await connection.fetch(_SOLD):
            if row["name"] in stock:
                record.stock.append((row["name"], stock[row["name"]], row["stock"], row["sold"]))
    return record


async def _events(connection: Connection) -> dict[int, list[RecordedEvent]]:
    events: dict[int, list[RecordedEvent]] = defaultdict(list)
    for row in await connection.fetch(_EVENTS):
        driver = None if row["driver"] is None else number_of(row["driver"])
        event = RecordedEvent(
            row["order_id"], row["version"], row["type"], row["actor_id"], row["at_s"], driver
        )
        events[event.order].append(event)
    return dict(events)


async def _feeds(connection: Connection) -> dict[int, list[LogEntry]]:
    feeds: dict[int, list[LogEntry]] = defaultdict(list)
    for row in await connection.fetch(_FEEDS):
        data: dict[str, Any] = orjson.loads(row["data"])
        feeds[row["driver_id"]].append(
            LogEntry(row["seq"], row["type"], row["order_id"], row["at_ms"], row["trace"], data)
        )
    return dict(feeds)
