"""A batch reads the rows that it touches, also where the planner believes that tables are as empty as they were."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterator, Mapping
from typing import Any

import asyncpg
import pytest

from actors.messages import ActorId
from actors.shards import shard_of
from storage.postgres import journal as journal_module
from storage.postgres.database import connect_lane, open_database
from storage.postgres.journal import PostgresJournal
from storage.postgres.order_creation import OrderPlacer
from tests.contracts.world import JournalWorld, placing, seed

MANY = 3000
# Far more than the rows of a batch of a few items, and far fewer than a table has.
READ_MAX = 100
TABLES = ("orders", "order_items", "assignment", "drivers", "products")
# A plan is made while a mall sleeps, and used when the day comes.
NIGHT = "; ".join(f"ALTER TABLE {table} SET (autovacuum_enabled = off)" for table in TABLES)
DAY = f"""
INSERT INTO users (id, email, role, name)
SELECT n, n || '@y.example', 'driver', 'driver' FROM generate_series(1000, {1000 + MANY}) n;
SET session_replication_role = replica;
INSERT INTO drivers (id, shard, zone_id, status, capacity)
SELECT n, 0, 2, 'online', 1 FROM generate_series(1000, {1000 + MANY}) n;
INSERT INTO products (id, store_id, name, price_minor, currency, stock)
SELECT n, 1, 'product', 500, 'EUR', 100 FROM generate_series(1000, {1000 + MANY}) n;
INSERT INTO orders SELECT (jsonb_populate_record(NULL::orders,
        to_jsonb(o) || jsonb_build_object('id', n, 'status', 'assigned'))).*
  FROM (SELECT * FROM orders LIMIT 1) o, generate_series(1000000, {1000000 + MANY}) n;
