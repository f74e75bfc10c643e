"""Reads of orders, drivers and payments from Postgres, without activating actors."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

from actors.values import frozen
from dispatch.domain.order import Order, order_from
from dispatch.ports import QueryPool, Row
from storage.postgres.list_queries import After

# Filters of orders: by state, and by customer, zone and store.
_STATE = frozenset({"status", "statuses", "driver_id"})
_PLACED = frozenset({"customer_id", "zone_id", "store_id"})

NumberedKind = Literal["user", "zone", "store", "product", "order", "driver"]


@frozen
class NumberedPage:
    """One numbered page, and the number of rows of all pages."""

    rows: list[Any]
    total: int


class Records:
    """Lists, and single rows without an actor."""

    def __init__(self, database: QueryPool) -> None:
        self._database = database

    async def orders(
        self, filters: Mapping[str, Any], sort: str, after: After | None, limit: int
    ) -> list[Any]:
        """A page of orders, from the query whose indexes serve these filters.

        Filters: customer_id, zone_id, driver_id, status, statuses, created_after, created_before, store_id, and number
        together with store_id.
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
        """A page of an order's history, oldest entry first. Filter: order_id."""
        return await self._database.page("order_history", filters, sort, after, limit)

    async def carried_orders(self, driver: int) -> list[Order]:
        """Orders that a driver carries. The rows change before the driver's actor is told."""
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
        """A payment, with the fields of its next step."""
        row: Row | None = await self._database.row("payment_get", number)
        return row

    async def payment_backlog(self) -> Row:
        """Numbers of waiting and stuck payments and of idempotency keys, and the lateness of the first payment."""
        row: Row = await self._database.row("payments_open")
        return row

    async def open_orders(self) -> Sequence[Row]:
        """Of each zone and status: orders that have not ended (`many`), and the age of the oldest (`oldest_s`)."""
        rows: Sequence[Row] = await self._database.rows("open_orders")
        return rows

    async def online_drivers(self) -> Sequence[Row]:
        """Of each zone: drivers that are `online`, and those of them that are `unreachable`."""
        rows: Sequence[Row] = await self._database.rows("online_drivers")
        return rows

    async def is_key_known(self, customer: int, route: str, digest: bytes) -> bool:
        """True if the customer has used this idempotency key for a creation. `digest` is its SHA-256."""
        return bool(await self._database.value("key_known", customer, route, digest))

    async def numbered(
        self, kind: NumberedKind, page: int, size: int, filters: tuple[Any, ...]
    ) -> NumberedPage:
        """Page `page` of `size` rows, for version 1 of the API. `filters` are the query's, in order."""
        total: int = await self._database.value(f"{kind}_numbered_total", *filters)
        first = (page - 1) * size
        if first >= total:
            return NumberedPage([], total)
        return NumberedPage(await self._database.rows(f"{kind}_numbered", size, first, *filters), total)
