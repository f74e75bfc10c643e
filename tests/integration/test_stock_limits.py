"""Limits of stocks: what the outbox is told when the API sets a stock, and what it becomes in the log of events."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Sequence
from typing import Any, cast

import asyncpg
import pytest

from dispatch.catalogue import Catalogue
from dispatch.jobs.relay import Relay
from dispatch.jobs.stored import StoredJobs
from dispatch.ports import CachedReads
from storage.postgres.database import Database, open_database

TRACE = "f" * 32
SEED = """
INSERT INTO zones (id, name) VALUES (1, 'North');
INSERT INTO stores (id, zone_id, name, lat, lon) VALUES (1, 1, 'Tea house', 1, 2);
INSERT INTO products (id, store_id, name, price_minor, currency, stock, low_stock)
VALUES (1, 1, 'Tea', 1, 'EUR', 20, 5);
INSERT INTO products (id, store_id, name, price_minor, currency, stock) VALUES (2, 1, 'Rum', 1, 'EUR', 20);
"""


class _Uncached:
    async def product_changed(self, row: Any) -> None:
        """Nothing is kept."""


class Shelf:
    """The catalogue with a default limit of 10, as the server's role sees it, and the tables beneath."""

    def __init__(self, database: Database, owner: Any) -> None:
        self._catalogue = Catalogue(
            database, cast("CachedReads", _Uncached()), cast("Any", None), low_stock=10
        )
        self._database = database
        self.owner = owner

    async def set(self, product: int, *stocks: int | None, **other: Any) -> None:
        """Set the stock of a product, several times."""
        for stock in stocks:
            changes = {"stock": stock, **other}
            assert await self._catalogue.change_product(product, None, changes, TRACE) is not None

    async def change(self, product: int, **changes: Any) -> None:
        """Change other fields."""
        await self._catalogue.change_product(product, None, changes, TRACE)

    async def told(self) -> list[tuple[str, int, int]]:
        """Event, stock and limit of each row of the outbox, which is emptied."""
        rows = await self.owner.fetch("DELETE FROM outbox RETURNING id, topic, trace, data")
        assert all((row["topic"], row["trace"]) == ("stock", TRACE) for row in rows)
        told = [json.loads(row["data"]) for row in sorted(rows, key=lambda row: row["id"])]
        return [(one["event"], one["stock"], one["limit"]) for one in told]

    async def relayed(self) -> Sequence[Any]:
        """Relay the outbox; bodies and columns of the log."""
        await Relay(StoredJobs(self._database)).relay_batch()
        return list(await self.owner.fetch("SELECT * FROM event_log ORDER BY pos"))


@pytest.fixture
async def shelf(database_url: str) -> AsyncIterator[Shelf]:
    owner = await asyncpg.connect(database_url)
    await owner.execute(SEED)
    async with open_database(database_url, size_max=2) as database:
        yield Shelf(database, owner)
    await owner.close()


async def test_stock_that_falls_to_its_limit_is_told_of_once_until_it_was_above_again(shelf: Shelf) -> None:
    await shelf.set(1, 6, 5, 4, 3, 5)
    assert await shelf.told() == [("low", 5, 5)]
    await shelf.set(1, 6, 6, 2)
    assert await shelf.told() == [("low", 2, 5)]


async def test_stock_that_is_used_up_at_once_is_low_and_out(shelf: Shelf) -> None:
    await shelf.set(1, 0, 0)
    assert await shelf.told() == [("low", 0, 5), ("out", 0, 5)]
    await shelf.set(1, 3, 0)
    assert await shelf.told() == [("out", 0, 5)], "it was low all the time"


async def test_product_without_a_limit_has_that_of_the_server(shelf: Shelf) -> None:
    await shelf.set(2, 11, 10, 9)
    assert await shelf.told() == [("low", 10, 10)]


async def test_limit_of_zero_is_never_crossed_but_the_end_is_told(shelf: Shelf) -> None:
    await shelf.change(2, low_stock=0)
    await shelf.set(2, 1, 0)
    assert await shelf.told() == [("out", 0, 0)]


async def test_stock_that_never_ran_out_crosses_the_limit_when_it_gets_a_number(shelf: Shelf) -> None:
    await shelf.set(1, None)
    assert await shelf.told() == []
    await shelf.set(1, 4)
    assert await shelf.told() == [("low", 4, 5)]


async def test_other_changes_and_refused_ones_tell_nothing(shelf: Shelf) -> None:
    await shelf.set(1, 4)
    await shelf.told()
    await shelf.change(1, name="Green tea")
    await shelf.change(1, low_stock=9)
    catalogue = shelf._catalogue
    assert await catalogue.change_product(1, ["1"], {"stock": 0}, TRACE) is None, "an old version"
    assert await shelf.told() == []


async def test_ledger_of_stocks_follows_what_the_api_sets(shelf: Shelf) -> None:
    await shelf.set(1, 7)
    assert await shelf.owner.fetchval("SELECT pieces FROM stock_made WHERE product_id = 1") == 7


async def test_server_cannot_write_the_outbox_itself(shelf: Shelf) -> None:
    await shelf.owner.execute("SET ROLE mall_app")
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await shelf.owner.execute("INSERT INTO outbox (topic, ref, version) VALUES ('stock', 1, 0)")
    await shelf.owner.execute("RESET ROLE")


async def test_each_crossing_becomes_an_event_with_product_and_store(shelf: Shelf) -> None:
    await shelf.set(1, 5, 8, 5, 0)
    rows = await shelf.relayed()
    assert [row["type"] for row in rows] == ["stock.low", "stock.low", "stock.out"]
    assert {(row["zone_id"], tuple(row["store_ids"]), row["trace"]) for row in rows} == {(1, (1,), TRACE)}
    body = json.loads(rows[2]["body"])
    assert body["data"] == {
        "product_id": "prd_1", "store_id": "sto_1", "name": "Tea", "stock": 0, "limit": 5, "trace_id": TRACE,
    }  # fmt: skip
