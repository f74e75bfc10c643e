"""Reads the record of a test out of its database, as of one moment."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from typing import Any, TypeAlias

import asyncpg
import orjson

from loadtests.scene import number_of
from loadtests.testimony import DriverRow, FeedEntry, OrderEvent, OrderRow, Record

Connection: TypeAlias = "asyncpg.Connection[asyncpg.Record]"

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
) -> Record:
    """All that the checks look at, in one snapshot of the database.

    Args:
        connection: as a role that may read everything.
        stock: pieces at first, by name of product.
        believed: what the server says that each driver carries.
    """
    async with connection.transaction(isolation="repeatable_read", readonly=True):
        record = Record()
        for row in await connection.fetch(_ORDERS):
            record.orders[row["id"]] = OrderRow(*row)
        record.events = await _events(connection)
        rows = await connection.fetch("SELECT order_id, driver_id, slot FROM assignment")
        record.assignments = [(row["order_id"], row["driver_id"], row["slot"]) for row in rows]
        for row in await connection.fetch("SELECT id, capacity, feed_seq FROM drivers"):
            if row["id"] in believed:
                number, capacity, feed_seq = row
                record.drivers[number] = DriverRow(number, capacity, feed_seq, believed[number])
        record.feeds = await _feeds(connection)
        names = await connection.fetch("SELECT name FROM products")
        record.products = frozenset(row["name"] for row in names)
        for row in await connection.fetch(_SOLD):
            if row["name"] in stock:
                record.stock.append((row["name"], stock[row["name"]], row["stock"], row["sold"]))
    return record


async def _events(connection: Connection) -> dict[int, list[OrderEvent]]:
    events: dict[int, list[OrderEvent]] = defaultdict(list)
    for row in await connection.fetch(_EVENTS):
        driver = None if row["driver"] is None else number_of(row["driver"])
        event = OrderEvent(row["order_id"], row["version"], row["type"], row["actor_id"], row["at_s"], driver)
        events[event.order].append(event)
    return dict(events)


async def _feeds(connection: Connection) -> dict[int, list[FeedEntry]]:
    feeds: dict[int, list[FeedEntry]] = defaultdict(list)
    for row in await connection.fetch(_FEEDS):
        data: dict[str, Any] = orjson.loads(row["data"])
        feeds[row["driver_id"]].append(
            FeedEntry(row["seq"], row["type"], row["order_id"], row["at_ms"], row["trace"], data)
        )
    return dict(feeds)
