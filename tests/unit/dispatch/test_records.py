"""Lists of what Postgres has: which query serves which filters, and no query for a page behind the last row."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractAsyncContextManager
from typing import Any

import pytest

from dispatch.ports import Queries
from dispatch.records import NumberedPage, Records
from storage.postgres.list_queries import After


class Asked:
    """A database that has nothing to say, and notes what it is asked."""

    def __init__(self, total: int = 0) -> None:
        self.total = total
        self.names: list[str] = []

    async def rows(self, name: str, *args: Any) -> list[Any]:
        self.names.append(f"{name}{args}")
        return []

    async def row(self, name: str, *args: Any) -> Any:
        self.names.append(name)

    async def value(self, name: str, *args: Any) -> Any:
        self.names.append(f"{name}{args}")
        return self.total

    async def page(
        self, name: str, filters: Mapping[str, Any], sort: str, after: After | None, limit: int
    ) -> list[Any]:
        self.names.append(name)
        return []

    def transaction(self) -> AbstractAsyncContextManager[Queries]:
        raise AssertionError("reading needs none")


@pytest.mark.parametrize(
    ("filters", "query"),
    [
        ((), "order_list"),
        (("customer_id",), "order_list"),
        (("customer_id", "status"), "order_list"),
        (("zone_id", "statuses"), "order_list"),
        (("created_after",), "order_list"),
        (("status",), "order_list_by_state"),
        (("driver_id", "created_after"), "order_list_by_state"),
        (("store_id",), "order_list_of_store"),
        (("store_id", "number", "status"), "order_list_of_store"),
    ],
)
async def test_orders_are_listed_by_the_query_whose_indexes_serve_the_filters(
    filters: tuple[str, ...], query: str
) -> None:
    database = Asked()
    await Records(database).orders(dict.fromkeys(filters, 1), "id", None, 10)
    assert database.names == [query]


async def test_page_by_number_is_counted_and_then_read() -> None:
    database = Asked(21)
    assert await Records(database).numbered("store", 3, 10, (7,)) == NumberedPage([], 21)
    assert database.names == ["store_numbered_total(7,)", "store_numbered(10, 20, 7)"]


async def test_page_behind_the_last_row_is_not_read() -> None:
    database = Asked(20)
    assert await Records(database).numbered("store", 3, 10, ()) == NumberedPage([], 20)
    assert database.names == ["store_numbered_total()"]
