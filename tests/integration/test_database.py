"""The pool when connections are lost at awkward moments."""

from __future__ import annotations

import asyncio

import asyncpg
import pytest

from storage.errors import NotDone, Unreachable
from storage.postgres.database import Database, open_database
from storage.postgres.queries import BLOCKS


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


# -- a schema that changes under connections that are warm ----------------------------------------------------


async def test_first_read_after_a_table_was_altered_is_answered(database_url: str) -> None:
    owner = await asyncpg.connect(database_url)
    async with open_database(database_url, size_max=1) as database:
        BLOCKS["altered"] = "SELECT * FROM zones"
        try:
            assert await database.rows("altered") == []
            await owner.execute("ALTER TABLE zones ADD COLUMN note text")
            assert await database.rows("altered") == []
        finally:
            del BLOCKS["altered"]
            await owner.close()


async def test_transaction_that_meets_an_altered_table_is_not_done_and_the_next_one_is(
    database_url: str,
) -> None:
    owner = await asyncpg.connect(database_url)
    BLOCKS["altered"] = "INSERT INTO zones (name) VALUES ('Z') RETURNING *"
    try:
        async with open_database(database_url, size_max=1) as database:
            async with database.transaction() as transaction:
                await transaction.rows("altered")
            await owner.execute("ALTER TABLE zones ADD COLUMN note text")
            with pytest.raises(NotDone):
                async with database.transaction() as transaction:
                    await transaction.rows("altered")
            assert await owner.fetchval("SELECT count(*) FROM zones") == 1
            async with database.transaction() as transaction:
                await transaction.rows("altered")
        assert await owner.fetchval("SELECT count(*) FROM zones") == 2
    finally:
        del BLOCKS["altered"]
        await owner.close()


async def test_connection_whose_prepared_statements_are_gone_is_replaced(database_url: str) -> None:
    async with open_database(database_url, size_max=1) as database:
        for _ in range(2):
            await database.rows("ping")
        async with database._connection() as connection:
            await connection.execute("DEALLOCATE ALL")
        with pytest.raises(NotDone):
            await database.rows("ping")
        assert await database.rows("ping")


async def test_right_that_was_taken_away_is_no_fault_of_ours(database_url: str) -> None:
    owner = await asyncpg.connect(database_url)
    async with open_database(database_url, size_max=1) as database:
        await owner.execute("REVOKE SELECT ON zones FROM mall_app")
        with pytest.raises(NotDone):
            await database.rows("zones_of_all")
        await owner.execute("GRANT SELECT ON zones TO mall_app")
        assert await database.rows("zones_of_all") == []
    await owner.close()


async def test_server_that_does_not_answer_in_the_time_given_is_unreachable(database_url: str) -> None:
    with pytest.raises(Unreachable):
        async with open_database(database_url, size_max=1, connect_s=1e-6):
            pass
    async with open_database(database_url, size_max=1, connect_s=60) as database:
        assert database.pool.get_size() == 1
