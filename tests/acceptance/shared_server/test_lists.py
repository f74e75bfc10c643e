"""Lists as clients walk them: cursors, filters and sorts, while others write."""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, NamedTuple

import asyncpg
import pytest

from loadtests.kit.client import Mall
from tests.acceptance.raw_http import RunningServer, faults, refusal
from tests.support.waiting import until

STANDING = 2_000
WRITERS = 4
PAGE = 100

PRODUCT = """INSERT INTO products (store_id, name, price_minor, currency)
             SELECT $1, $2 || n, (random() * 500)::integer, 'EUR' FROM generate_series(1, $3) n RETURNING id"""
ORDER = """
WITH made AS (
    INSERT INTO orders (id, shard, zone_id, store_id, customer_id, status, mode, ready_at, created_at, updated_at,
                        dropoff_lat, dropoff_lon, address, payment, total_minor, currency, pickups)
    SELECT nextval('order_id_seq'), 0, s.zone_id, s.id, 2, 'delivered', 'waves', at, at, at, 1, 2, $2, 'cash', 5, 'EUR',
           jsonb_build_array(jsonb_build_array(s.id, 'S', 1, 2, 1, jsonb_build_array(0)))
      FROM stores s, (SELECT timestamptz '2026-01-01' + (random() * 100)::integer * interval '1 second' AS at
                        FROM generate_series(1, $3)) x WHERE s.id = $1 RETURNING id),
lines AS (INSERT INTO order_items SELECT id, 1, 1, 'Bread', 1, 5 FROM made)
SELECT id FROM made"""
# One order a minute until noon, of these statuses.
ORDER_A_MINUTE = """
WITH made AS (
    INSERT INTO orders (id, shard, zone_id, store_id, customer_id, driver_id, status, mode, ready_at, created_at,
                        updated_at, dropoff_lat, dropoff_lon, address, payment, total_minor, currency,
                        pickups)
    SELECT nextval('order_id_seq'), 0, s.zone_id, s.id, 2, 3, x.status, 'waves', at, at, at, 1, 2, 'x', 'cash', 5,
           'EUR', jsonb_build_array(jsonb_build_array(s.id, 'S', 1, 2, 1, jsonb_build_array(0)))
      FROM stores s, (SELECT status, timestamptz '2026-02-01 12:00:00Z' + (n - 7) * interval '1 minute' AS at
                        FROM unnest($2::text[]) WITH ORDINALITY AS u (status, n)) x WHERE s.id = $1 RETURNING id),
lines AS (INSERT INTO order_items SELECT id, 1, 1, 'Bread', 1, 5 FROM made)
SELECT id FROM made ORDER BY id"""
DELETE_PRODUCTS = "DELETE FROM products WHERE id = ANY ($1)"
DELETE_ORDERS = """
WITH lines AS (DELETE FROM order_items WHERE order_id = ANY ($1)) DELETE FROM orders WHERE id = ANY ($1)"""


class Walk(NamedTuple):
    """A list under churn: who walks it, and how its rows are made and lost."""

    query: str
    role: str
    prefix: str
    insert: str
    delete: str


WALKS = {
    "products by name": Walk("products?sort=name", "customer", "prd", PRODUCT, DELETE_PRODUCTS),
    "products by price, the dearest first": Walk(
        "products?sort=-price", "customer", "prd", PRODUCT, DELETE_PRODUCTS
    ),
    "orders, the newest first": Walk("orders?status=delivered", "admin", "ord", ORDER, DELETE_ORDERS),
}


