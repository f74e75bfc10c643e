"""The catalogue: conditional writes, what a patch leaves alone, and what the cache and the zones hear of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import asyncpg
import pytest

from dispatch.catalogue import Catalogue
from dispatch.errors import UnknownStore, UnknownZone
from dispatch.ports import LoadRows, Row
from tests.integration.services.world import ZONE, World

AREA = [{"lat": 1.0, "lon": 2.0}, {"lat": 1.0, "lon": 3.0}, {"lat": 2.0, "lon": 3.0}]


class Uncached:
    """A cache that keeps nothing. `changed` are the rows that others saw in the database when it was told of them."""

    def __init__(self, url: str) -> None:
        self._url = url
        self.changed: list[tuple[str, int]] = []
        self.asked: list[tuple[str, int | None]] = []

    async def run(self) -> None: ...

    async def product(self, number: int) -> Row | None:
        return None

    async def store(self, number: int) -> Row | None:
        return None

    async def shelf(self, store: int, load: LoadRows) -> list[Any]:
        self.asked.append(("shelf", store))
        return await load()

    async def stores(self, zone: int | None, load: LoadRows) -> list[Any]:
        self.asked.append(("stores", zone))
        return await load()

    async def product_changed(self, row: Row) -> None:
        await self._note("products", row)

    async def store_changed(self, row: Row, products: Sequence[int] = ()) -> None:
        await self._note("stores", row)
        self.changed += [("products", product) for product in products]

    async def _note(self, table: str, row: Row) -> None:
        other = await asyncpg.connect(self._url)
        seen = await other.fetchval(f"SELECT version FROM {table} WHERE id = $1", row["id"])
        await other.close()
        assert seen == row["version"], "it is committed"
        self.changed.append((table, row["id"]))


class Zones:
    """Zones' actors: what they were told."""

    def __init__(self) -> None:
        self.told: list[tuple[str, int]] = []

    def wake_zone(self, number: int) -> None:
        self.told.append(("wake", number))

    def reconfigure_zone(self, number: int, trace: str) -> None:
        self.told.append(("reconfigure", number))


class Mall:
    """The service, and those who hear of its writes."""

    def __init__(self, world: World) -> None:
        self.cached, self.zones = Uncached(world.url), Zones()
        self.service = Catalogue(world.database, self.cached, self.zones)

    async def zone(self) -> Row:
        return await self.service.add_zone(
            name="Z", mode="waves", wave_size=3, offer_ttl_s=20, area=AREA, offer_distance_max_m=500,
            release_pause_s=600, give_up_after_s=3600, driver_pay_minor=250, unassigned_after_s=300,
            planning=None, delivery_rules=None,
        )  # fmt: skip

    async def store(self, zone: int = ZONE) -> Row:
        return await self.service.add_store(
            zone_id=zone, name="S", lat=52.5, lon=13.4, preparation_s=60, delivery_radius_m=900
        )

    async def product(self, store: int = 1) -> Row:
        return await self.service.add_product(
            store_id=store, name="P", price_minor=450, currency="EUR", stock=5
        )


@pytest.fixture
def mall(world: World) -> Mall:
    return Mall(world)


async def test_what_is_referred_to_must_exist(mall: Mall) -> None:
    with pytest.raises(UnknownZone):
        await mall.store(zone=77)
    with pytest.raises(UnknownStore):
        await mall.product(store=77)
    assert mall.cached.changed == []


async def test_cache_hears_of_each_write_after_its_commit(mall: Mall) -> None:
    store, product = await mall.store(), await mall.product()
    await mall.service.change_store(store["id"], None, {"name": "Renamed"})
    await mall.service.change_product(product["id"], None, {"active": False})
    assert mall.cached.changed == [
        ("stores", store["id"]), ("products", product["id"]), ("stores", store["id"]), ("products", product["id"]),
    ]  # fmt: skip


async def test_cache_hears_of_the_products_of_a_store_that_closes(mall: Mall) -> None:
    store = await mall.store()
    products = [await mall.product(store["id"]) for _ in range(2)]
    mall.cached.changed = []
    await mall.service.change_store(store["id"], None, {"active": False})
    assert mall.cached.changed == [("stores", store["id"]), *(("products", row["id"]) for row in products)]


async def test_write_of_another_version_changes_nothing_and_nobody_hears_of_it(mall: Mall) -> None:
    zone, store, product = await mall.zone(), await mall.store(), await mall.product()
    mall.cached.changed, mall.zones.told = [], []
    service, changes = mall.service, {"name": "Lost"}
    assert await service.change_zone(zone["id"], ["7"], changes, "trace") is None
    assert await service.change_store(store["id"], ["7"], changes) is None
    assert await service.change_product(product["id"], ["7"], changes) is None
    found = [await service.zone(zone["id"]), await service.store_now(store["id"])]
    found.append(await service.product_now(product["id"]))
    assert found == [zone, store, product]
    assert (mall.cached.changed, mall.zones.told) == ([], [])


