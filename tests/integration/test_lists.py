"""Lists on a real Postgres: the last page costs what the first one does, by the index that is meant for it."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

import asyncpg
import pytest

from storage.postgres.database import open_database
from storage.postgres.list_queries import LISTINGS, After
from tests.conftest import copy_database

LIMIT = 50
BEGAN = datetime(2026, 1, 1, tzinfo=UTC)
# A mall whose tables are large enough for the planner to care: 20,000 orders, 10,000 of everything else.
FILL = """
INSERT INTO zones (name) SELECT 'Zone ' || n FROM generate_series(1, 200) n;
INSERT INTO users (email, role, name)
SELECT 'u' || n || '@mall.example', CASE WHEN n <= 4000 THEN 'driver' WHEN n % 100 = 0 THEN 'admin' ELSE 'customer' END,
       'User'
  FROM generate_series(1, 10000) n;
INSERT INTO drivers (id, shard, zone_id, status)
SELECT n, 0, 1 + n % 200, (ARRAY['online', 'offline'])[1 + n / 200 % 2] FROM generate_series(1, 4000) n;
INSERT INTO stores (zone_id, name, lat, lon) SELECT 1 + n % 200, 'Store ' || n * 7919 % 1000, 1, 2
  FROM generate_series(1, 10000) n;
INSERT INTO products (store_id, name, price_minor, currency)
SELECT 1 + n % 1000, (ARRAY['Bread', 'bun', 'Äpfel', 'Cake'])[1 + n % 4] || ' ' || n * 7919 % 10000, n * 31 % 997, 'EUR'
  FROM generate_series(1, 10000) n;
INSERT INTO orders (id, shard, zone_id, store_id, customer_id, driver_id, status, mode, ready_at, created_at,
                    updated_at, dropoff_lat, dropoff_lon, address, payment, total_minor, currency, pickups)
SELECT n, 0, 1 + n % 20, 1 + n % 1000, 4001 + n % 800, 1 + n % 200,
       CASE n % 100 WHEN 0 THEN 'confirmed' WHEN 1 THEN 'cancelled' ELSE 'delivered' END, 'waves', at, at, at,
       1, 2, 'Door', 'cash', 500, 'EUR',
       jsonb_build_array(jsonb_build_array(1 + n % 1000, 'S', 1, 2, n, jsonb_build_array(0)))
  FROM (SELECT n, timestamptz '2026-01-01' + (n * 7919 % 20000 / 3) * interval '1 second' AS at
          FROM generate_series(1, 20000) n) x;
