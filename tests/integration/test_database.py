"""The pool when connections are lost at awkward moments."""

from __future__ import annotations

import asyncio

import asyncpg
import pytest

from storage.errors import Unreachable
from storage.postgres.database import Database, open_database


async def _give_up(database: Database) -> None:
    """Cancelled in the middle of a query, whose connection is lost as it is given back: a turn later."""
    async with database._connection() as connection:
        asyncio.get_running_loop().call_soon(connection._con.terminate)
        raise asyncio.CancelledError("ours")


async def test_connection_that_is_lost_while_it_is_given_back_hides_nothing(database_url: str) -> None:
    async with open_database(database_url, size_max=1) as database:
        with pytest.raises(asyncio.CancelledError, match="ours"):
            await _give_up(database)
        assert await database.rows("ping"), "its place in the pool is free again"


async def test_connection_that_is_lost_after_good_work_costs_nothing(database_url: str) -> None:
    loop = asyncio.get_running_loop()
    async with open_database(database_url, size_max=1) as database:
        for _ in range(3):
            async with database._connection() as connection:
                assert await connection.fetchval("SELECT 1") == 1
                loop.call_soon(connection._con.terminate)
        assert await database.rows("ping")


async def test_driver_that_meets_a_state_it_does_not_know_leaves_an_unknown_outcome(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def confused(self: object, *_: object, **__: object) -> None:
        raise asyncpg.InternalClientError("got result for unknown protocol state 3")

    async with open_database(database_url, size_max=1) as database:
        monkeypatch.setattr(asyncpg.Connection, "fetch", confused)
        with pytest.raises(Unreachable):
            await database.rows("ping")
