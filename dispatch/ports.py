"""Ports of the services: queries, transactions, access tokens, cached reads."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Any, Protocol

from storage.postgres.list_queries import After

Row = Mapping[str, Any]
# Reads the rows of a page. A cache may answer instead.
LoadRows = Callable[[], Awaitable[list[Any]]]


class Queries(Protocol):
    """Named queries on one connection, inside a transaction; storage implements them."""

    async def rows(self, name: str, *args: Any) -> list[Any]: ...

    async def row(self, name: str, *args: Any) -> Any:
        """The first row, or None."""


class QueryPool(Queries, Protocol):
    """Named queries on any connection of a pool, each in a transaction of its own.

    Methods of both raise StorageError: see storage/errors.py.
    """

    async def value(self, name: str, *args: Any) -> Any:
        """The first column of the first row, or None."""

    async def page(
        self, name: str, filters: Mapping[str, Any], sort: str, after: After | None, limit: int
    ) -> list[Any]:
        """At most `limit` rows of a list, after the row that `after` names. Each has its `sort_key`."""
        ...

    def transaction(self) -> AbstractAsyncContextManager[Queries]:
        """Transaction for several queries. An exception inside rolls back."""
        ...


class LoadPage(Protocol):
    """Reads one page of a list, like `QueryPool.page`."""

    async def __call__(
        self, filters: Mapping[str, Any], sort: str, after: After | None, limit: int
    ) -> list[Any]: ...


class AccessTokens(Protocol):
    """Access tokens as this instance accepts them."""

    def cut_off(self, *, session: str | None = None, user: int | None = None) -> None:
        """Refuse the tokens of a session or of a user from now on. Other instances read the revocation from the
        database.
        """
        ...


class CachedReads(Protocol):
    """Stores and products through a cache.

    Reads raise StorageError if neither the cache nor Postgres answers. A write must be reported after its commit.
    """

    async def run(self) -> None:
        """Send pending invalidations until cancelled."""

    async def product(self, number: int) -> Row | None:
        """A product. Its stock may be two seconds old."""

    async def store(self, number: int) -> Row | None: ...

    async def shelf(self, store: int, load: LoadRows) -> list[Any]:
        """The first page of a store's products, of default length and without filters."""
        ...

    async def stores(self, zone: int | None, load: LoadRows) -> list[Any]:
        """The first page of stores, of a zone or of all, of default length and without other filters."""
        ...

    async def product_changed(self, row: Row) -> None: ...

    async def store_changed(self, row: Row, products: Sequence[int] = ()) -> None:
        """`products`: those that are shown in another way, because the store has closed or opened."""
