"""Cached reads of the catalogue: single products and stores, and the first pages of lists.

A product's version does not change with its stock, which each order changes. So a product with a limited stock is shown
as it was at most STOCK_S ago. An order is always checked against the row.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import partial
from typing import Any

from actors.clock import Clock, Randomness
from config import metrics
from storage.postgres.database import Database
from storage.redis.cache import Cache, CacheKind
from storage.redis.cache_store import CacheStore
from storage.redis.client import Client
from storage.redis.keys import Keyspace

PRODUCT_S, STORE_S = 300.0, 600.0
# A customer looks at a page for longer than that. storage.redis.cache.NEAR_S is added to it.
STOCK_S = 2.0
# Places that one command of Redis marks.
FORGET_BATCH = 500

Row = Mapping[str, Any]
Rows = Callable[[], Awaitable[list[Any]]]


def _fresh_s(found: Any) -> float | None:
    """Seconds for which products may be shown."""
    rows = found if isinstance(found, list) else (found or {},)
    return STOCK_S if any(row.get("stock") is not None for row in rows) else None


PRODUCT = CacheKind("product", PRODUCT_S, _fresh_s)
SHELF = CacheKind("shelf", PRODUCT_S, _fresh_s)
STORE = CacheKind("store", STORE_S)
STORES = CacheKind("stores", STORE_S)


class CatalogueCache:
    """Cached reads of products and stores, and their invalidation after writes."""

    def __init__(self, database: Database, cache: Cache) -> None:
        self._database = database
        self.cache = cache

    async def run(self) -> None:
        """Send pending invalidations until cancelled."""
        await self.cache.run()

    async def product(self, number: int) -> Row | None:
        """A product as `product_get` returns it, with its stock of at most STOCK_S ago.

        Raises:
            StorageError: neither the cache nor Postgres has an answer.
        """
        load = partial(self._database.row, "product_get", number)
        found: Row | None = await self.cache.get(PRODUCT, f"product:{number}", load)
        return found

    async def store(self, number: int) -> Row | None:
        """A store as `store_get` returns it.

        Raises:
            StorageError: neither the cache nor Postgres has an answer.
        """
        load = partial(self._database.row, "store_get", number)
        found: Row | None = await self.cache.get(STORE, f"store:{number}", load)
        return found

    async def shelf(self, store: int, load: Rows) -> list[Any]:
        """The first page of a store's products, of default length and without filters, as `load` reads it.

        Raises:
            StorageError: neither the cache nor Postgres has an answer.
        """
        rows: list[Any] = await self.cache.get(SHELF, f"shelf:{store}", load)
        return rows

    async def stores(self, zone: int | None, load: Rows) -> list[Any]:
        """The first page of stores, of a zone or of all, of default length and without other filters.

        Raises:
            StorageError: neither the cache nor Postgres has an answer.
        """
        rows: list[Any] = await self.cache.get(STORES, f"stores:{zone or 'all'}", load)
        return rows

    async def product_changed(self, row: Row) -> None:
        """Invalidate a product after the commit of its `row`."""
        await self.cache.forget((f"product:{row['id']}", f"shelf:{row['store_id']}"))

    async def store_changed(self, row: Row, products: Sequence[int] = ()) -> None:
        """Invalidate a store after the commit of its `row`, and those of its products that are shown in another way."""
        store = (f"store:{row['id']}", f"shelf:{row['id']}", f"stores:{row['zone_id']}", "stores:all")
        places = [*store, *(f"product:{product}" for product in products)]
        for start in range(0, len(places), FORGET_BATCH):
            await self.cache.forget(places[start : start + FORGET_BATCH])


def open_catalogue(
    database: Database, redis: Client, clock: Clock, entropy: Randomness, keys: Keyspace
) -> CatalogueCache:
    """Make the cached catalogue of an instance. `keys` are the cluster's."""
    failed = metrics.REDIS_ERRORS.labels("cache").inc
    entries = CacheStore(redis, clock, entropy, keys, failed)
    return CatalogueCache(database, Cache(entries, clock, entropy, _count))


def _count(kind: str, result: str) -> None:
    metrics.cache_count(kind, result).inc()
