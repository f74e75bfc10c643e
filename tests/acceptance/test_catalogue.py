"""What shops show and sell, on two instances over one Postgres and one Valkey."""

from __future__ import annotations

import asyncio
import itertools
import json
from collections import Counter
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from config.settings import Settings
from loadtests.kit.client import ApiProblem, Mall, open_http
from loadtests.kit.server import ServerProcess, open_server

Shows = Callable[[dict[str, Any]], bool]
keys = (f"catalogue-key-{n:08d}" for n in itertools.count())
# Where the stores are, some 11 km from there, and some 111 km.
HERE, TOWN, FAR = (
    {"lat": 1.0, "lon": 2.0},
    {"lat": 1.1, "lon": 2.0, "address": "Town Road 1"},
    {"lat": 2.0, "lon": 2.0, "address": "Far Road 1"},
)


class TwoServers:
    """Two instances: an admin and a customer at each."""

    def __init__(
        self, servers: list[ServerProcess], http: aiohttp.ClientSession, tokens: dict[str, str]
    ) -> None:
        self.servers = servers
        self.http = http
        self.one, self.other = (Mall(http, server.url, tokens["admin"]) for server in servers)
        # Admins are shown the rows themselves.
        self.eye, self.other_eye = (Mall(http, server.url, tokens["customer"]) for server in servers)
        self.customer = self.eye

    async def store(self, **settings: Any) -> dict[str, Any]:
        """A store in a zone of its own."""
        zone = await self.one.do("POST", "/api/v2/zones", {"name": "Zone", "mode": "open"})
        body = {"zone_id": zone["id"], "name": "Store", **HERE, **settings}
        return await self.one.do("POST", "/api/v2/stores", body)

    async def product(self, store: dict[str, Any], stock: int | None = None) -> dict[str, Any]:
        """A product of a store."""
        price = {"amount_minor": 500, "currency": "EUR"}
        body = {"store_id": store["id"], "name": "Thing", "price": price, "stock": stock}
        return await self.one.do("POST", "/api/v2/products", body)

    async def order(self, product: dict[str, Any], dropoff: Any = TOWN, key: str = "") -> dict[str, Any]:
        """One unit, to a door."""
        items = [{"product_id": product["id"], "quantity": 1}]
        body = {"items": items, "dropoff": dropoff, "payment": "cash"}
        return await self.customer.do("POST", "/api/v2/orders", body, key=key or next(keys))

    async def metric(self, line: str) -> float:
        """The sum of a metric's value on both instances; 0 if there is none."""
        total = 0.0
        for server in self.servers:
            async with self.http.get(server.ops_url + "/metrics") as response:
                for text in (await response.text()).splitlines():
                    name, _, value = text.rpartition(" ")
                    total += float(value) if name == line else 0
        return total


@pytest.fixture(scope="module")
async def two_servers(short_tmp_path: Path) -> AsyncIterator[TwoServers]:
    place = short_tmp_path / "catalogue"
    async with open_server(place, {"MALL_SAMPLE": "off"}) as one:
        at = json.loads((place / "addresses.json").read_text())
        environ = {
            "DATABASE_URL": at["database_url"], "REDIS_URL": at["redis_url"], "MALL_INSTANCE": "second",
        }  # fmt: skip
        async with open_server(short_tmp_path / "catalogue-2", environ) as other, open_http() as http:
            tokens = {
                role: (await one.mint(role, 1, "--prefix", role))[0]["access_token"]
                for role in ("admin", "customer")
            }
            yield TwoServers([one, other], http, tokens)


async def _until(mall: Mall, path: str, shows: Shows) -> None:
    """Return when a read shows something; entries of the cache would end a minute later by themselves."""
    async with asyncio.timeout(20):
        while not shows(await mall.do("GET", path)):
            pass


# -- the cache -------------------------------------------------------------------------------------