class Churn:
    """Writers that insert and delete rows all over a list, without end."""

    def __init__(self, url: str, walk: Walk, store: int) -> None:
        self._url = url
        self._walk = walk
        self._store = store
        self.changes = 0

    async def next_change(self) -> None:
        """Return when a writer has done something more."""
        before = self.changes
        await until(lambda: self.changes > before)

    async def write(self, seed: int) -> None:
        """One writer, until cancelled: never more than a few hundred rows of its own."""
        chance, own = random.Random(seed), list[int]()
        connection = await asyncpg.connect(self._url)
        try:
            while True:
                name = chance.choice("ABCDEFGHIJKLMNOPQRSTUVWXYZ")
                rows = await connection.fetch(self._walk.insert, self._store, name, chance.randrange(1, 20))
                own += [row["id"] for row in rows]
                chance.shuffle(own)
                gone, own = own[: len(own) // 2], own[len(own) // 2 :]
                await connection.execute(self._walk.delete, gone)
                self.changes += 1
        finally:
            await connection.close()


@pytest.fixture
async def store(server: RunningServer) -> AsyncIterator[tuple[int, int]]:
    """A zone and a store of the test's own; what was in it is gone afterwards."""
    zone = await server.database.fetchval("INSERT INTO zones (name) VALUES ('Lists') RETURNING id")
    insert = "INSERT INTO stores (zone_id, name, lat, lon) VALUES ($1, 'Lists', 1, 2) RETURNING id"
    number = await server.database.fetchval(insert, zone)
    yield zone, number
    await server.database.execute("DELETE FROM products WHERE store_id = $1", number)
    orders = await server.database.fetch("SELECT id FROM orders WHERE store_id = $1", number)
    await server.database.execute(DELETE_ORDERS, [row["id"] for row in orders])


async def pages(mall: Mall, path: str) -> AsyncIterator[list[dict[str, Any]]]:
    """Every page of a list."""
    cursor = ""
    while True:
        page = await mall.do("GET", path + cursor)
        yield page["items"]
        if page["next"] is None:
            return
        cursor = f"&cursor={page['next']}"


@pytest.mark.parametrize("walk", WALKS.values(), ids=WALKS)
async def test_walk_meets_every_row_that_stands_exactly_once_while_others_come_and_go(
    server: RunningServer, store: tuple[int, int], walk: Walk
) -> None:
    rows = await server.database.fetch(walk.insert, store[1], "Row ", STANDING)
    standing = {f"{walk.prefix}_{row['id']}" for row in rows}
    note = json.loads((Path(server.process.data_dir) / "addresses.json").read_text())
    churn = Churn(note["database_url"], walk, store[1])
    mall = Mall(server.http, server.process.url, server.tokens[walk.role])
    met: list[str] = []
    async with asyncio.TaskGroup() as tasks:
        writers = [tasks.create_task(churn.write(seed)) for seed in range(WRITERS)]
        async for page in pages(mall, f"/api/v2/{walk.query}&store_id=sto_{store[1]}&limit={PAGE}"):
            met += [row["id"] for row in page]
            await churn.next_change()
        for writer in writers:
            writer.cancel()
    assert len(met) == len(set(met))
    assert standing <= set(met)
    assert len(met) > len(standing), "the walk has met rows of the writers, too"
    assert churn.changes > STANDING // PAGE


# -- cursors ----------------------------------------------------------------------------------------------


@pytest.fixture
async def cursor(server: RunningServer) -> str:
    """Of the customer's walk through all products by name."""
    answer = await server.send("GET", "/api/v2/products?sort=name&limit=2&currency=EUR", role="customer")
    return str(answer.json["next"])


MISUSES = {
    "another caller": ("other", "products?sort=name&currency=EUR"),
    "another role": ("admin", "products?sort=name&currency=EUR"),
    "another sort": ("customer", "products?sort=-name&currency=EUR"),
    "no sort": ("customer", "products?currency=EUR"),
    "another filter": ("customer", "products?sort=name&currency=USD"),
    "no filter": ("customer", "products?sort=name"),
    "one filter more": ("customer", "products?sort=name&currency=EUR&price_min_minor=1"),
    "another list": ("customer", "stores?sort=name"),
    "the list of a store": ("customer", "stores/sto_1/products?sort=name&currency=EUR"),
}


@pytest.mark.parametrize(("role", "query"), MISUSES.values(), ids=MISUSES)
async def test_cursor_is_good_for_its_own_walk_only(
    server: RunningServer, cursor: str, role: str, query: str
) -> None:
    answer = await server.send("GET", f"/api/v2/{query}&cursor={cursor}", role=role)
    assert faults(refusal(answer, 400, "invalid_cursor")) == {("query", "cursor")}


async def test_cursor_leaves_the_size_of_pages_open(server: RunningServer, cursor: str) -> None:
    for limit in (1, 3):
        query = f"products?sort=name&currency=EUR&limit={limit}&cursor={cursor}"
        answer = await server.send("GET", f"/api/v2/{query}", role="customer")
        assert (answer.status, len(answer.json["items"])) == (200, limit)


async def test_cursor_is_no_key_to_what_the_caller_may_not_see(server: RunningServer, cursor: str) -> None:
    answer = await server.send("GET", f"/api/v2/users?cursor={cursor}", role="customer")
    refusal(answer, 403, "forbidden")


# -- filters and sorts ------------------------------------------------------------------------------------


async def _product(server: RunningServer, store: int, name: str, price: int, currency: str = "EUR") -> str:
    body = {
        "store_id": f"sto_{store}",
        "name": name,
        "price": {"amount_minor": price, "currency": currency},
    }
    mall = Mall(server.http, server.process.url, server.tokens["admin"])
    return str((await mall.do("POST", "/api/v2/products", body))["id"])


SHELF = [
    ("Bread", 300, "EUR"), ("bread roll", 90, "EUR"), ("Apple", 50, "EUR"), ("Ärmel", 700, "USD"), ("Bun", 90, "EUR"),
]  # fmt: skip
FOUND = {
    "": ["Bread", "bread roll", "Apple", "Ärmel", "Bun"],
    "sort=name": ["Apple", "Bread", "bread roll", "Bun", "Ärmel"],
    "sort=-name": ["Ärmel", "Bun", "bread roll", "Bread", "Apple"],
    "sort=price": ["Apple", "bread roll", "Bun", "Bread", "Ärmel"],
    "sort=-price": ["Ärmel", "Bread", "Bun", "bread roll", "Apple"],
    "q=BREAD": ["Bread", "bread roll"],
    "q=b&sort=price": ["bread roll", "Bun", "Bread"],
    "q=%C3%A4": ["Ärmel"],
    "q=%25": [],
    "q=_": [],
    "currency=USD": ["Ärmel"],
    "price_min_minor=90&price_max_minor=300": ["Bread", "bread roll", "Bun"],
    "price_min_minor=301&currency=EUR": [],
    "active=false": ["Bagel"],
    "active=true&q=ba": [],
}


@pytest.mark.parametrize("path", ["stores/sto_{0}/products?", "products?store_id=sto_{0}&"])
async def test_products_are_found_by_what_they_are(
    server: RunningServer, store: tuple[int, int], path: str
) -> None:
    for name, price, currency in SHELF:
        await _product(server, store[1], name, price, currency)
    gone = await _product(server, store[1], "Bagel", 80)
    await server.send("DELETE", f"/api/v2/products/{gone}", [("If-Match", "*")], role="admin")
    for query, names in FOUND.items():
        mall = Mall(server.http, server.process.url, server.tokens["customer"])
        for limit in (1, 100):
            full = f"/api/v2/{path.format(store[1])}limit={limit}&{query}".rstrip("&")
            met = [item["name"] async for page in pages(mall, full) for item in page]
            assert met == names, query


async def test_stores_are_found_by_zone_and_name(server: RunningServer, store: tuple[int, int]) -> None:
    mall = Mall(server.http, server.process.url, server.tokens["admin"])
    place = {"zone_id": f"zon_{store[0]}", "lat": 1, "lon": 2}
    for name in ("Zebra", "apple", "Lion"):
        await mall.do("POST", "/api/v2/stores", {**place, "name": name})
    for query, names in {
        "": ["Lists", "Zebra", "apple", "Lion"],
        "&sort=name": ["apple", "Lion", "Lists", "Zebra"],
        "&q=li": ["Lion", "Lists"],
        "&active=false": [],
    }.items():
        path = f"/api/v2/stores?zone_id=zon_{store[0]}{query}&limit=1"
        assert [item["name"] async for page in pages(mall, path) for item in page] == names


async def test_users_are_found_by_address_role_and_status(server: RunningServer) -> None:
    mall = Mall(server.http, server.process.url, server.tokens["admin"])
    body = {"email": "Lost.Found@mall.example", "password": "long enough", "name": "Lost", "role": "customer"}
    user = (await mall.do("POST", "/api/v2/users", body))["id"]
    for query, found in {
        "email=lost.found@MALL.example": [user],
        "email=lost.found@mall.example&role=customer&status=active": [user],
        "email=lost.found@mall.example&role=admin": [],
        "email=lost.found@mall.example&status=banned": [],
        "email=ost.found@mall.example": [],
    }.items():
        answer = await mall.do("GET", f"/api/v2/users?{query}")
        assert [item["id"] for item in answer["items"]] == found, query


async def test_orders_are_found_by_status_store_and_time(
    server: RunningServer, store: tuple[int, int]
) -> None:
    statuses = ["delivered", "cancelled", "undeliverable"] * 2
    numbers = [row["id"] for row in await server.database.fetch(ORDER_A_MINUTE, store[1], statuses)]
    ids = [f"ord_{number}" for number in numbers]
    mall = Mall(server.http, server.process.url, server.tokens["admin"])
    for query, found in {
        "": ids[::-1],
        "&sort=created_at": ids,
        "&status=cancelled": [ids[4], ids[1]],
        "&status=undeliverable,cancelled": [ids[5], ids[4], ids[2], ids[1]],
        "&driver_id=drv_3&status=delivered": [ids[3], ids[0]],
        "&driver_id=drv_4": [],
        f"&zone_id=zon_{store[0]}": ids[::-1],
        "&created_after=2026-02-01T11:56:00Z": ids[:1:-1],
        "&created_before=2026-02-01T11:56:00Z": ids[1::-1],
        "&created_after=2026-02-01T12:56:00%2B01:00&created_before=2026-02-01T11:58:00.000Z": [
            ids[3],
            ids[2],
        ],
    }.items():
        path = f"/api/v2/orders?store_id=sto_{store[1]}{query}&limit=1"
        assert [item["id"] async for page in pages(mall, path) for item in page] == found, query


async def test_history_of_an_order_comes_in_pages_too(server: RunningServer) -> None:
    mall = Mall(server.http, server.process.url, server.tokens["customer"])
    whole = (await mall.do("GET", f"/api/v2/orders/{server.order}/events"))["items"]
    path = f"/api/v2/orders/{server.order}/events?limit=1"
    assert [item async for page in pages(mall, path) for item in page] == whole != []