INSERT INTO order_items (order_id, line, product_id, name, quantity, price_minor, taken)
SELECT n, 1, 1000, 'product', 1, 500, 1 FROM generate_series(1000000, {1000000 + MANY}) n;
INSERT INTO assignment (order_id, driver_id, slot, since)
SELECT 1000000 + n, 1000 + n, 0, now() FROM generate_series(1, {MANY}) n;
"""
REPORTED = {
    "session_preload_libraries": "auto_explain",
    "auto_explain.log_format": "json",
    "auto_explain.log_level": "notice",
    "auto_explain.log_nested_statements": "on",
    "auto_explain.log_analyze": "on",
    "auto_explain.log_timing": "off",
    "auto_explain.log_min_duration": "0",
}


class ReadRows:
    """Rows of tables that statements read, from the plans that a connection reports."""

    def __init__(self) -> None:
        self.most: dict[str, int] = {}

    def hear(self, _: object, message: Any) -> None:
        text = str(message)
        if "{" in text:
            for node in _nodes(json.loads(text[text.index("{") :])["Plan"]):
                self._note(node)

    def _note(self, node: Mapping[str, Any]) -> None:
        table = node.get("Relation Name")
        if table in TABLES and node["Node Type"].endswith("Scan"):
            rows = node["Actual Rows"] + node.get("Rows Removed by Filter", 0)
            self.most[table] = max(self.most.get(table, 0), round(rows * node["Actual Loops"]))


def _nodes(node: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    yield node
    for below in node.get("Plans", ()):
        yield from _nodes(below)


async def by_night(url: str) -> None:
    """Statistics of empty tables. No other ones are made until the test ends."""
    owner = await asyncpg.connect(url)
    await owner.execute(NIGHT)
    await owner.execute("VACUUM ANALYZE")
    await owner.close()


async def by_day(url: str) -> None:
    """Rows, of which no statistics know."""
    owner = await asyncpg.connect(url)
    await owner.execute(DAY)
    await owner.close()


async def report_plans(connection: Any, rows: ReadRows) -> None:
    """Have a connection tell the plan of each statement, also of those in functions."""
    role = await connection.fetchval("SELECT current_user")
    await connection.execute("SET ROLE none")
    await connection.execute("LOAD 'auto_explain'")
    for name, value in REPORTED.items():
        if name.startswith("auto_explain"):
            await connection.execute("SELECT set_config($1, $2, false)", name, value)
    await connection.execute(f'SET ROLE "{role}"')
    connection.add_log_listener(rows.hear)


@pytest.fixture
async def rows(monkeypatch: pytest.MonkeyPatch) -> ReadRows:
    read = ReadRows()

    async def lane(url: str) -> Any:
        connection = await connect_lane(url)
        await report_plans(connection, read)
        return connection

    monkeypatch.setattr(journal_module, "connect_lane", lane)
    return read


@pytest.fixture
async def world(database_url: str, rows: ReadRows) -> AsyncIterator[JournalWorld]:
    del rows
    await seed(database_url)
    async with open_database(database_url, size_max=2) as database:
        journal = PostgresJournal(database_url, database, lambda *_: None)
        found = JournalWorld(journal, OrderPlacer(database))
        await found.claim()
        yield found
        await journal.close()


async def placed(world: JournalWorld, key: str, product: int) -> Any:
    facts = (await world.order(key * 16, [(product, 1)]))["facts"]
    return await world.row(facts["id"])


FEED = [{"driver": 1, "type": "offer_lost", "data": {}}]


async def test_flush_reads_what_it_touches(world: JournalWorld, rows: ReadRows, database_url: str) -> None:
    await by_night(database_url)
    orders = [await placed(world, key, product) for key, product in (("a", 1), ("b", 2), ("c", 1), ("d", 2))]
    assert await changes(world, *orders[:2]) == ["ok"] * 4
    rows.most.clear()
    await by_day(database_url)
    assert await changes(world, *orders[2:]) == ["ok"] * 4
    assert rows.most.keys() == set(TABLES), "the plans of all tables were told"
    assert {table: read for table, read in rows.most.items() if read > READ_MAX} == {}


async def changes(world: JournalWorld, taken: Any, cancelled: Any) -> list[str]:
    """One order is taken and released, the other one cancelled."""
    driver = await world.driver(3)
    both = await world.flush(
        {
            "kind": "driver", "id": 3, "version": driver["version"], "status": "online", "capacity": 1, "zone": 1,
            "recent": [], "shard": driver["shard"], "epoch": world.epochs[driver["shard"]], "writer": "w1",
        },
        world.item(taken, "assigned", take=1, driver=1, feed=FEED),
        world.item(cancelled, "cancelled", restock=True),
    )  # fmt: skip
    row = await world.row(taken["id"])
    freed = await world.flush(world.item(row, "confirmed", free=True, driver=None))
    return [outcome.code for outcome in (*both, *freed)]


async def test_creation_reads_what_it_touches(world: JournalWorld, database_url: str) -> None:
    await by_night(database_url)
    await placed(world, "a", 1)
    read = ReadRows()
    connection = await asyncpg.connect(database_url)
    await report_plans(connection, read)
    assert await created(connection, "c", (1, 2)) == ["created"] * 6
    read.most.clear()
    await by_day(database_url)
    await connection.execute("UPDATE products SET stock = 3 WHERE id = 2")
    assert await created(connection, "d", (2, 1000)) == ["created"] * 6
    await connection.close()
    assert "products" in read.most
    assert {table: count for table, count in read.most.items() if count > READ_MAX} == {}


async def created(connection: Any, key: str, products: tuple[int, int]) -> list[str]:
    """Six orders of two products."""
    items = [
        placing(f"{key}{n}" * 8, [(products[n % 2], 1)])
        | {"id": ord(key) * 10 + n, "shard": shard_of(ActorId("order", ord(key) * 10 + n))}
        for n in range(6)
    ]
    answers = json.loads(await connection.fetchval("SELECT create_orders($1)", json.dumps(items)))
    return [answer["code"] for answer in answers]