async def test_500_simultaneous_reads_of_one_product_are_one_query(two_servers: TwoServers) -> None:
    product = await two_servers.product(await two_servers.store())
    line = 'mall_query_seconds_count{query="product_get"}'
    before = await two_servers.metric(line)
    async with asyncio.TaskGroup() as tasks:
        reads = [
            tasks.create_task(two_servers.eye.do("GET", f"/api/v2/products/{product['id']}"))
            for _ in range(500)
        ]
    assert {read.result()["id"] for read in reads} == {product["id"]}
    assert await two_servers.metric(line) - before == 1


async def test_change_shows_at_once_here_and_within_a_second_on_the_other_instance(
    two_servers: TwoServers,
) -> None:
    store = await two_servers.store()
    product = await two_servers.product(store)
    shelf, page = f"/api/v2/stores/{store['id']}/products", f"/api/v2/stores?zone_id={store['zone_id']}"
    one, whole = f"/api/v2/products/{product['id']}", f"/api/v2/stores/{store['id']}"
    for mall in (two_servers.eye, two_servers.other_eye):
        for path in (shelf, page, one, whole):
            await mall.do("GET", path)
    await two_servers.one.do("PATCH", one, {"name": "New thing"})
    await two_servers.one.do("PATCH", whole, {"name": "New store"})
    checks: tuple[tuple[str, Shows], ...] = (
        (one, lambda seen: seen["name"] == "New thing"),
        (shelf, lambda seen: seen["items"][0]["name"] == "New thing"),
        (whole, lambda seen: seen["name"] == "New store"),
        (page, lambda seen: seen["items"][0]["name"] == "New store"),
    )
    async with asyncio.TaskGroup() as tasks:
        for path, shows in checks:
            tasks.create_task(_until(two_servers.other_eye, path, shows))
    for path, shows in checks:
        assert shows(await two_servers.eye.do("GET", path)), "its own instance shows it at once"


async def test_first_pages_are_one_query_for_many_readers(two_servers: TwoServers) -> None:
    store = await two_servers.store()
    await two_servers.product(store)
    shelf, page = f"/api/v2/stores/{store['id']}/products", f"/api/v2/stores?zone_id={store['zone_id']}"
    for path, query in ((shelf, "product_list"), (page, "store_list")):
        line = f'mall_query_seconds_count{{query="{query}"}}'
        before = await two_servers.metric(line)
        for _ in range(5):
            assert len((await two_servers.eye.do("GET", path))["items"]) == 1
        assert await two_servers.metric(line) - before == 1


async def test_products_of_a_store_that_closes_are_shown_as_closed(two_servers: TwoServers) -> None:
    store = await two_servers.store()
    product = await two_servers.product(store)
    one, shelf = f"/api/v2/products/{product['id']}", f"/api/v2/stores/{store['id']}/products"
    for mall in (two_servers.eye, two_servers.other_eye):
        assert (await mall.do("GET", one))["active"]
        assert (await mall.do("GET", shelf))["items"]
    await two_servers.one.do("PATCH", f"/api/v2/stores/{store['id']}", {"active": False})
    assert not (await two_servers.eye.do("GET", one))["active"]
    assert (await two_servers.eye.do("GET", shelf))["items"] == []
    await _until(two_servers.other_eye, one, lambda seen: not seen["active"])
    await _until(two_servers.other_eye, shelf, lambda seen: not seen["items"])


async def test_what_was_missing_is_there_as_soon_as_it_is_made(two_servers: TwoServers) -> None:
    store = await two_servers.store()
    following = int((await two_servers.product(store))["id"].removeprefix("prd_")) + 1
    for mall in (two_servers.eye, two_servers.other_eye):
        with pytest.raises(ApiProblem, match="404"):
            await mall.do("GET", f"/api/v2/products/prd_{following}")
    made = await two_servers.product(store)
    assert made["id"] == f"prd_{following}"
    assert (await two_servers.eye.do("GET", f"/api/v2/products/{made['id']}"))["id"] == made["id"]
    shown = (await two_servers.eye.do("GET", f"/api/v2/stores/{store['id']}/products"))["items"]
    assert [item["id"] for item in shown] == [f"prd_{following - 1}", made["id"]]


