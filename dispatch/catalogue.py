"""The catalogue: zones, stores, products, their lists and their conditional writes.

An order is checked against the rows. Customers' reads may come from a cache, which each write here invalidates after
its commit.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, Protocol

from dispatch.errors import UnknownStore, UnknownZone
from dispatch.ports import CachedReads, QueryPool, Row
from storage.errors import MissingReference
from storage.postgres.list_queries import After

# Changes of a store that move the middle of its zone's stores, where the queue is.
MIDDLE = frozenset({"lat", "lon", "active"})


class ZoneActors(Protocol):
    """Messages to the actors of zones; `Dispatch` implements them."""

    def wake_zone(self, number: int) -> None: ...

    def reconfigure_zone(self, number: int, trace: str) -> None: ...


def _stored(mode: str) -> tuple[str, str | None]:
    """A zone's mode as its columns: how its orders are offered, and who decides.

    Versions that know no planner offer the orders of such a zone to the nearest drivers.
    """
    return ("waves", mode) if mode in ("planned", "direct") else (mode, None)


class Catalogue:
    """Zones, stores and products.

    A conditional write takes `tags`: the versions that the caller has seen, or None for any. It returns None if the row
    has none of them. `changes` are fields by name: an absent field stays, None clears an optional field, and an empty
    mapping only reads.

    Args:
        low_stock: a stock that falls to it is low, where the product names no limit of its own. 0: never.
    """

    def __init__(
        self, database: QueryPool, cached: CachedReads, zones: ZoneActors, low_stock: int = 0
    ) -> None:
        self._database = database
        self._cached = cached
        self._zones = zones
        self._low_stock = low_stock

    async def run(self) -> None:
        """Send pending invalidations of the cache until cancelled."""
        await self._cached.run()

    # -- zones ----------------------------------------------------------------------------------------

    async def zone(self, number: int) -> Row | None:
        """A zone with its settings."""
        row: Row | None = await self._database.row("zone_get", number)
        return row

    async def zones(
        self, filters: Mapping[str, Any], sort: str, after: After | None, limit: int
    ) -> list[Any]:
        """A page of zones."""
        return await self._database.page("zone_list", filters, sort, after, limit)

    async def add_zone(
        self,
        *,
        name: str,
        mode: str,
        wave_size: int,
        offer_ttl_s: int,
        area: Sequence[Mapping[str, float]] | None,
        offer_distance_max_m: int,
        release_pause_s: int,
        give_up_after_s: int | None,
        driver_pay_minor: int | None,
        unassigned_after_s: int | None,
        planning: Mapping[str, Any] | None,
        delivery_rules: Mapping[str, Any] | None,
        queue_radius_m: int | None = None,
    ) -> Row:
        """Create a zone, and activate its actor."""
        offered, plan = _stored(mode)
        row: Row = await self._database.row(
            "zone_insert",
            name,
            offered,
            wave_size,
            offer_ttl_s,
            area,
            offer_distance_max_m,
            release_pause_s,
            give_up_after_s,
            driver_pay_minor,
            unassigned_after_s,
            plan,
            planning,
            delivery_rules,
            queue_radius_m,
        )
        self._zones.wake_zone(row["id"])
        return row

    async def change_zone(
        self, number: int, tags: Sequence[str] | None, changes: Mapping[str, Any], trace: str
    ) -> Row | None:
        """Change a zone's settings and tell its actor. Open orders follow within a second."""
        new = changes.get
        mode, plan = _stored(changes["mode"]) if "mode" in changes else (None, None)
        row: Row | None = await self._database.row(
            "zone_update",
            number,
            tags,
            new("name"),
            mode,
            new("wave_size"),
            new("offer_ttl_s"),
            new("area"),
            "area" in changes,
            bool(changes),
            new("offer_distance_max_m"),
            new("release_pause_s"),
            new("give_up_after_s"),
            "give_up_after_s" in changes,
            new("driver_pay_minor"),
            "driver_pay_minor" in changes,
            new("unassigned_after_s"),
            "unassigned_after_s" in changes,
            new("planning"),
            "planning" in changes,
            plan,
            new("delivery_rules"),
            "delivery_rules" in changes,
            new("queue_radius_m"),
            "queue_radius_m" in changes,
        )
        if row is not None and changes:
            self._zones.reconfigure_zone(number, trace)
        return row

    # -- stores ---------------------------------------------------------------------------------------

    async def store(self, number: int) -> Row | None:
        """A store, through the cache."""
        return await self._cached.store(number)

    async def store_now(self, number: int) -> Row | None:
        """A store as its row is now."""
        row: Row | None = await self._database.row("store_get", number)
        return row

    async def stores(
        self, filters: Mapping[str, Any], sort: str, after: After | None, limit: int
    ) -> list[Any]:
        """A page of stores. Filters: zone_id, active, q (the beginning of a name)."""
        return await self._database.page("store_list", filters, sort, after, limit)

    async def first_stores(
        self, filters: Mapping[str, Any], sort: str, after: After | None, limit: int
    ) -> list[Any]:
        """The first page of stores of default length, through the cache, of a zone or of all."""
        load = partial(self.stores, filters, sort, after, limit)
        return await self._cached.stores(filters.get("zone_id"), load)

    async def stores_near(self, lat: float, lon: float, radius_m: float, limit: int) -> list[Any]:
        """Stores around a place, nearest first, each with its `distance_m`."""
        return await self._database.rows("store_near", lat, lon, radius_m, limit)

    async def add_store(
        self,
        *,
        zone_id: int,
        name: str,
        lat: float,
        lon: float,
        preparation_s: int,
        delivery_radius_m: int | None,
        preparation_learned: bool = False,
        trace: str = "",
    ) -> Row:
        """Create a store. Without a radius it delivers anywhere.

        `preparation_learned`: new orders get the time that was learned, and `preparation_s` until one was.

        Raises:
            UnknownZone: there is no such zone.
        """
        args = zone_id, name, lat, lon, preparation_s, delivery_radius_m, preparation_learned
        try:
            row: Row = await self._database.row("store_insert", *args)
        except MissingReference:
            raise UnknownZone from None
        await self._cached.store_changed(row)
        self._zones.reconfigure_zone(zone_id, trace)
        return row

    async def change_store(
        self, number: int, tags: Sequence[str] | None, changes: Mapping[str, Any], trace: str = ""
    ) -> Row | None:
        """Change a store. `active: False` removes it from the shop; its orders keep their history."""
        new = changes.get
        row: Row | None = await self._database.row(
            "store_update",
            number,
            tags,
            new("name"),
            new("lat"),
            new("lon"),
            new("preparation_s"),
            new("active"),
            bool(changes),
            "delivery_radius_m" in changes,
            new("delivery_radius_m"),
            new("preparation_learned"),
        )
        if row is not None:
            shown = await self._database.rows("products_of_store", number) if "active" in changes else ()
            await self._cached.store_changed(row, [product["id"] for product in shown])
            if changes.keys() & MIDDLE:
                self._zones.reconfigure_zone(row["zone_id"], trace)
        return row

    # -- products -------------------------------------------------------------------------------------

    async def product(self, number: int) -> Row | None:
        """A product, through the cache: its stock may be two seconds old."""
        return await self._cached.product(number)

    async def product_now(self, number: int) -> Row | None:
        """A product as its row is now."""
        row: Row | None = await self._database.row("product_get", number)
        return row

    async def products(
        self, filters: Mapping[str, Any], sort: str, after: After | None, limit: int
    ) -> list[Any]:
        """A page of products. Filters: store_id, active, currency, price_min_minor, price_max_minor, q."""
        return await self._database.page("product_list", filters, sort, after, limit)

    async def first_products(
        self, filters: Mapping[str, Any], sort: str, after: After | None, limit: int
    ) -> list[Any]:
        """The first page of a store's products of default length, through the cache."""
        load = partial(self.products, filters, sort, after, limit)
        return await self._cached.shelf(filters["store_id"], load)

    async def add_product(
        self,
        *,
        store_id: int,
        name: str,
        price_minor: int,
        currency: str,
        stock: int | None,
        low_stock: int | None = None,
    ) -> Row:
        """Create a product. Without a stock it is always available.

        Raises:
            UnknownStore: there is no such store.
        """
        try:
            row: Row = await self._database.row(
                "product_insert", store_id, name, price_minor, currency, stock, low_stock
            )
        except MissingReference:
            raise UnknownStore from None
        await self._cached.product_changed(row)
        return row

    async def change_product(
        self, number: int, tags: Sequence[str] | None, changes: Mapping[str, Any], trace: str = ""
    ) -> Row | None:
        """Change a product: name, price_minor, currency, stock, low_stock, active. Orders keep their items.

        A stock that crosses its limit is told of under this trace id.
        """
        row: Row | None = await self._database.row(
            "product_update", number, tags, dict(changes), self._low_stock, trace
        )
        if row is not None:
            await self._cached.product_changed(row)
        return row