async def test_empty_patch_only_looks(mall: Mall) -> None:
    zone, store, product = await mall.zone(), await mall.store(), await mall.product()
    mall.zones.told = []
    assert await mall.service.change_zone(zone["id"], ["1"], {}, "trace") == zone
    assert await mall.service.change_store(store["id"], ["1"], {}) == store
    assert await mall.service.change_product(product["id"], ["1"], {}) == product
    assert mall.zones.told == []


def _shown(row: Row | None) -> dict[str, Any]:
    assert row is not None
    return dict(row)


async def test_patch_of_a_zone_changes_what_it_names_and_null_removes(mall: Mall) -> None:
    zone = await mall.zone()
    number, change = zone["id"], mall.service.change_zone
    wider = {**zone, "wave_size": 9, "version": 2}
    assert _shown(await change(number, None, {"wave_size": 9}, "trace")) == wider
    nulls = dict.fromkeys(("area", "give_up_after_s", "driver_pay_minor", "unassigned_after_s"))
    assert _shown(await change(number, None, nulls, "trace")) == {**wider, **nulls, "version": 3}
    assert mall.zones.told == [("wake", number), ("reconfigure", number), ("reconfigure", number)]


async def test_patch_of_a_store_changes_what_it_names_and_null_removes(mall: Mall) -> None:
    store = await mall.store()
    number, change = store["id"], mall.service.change_store
    moved = _shown(await change(number, None, {"lat": -1.5, "lon": 7.5, "preparation_s": 0}))
    assert (moved["lat"], moved["lon"], moved["preparation_s"]) == (-1.5, 7.5, 0)
    assert (moved["name"], moved["delivery_radius_m"], moved["version"]) == ("S", 900, 2)
    anywhere = _shown(await change(number, None, {"delivery_radius_m": None}))
    assert anywhere == {**moved, "delivery_radius_m": None, "version": 3}


async def test_patch_of_a_product_changes_what_it_names_and_null_removes(mall: Mall) -> None:
    product = await mall.product()
    number, change = product["id"], mall.service.change_product
    dearer = {**product, "price_minor": 500, "version": 2}
    assert _shown(await change(number, None, {"price_minor": 500, "currency": None})) == dearer
    endless = {**dearer, "stock": None, "version": 3}
    assert _shown(await change(number, ["2.5"], {"stock": None})) == endless, "the tag has the stock in it"
    assert await change(number, ["2.5"], {"name": "Lost"}) is None
    limited = {**endless, "low_stock": 4, "version": 4}
    assert _shown(await change(number, ["3"], {"low_stock": 4})) == limited
    assert _shown(await change(number, None, {})) == limited, "an empty patch only looks"
    assert _shown(await change(number, None, {"low_stock": None})) == {**endless, "version": 5}


async def test_lists_are_read_through_the_cache_only_where_it_is_asked(mall: Mall) -> None:
    store = await mall.store()
    product = await mall.product(store["id"])
    service = mall.service
    zone: dict[str, Any] = {"zone_id": ZONE}
    assert [row["id"] for row in await service.stores(zone, "-id", None, 1)] == [store["id"]]
    shelf: dict[str, Any] = {"store_id": store["id"]}
    assert [row["id"] for row in await service.products(shelf, "id", None, 5)] == [product["id"]]
    assert mall.cached.asked == []
    assert len(await service.first_stores(zone, "id", None, 5)) == 2
    assert [row["id"] for row in await service.first_products(shelf, "id", None, 5)] == [product["id"]]
    assert mall.cached.asked == [("stores", ZONE), ("shelf", store["id"])]
    near = await service.stores_near(52.5, 13.4, 1000.0, 5)
    assert [(row["id"], round(row["distance_m"])) for row in near] == [(store["id"], 0)]


async def test_zone_hears_where_its_stores_are(mall: Mall) -> None:
    zone = (await mall.zone())["id"]
    mall.zones.told = []
    store = (await mall.store(zone))["id"]
    assert mall.zones.told == [("reconfigure", zone)]
    for changes, times in (({"name": "New"}, 1), ({"lat": 1.5}, 2), ({"active": False}, 3)):
        await mall.service.change_store(store, None, changes)
        assert mall.zones.told == [("reconfigure", zone)] * times