async def test_stock_that_is_shown_follows_orders(two_servers: TwoServers) -> None:
    product = await two_servers.product(await two_servers.store(), stock=5)
    path = f"/api/v2/products/{product['id']}"
    assert (await two_servers.eye.do("GET", path))["stock"] == 5
    await two_servers.order(product)
    await _until(two_servers.one, path, lambda seen: seen["stock"] == 4)


async def test_reads_and_tokens_are_counted_by_how_they_were_had(two_servers: TwoServers) -> None:
    product = await two_servers.product(await two_servers.store())
    for _ in range(10):
        await two_servers.eye.do("GET", f"/api/v2/products/{product['id']}")
    line = 'mall_cache_requests_total{cache="product",result="%s"}'
    hits, misses = await two_servers.metric(line % "hit"), await two_servers.metric(line % "miss")
    assert hits >= 9
    assert misses >= 1
    assert await two_servers.metric(line % "bypass") == 0
    known = 'mall_cache_requests_total{cache="session",result="hit"}'
    async with asyncio.timeout(5):
        while await two_servers.metric(known) == 0:
            await two_servers.eye.do("GET", "/api/v2/me")


# -- selling ---------------------------------------------------------------------------------------


async def test_of_200_simultaneous_orders_of_a_stock_of_50_exactly_50_are_created(
    two_servers: TwoServers,
) -> None:
    product = await two_servers.product(await two_servers.store(), stock=50)

    async def order() -> str:
        try:
            return str((await two_servers.order(product))["status"])
        except ApiProblem as refused:
            return refused.code

    async with asyncio.TaskGroup() as tasks:
        asked = [tasks.create_task(order()) for _ in range(200)]
    assert Counter(one.result() for one in asked) == {"confirmed": 50, "out_of_stock": 150}
    assert (await two_servers.eye.do("GET", f"/api/v2/products/{product['id']}"))["stock"] == 0


async def test_order_from_too_far_away_is_refused_and_so_is_its_repetition(two_servers: TwoServers) -> None:
    store = await two_servers.store()
    assert store["delivery_radius_m"] == Settings().delivery_radius_m == 30_000
    product, key = await two_servers.product(store, stock=1), next(keys)
    problems = []
    for _ in range(2):
        with pytest.raises(ApiProblem) as caught:
            await two_servers.order(product, FAR, key)
        assert (caught.value.status, caught.value.code) == (422, "out_of_range")
        problems.append(caught.value.problem["errors"])
    assert problems[0] == problems[1]
    assert problems[0][0]["pointer"] == "#/dropoff"
    assert problems[0][0]["detail"] == "111196 m from the store, which delivers within 30000 m"
    assert await two_servers.order(product), "nearer it goes, and the stock is there"


async def test_store_that_names_no_limit_delivers_anywhere(two_servers: TwoServers) -> None:
    store = await two_servers.store(delivery_radius_m=None)
    product = await two_servers.product(store)
    assert await two_servers.order(product, FAR)
    changed = await two_servers.one.do(
        "PATCH", f"/api/v2/stores/{store['id']}", {"delivery_radius_m": 20_000}
    )
    assert changed["delivery_radius_m"] == 20_000
    with pytest.raises(ApiProblem, match="out_of_range"):
        await two_servers.order(product, FAR)
    renamed = await two_servers.one.do("PATCH", f"/api/v2/stores/{store['id']}", {"name": "Renamed"})
    assert renamed["delivery_radius_m"] == 20_000, "who does not name it keeps it"
    await two_servers.one.do("PATCH", f"/api/v2/stores/{store['id']}", {"delivery_radius_m": None})
    assert await two_servers.order(product, FAR)


async def test_stores_around_a_place_are_found_across_the_date_line(two_servers: TwoServers) -> None:
    east = await two_servers.store(lat=-16.5, lon=179.99)
    west = await two_servers.store(lat=-16.5, lon=-179.98)
    answer = await two_servers.eye.do("GET", "/api/v2/stores?near=-16.5,180&radius_m=5000")
    assert [(item["id"], item["distance_m"]) for item in answer["items"]] == [
        (east["id"], 1066.2), (west["id"], 2132.3),
    ]  # fmt: skip