INSERT INTO order_items SELECT id, 1, 1, 'Bread', 1, 500 FROM orders;
ANALYZE;
"""


class Case(NamedTuple):
    """A list as a request asks for it, and the index that answers."""

    listing: str
    filters: dict[str, Any]
    sort: str
    served_by: str


SPAN = {"created_after": BEGAN, "created_before": BEGAN + timedelta(days=1)}
CASES = {
    "all orders": Case("order_list", {}, "-created_at", "order_listing_created"),
    "the oldest orders": Case("order_list", {}, "created_at", "order_listing_created"),
    "orders of a day": Case("order_list", SPAN, "-created_at", "order_listing_created"),
    "a customer's orders": Case("order_list", {"customer_id": 4100}, "-created_at", "order_listing_customer"),
    "a driver's orders": Case("order_list_by_state", {"driver_id": 30}, "-created_at", "orders_driver"),
    "orders of a zone": Case("order_list", {"zone_id": 3}, "-created_at", "order_listing_zone"),
    "orders of a store": Case("order_list_of_store", {"store_id": 33}, "-created_at", "order_listing_store"),
    "open orders": Case("order_list_by_state", {"status": "confirmed"}, "-created_at", "orders_status"),
    "products": Case("product_list", {"active": True}, "id", "products_pkey"),
    "products by name": Case("product_list", {"active": True}, "name", "products_name"),
    "products by name, backward": Case("product_list", {}, "-name", "products_name"),
    "products by price": Case("product_list", {"active": True}, "price", "products_price"),
    "products of a price": Case("product_list", {"price_min_minor": 100}, "-price", "products_price"),
    "products of a name": Case("product_list", {"q": "BREAD"}, "name", "products_name"),
    "a store's products": Case("product_list", {"store_id": 5}, "id", "products_store"),
    "a store's products by name": Case("product_list", {"store_id": 5}, "name", "products_store_name"),
    "a store's products by price": Case("product_list", {"store_id": 5}, "price", "products_store_price"),
    "stores of a zone": Case("store_list", {"zone_id": 5}, "id", "stores_zone"),
    "stores by name": Case("store_list", {"active": True}, "name", "stores_name"),
    "users": Case("user_list", {}, "id", "users_pkey"),
    "users of a role": Case("user_list", {"role": "admin"}, "id", "users_role"),
    "users of an address": Case("user_list", {"email": "u7@mall.example"}, "id", "users_email_key"),
    "drivers online": Case("driver_list", {"zone_id": 3, "status": "online"}, "id", "drivers_zone"),
}  # fmt: skip


@pytest.fixture(scope="module")
async def url(template_server: str) -> str:
    url = await copy_database(template_server)
    owner = await asyncpg.connect(url)
    await owner.execute(FILL)
    await owner.close()
    return url


@pytest.fixture
async def owner(url: str) -> AsyncIterator[Any]:
    connection = await asyncpg.connect(url)
    yield connection
    await connection.close()


def _scans(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    if "Scan" in plan["Node Type"]:
        yield plan
    for part in plan.get("Plans", ()):
        yield from _scans(part)


async def _whole(owner: Any, case: Case) -> list[Any]:
    """The whole list at once, by a connection without a time limit: no page that is served is that long."""
    names = tuple(sorted(case.filters))
    text = LISTINGS[case.listing].statement(names, case.sort, following=False)
    return list(await owner.fetch(text, 100_000, *(case.filters[name] for name in names)))


async def _explain(owner: Any, case: Case, after: After | None, limit: int) -> list[dict[str, Any]]:
    names = tuple(sorted(case.filters))
    text = LISTINGS[case.listing].statement(names, case.sort, following=after is not None)
    behind = () if after is None else after.values(case.sort)
    args = (limit, *(case.filters[name] for name in names), *behind)
    answer = await owner.fetchval(f"EXPLAIN (ANALYZE, FORMAT JSON) {text}", *args)
    return list(_scans(json.loads(answer)[0]["Plan"]))


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
async def test_last_page_reads_as_few_rows_by_the_same_index_as_the_first(owner: Any, case: Case) -> None:
    whole = await _whole(owner, case)
    limit = max(1, min(LIMIT, len(whole) // 4))
    await owner.execute("SET enable_bitmapscan = off; SET enable_seqscan = off")
    last = len(whole) - limit - 1
    for at in (None, len(whole) // 2, last):
        after = None if at is None or at < 0 else After(whole[at]["sort_key"], whole[at]["id"])
        scan = (await _explain(owner, case, after, limit))[0]
        assert scan["Actual Rows"] * scan["Actual Loops"] + scan.get("Rows Removed by Filter", 0) <= limit
        # The few rows at the end of a list may be found by any index: to sort them costs nothing.
        assert at == last or scan["Index Name"] == case.served_by


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
async def test_pages_together_are_the_whole_list_in_its_order(url: str, owner: Any, case: Case) -> None:
    whole = await _whole(owner, case)
    async with open_database(url, size_max=2) as database:
        limit = max(1, len(whole) // 7)
        found: list[Any] = []
        after = None
        while page := await database.page(case.listing, case.filters, case.sort, after, limit):
            found += page
            after = After(page[-1]["sort_key"], page[-1]["id"])
    assert [row["id"] for row in found] == [row["id"] for row in whole]
    assert len({row["id"] for row in whole}) == len(whole) > 0
    keys = [(row["sort_key"], row["id"]) for row in whole]
    if isinstance(keys[0][0], str):
        keys = [(key.encode(), number) for key, number in keys]
    assert keys == sorted(keys, reverse=case.sort.startswith("-"))


async def test_list_knows_no_filter_that_is_not_in_its_file(url: str) -> None:
    async with open_database(url, size_max=2) as database:
        with pytest.raises(KeyError):
            await database.page("zone_list", {"name": "x"}, "id", None, 1)
        with pytest.raises(KeyError):
            await database.page("zone_list", {}, "name", None, 1)
