"""Orders, drivers and payments as Postgres has them: a moment old, and no actor is woken for them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from actors.values import frozen
from dispatch.domain.order import Order, order_from
from dispatch.ports import QueryPool, Row
from storage.postgres.list_queries import After

# Filters of orders by how they stand, and by whom, where and what they were placed for.
_STATE = frozenset({"status", "statuses", "driver_id"})
_PLACED = frozenset({"customer_id", "zone_id", "store_id"})

NumberedKind = Literal["user", "zone", "store", "product", "order", "driver"]


@frozen
class NumberedPage:
    """One of several pages with numbers, and how many rows all of them have."""

    rows: list[Any]
    total: int


class Records:
    """Lists, and single rows that no actor keeps."""

    def __init__(self, database: QueryPool) -> None:
        self._database = database

    async def orders(
        self, filters: Mapping[str, Any], sort: str, after: After | None, limit: int
    ) -> list[Any]:
        """A page of orders, by the query whose indexes serve these filters.

        Filters: customer_id, zone_id, driver_id, status, statuses, created_after, created_before, store_id, and with
        the last one number.
        """
        listing = "order_list"
        if "store_id" in filters:
            listing = "order_list_of_store"
        elif filters.keys() & _STATE and not filters.keys() & _PLACED:
            listing = "order_list_by_state"
        return await self._database.page(listing, filters, sort, after, limit)

    async def order_history(
        self, filters: Mapping[str, Any], sort: str, after: After | None, limit: int
    ) -> list[Any]:
        """A page of an order's history, the oldest entry first. Filter: order_id."""
        return await self._database.page("order_history", filters, sort, after, limit)

    async def carried_orders(self, driver: int) -> list[Order]:
        """What a driver carries now. The rows change before the driver's actor hears of it."""
        return [order_from(row, ()) for row in await self._database.rows("carried_orders", driver)]

    async def drivers(
        self, filters: Mapping[str, Any], sort: str, after: After | None, limit: int
    ) -> list[Any]:
        """A page of drivers. Filters: zone_id, status, state."""
        return await self._database.page("driver_list", filters, sort, after, limit)

    async def payments(
        self, filters: Mapping[str, Any], sort: str, after: After | None, limit: int
    ) -> list[Any]:
        """A page of payments. Filters: order_id, customer_id, status, stuck."""
        return await self._database.page("payment_list", filters, sort, after, limit)

    async def payment(self, number: int) -> Row | None:
        """A payment, and what its next step needs."""
        row: Row | None = await self._database.row("payment_get", number)
        return row

    async def payment_backlog(self) -> Row:
        """How many payments wait or are stuck, how late the first is, how many idempotency keys are kept."""
        row: Row = await self._database.row("payments_open")
        return row

    async def is_key_known(self, customer: int, route: str, digest: bytes) -> bool:
        """True when the customer has created something under this idempotency key already; `digest` is its SHA-256."""
        return bool(await self._database.value("key_known", customer, route, digest))

    async def numbered(
        self, kind: NumberedKind, page: int, size: int, filters: tuple[Any, ...]
    ) -> NumberedPage:
        """Page `page` of pages of `size` rows, for version 1 of the API. `filters` are those of the query, in order."""
        total: int = await self._database.value(f"{kind}_numbered_total", *filters)
        first = (page - 1) * size
        if first >= total:
            return NumberedPage([], total)
        return NumberedPage(await self._database.rows(f"{kind}_numbered", size, first, *filters), total)
