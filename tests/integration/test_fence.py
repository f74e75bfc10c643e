"""Why the fence is a locking read: the naive ones let a stale owner commit, ours does not.

In each story an old owner decides, a new owner claims the shard and reads the state, and only then the
old owner's write gets through, because it had to wait for a row that somebody held.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import asyncpg
import pytest

from actors.messages import ActorId
from actors.shards import shard_of
from storage.postgres.database import open_database
from storage.postgres.journal import PostgresJournal
from storage.postgres.order_creation import OrderPlacer
from tests.conftest import copy_database
from tests.contracts.world import JournalWorld, seed

NAIVE = {
    "plain read, then write": [
        "SELECT epoch FROM shard WHERE id = $2",
        "UPDATE orders SET notes = 'stale' WHERE id = $1",
    ],
    "key share lock": [
        "SELECT epoch FROM shard WHERE id = $2 FOR KEY SHARE",
        "UPDATE orders SET notes = 'stale' WHERE id = $1",
    ],
    "epoch in the predicate": [
        "UPDATE orders SET notes = 'stale' WHERE id = $1 AND EXISTS"
        " (SELECT FROM shard WHERE id = $2 AND epoch = $3)"
    ],
}


@pytest.fixture(params=["template_server", pytest.param("template_server_15", marks=pytest.mark.long)])
def server(request: pytest.FixtureRequest) -> str:
    return str(request.getfixturevalue(request.param))


class FenceRace:
    """An order, the old owner's connection, and a blocker that holds the order's row."""

    def __init__(self, url: str, world: JournalWorld, order: Any) -> None:
        self.url = url
        self.world = world
        self.order = order
        self.shard = shard_of(ActorId("order", order["id"]))
        self.epoch = world.epochs[self.shard]

    async def connect(self) -> Any:
        return await asyncpg.connect(self.url)

    async def until_waiting(self, connection: Any, pid: int) -> None:
        """Return once that backend waits for a lock."""
        async with asyncio.timeout(5):
            while not await connection.fetchval(
                "SELECT wait_event_type = 'Lock' FROM pg_stat_activity WHERE pid = $1", pid
            ):
                continue


@pytest.fixture
async def race(server: str) -> AsyncIterator[FenceRace]:
    url = await copy_database(server)
    await seed(url)
    async with open_database(url, size_max=4) as database:
        journal = PostgresJournal(url, database, lambda *_: None)
        world = JournalWorld(journal, OrderPlacer(database))
        await world.claim()
        facts = (await world.order())["facts"]
        yield FenceRace(url, world, await world.row(facts["id"]))
        await journal.close()


@pytest.mark.parametrize("statements", NAIVE.values(), ids=NAIVE)
async def test_naive_fence_lets_a_stale_owner_commit(race: FenceRace, statements: list[str]) -> None:
    old, blocker, watcher = await race.connect(), await race.connect(), await race.connect()
    number = race.order["id"]
    hold = blocker.transaction()
    await hold.start()
    await blocker.execute("SELECT FROM orders WHERE id = $1 FOR UPDATE", number)
    stale = old.transaction()
    await stale.start()
    for statement in statements[:-1]:
        assert await old.fetchval(statement.replace("$2", "$1"), race.shard) == race.epoch
    async with asyncio.TaskGroup() as tasks:
        args = [number, race.shard, race.epoch][: statements[-1].count("$")]
        write = tasks.create_task(old.execute(statements[-1], *args))
        await race.until_waiting(watcher, old.get_server_pid())
        # The new owner: epoch first, then the state, as it must be; but by a plain UPDATE, which is no
        # key change and so passes a key share lock.
        await watcher.execute("UPDATE shard SET epoch = epoch + 1 WHERE id = $1", race.shard)
        seen = await race.world.row(number)
        await hold.rollback()
        assert await write == "UPDATE 1"
    await stale.commit()
    assert seen["notes"] is None
    assert (await race.world.row(number))["notes"] == "stale", "written after the new owner had read"
    for connection in (old, blocker, watcher):
        await connection.close()


async def test_our_flush_refuses_a_stale_owner_that_had_to_wait(race: FenceRace) -> None:
    """The claim is under way when the flush arrives: the flush waits for it, and sees the new epoch."""
    claimer, watcher = await race.connect(), await race.connect()
    claim = claimer.transaction()
    await claim.start()
    await claimer.execute("SELECT * FROM claim_shards(ARRAY[$1::integer], 'new', 'new.1', NULL)", race.shard)
    async with asyncio.TaskGroup() as tasks:
        item = race.world.item(race.order, "assigned", take=1, driver=1)
        flush = tasks.create_task(race.world.flush(item))
        await _until_blocked(watcher)
        await claim.commit()
    assert [o.code for o in flush.result()] == ["stale"]
    assert (await race.world.row(race.order["id"]))["status"] == "confirmed"
    for connection in (claimer, watcher):
        await connection.close()


async def test_claim_waits_for_a_flush_under_way_and_then_reads_it(race: FenceRace) -> None:
    """The flush holds the shard and waits for its order's row; the claim must not overtake it."""
    blocker, watcher = await race.connect(), await race.connect()
    hold = blocker.transaction()
    await hold.start()
    await blocker.execute("SELECT FROM orders WHERE id = $1 FOR UPDATE", race.order["id"])
    async with asyncio.TaskGroup() as tasks:
        item = race.world.item(race.order, "assigned", take=1, driver=1)
        flush = tasks.create_task(race.world.flush(item))
        await _until_blocked(watcher)
        claim = tasks.create_task(race.world.journal.claim([race.shard], "new", "new.1"))
        await _until_blocked(watcher, 2)
        assert not claim.done()
        await hold.rollback()
    assert [o.code for o in flush.result()] == ["ok"]
    assert (await race.world.row(race.order["id"]))["driver_id"] == 1
    for connection in (blocker, watcher):
        await connection.close()


async def _until_blocked(watcher: Any, count: int = 1) -> None:
    query = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"
    async with asyncio.timeout(5):
        while await watcher.fetchval(query) < count:
            continue


UNFENCED = (
    "UPDATE orders SET status = 'cancelled'",
    "DELETE FROM assignment",
    "INSERT INTO assignment VALUES (1, 1, 0, now())",
    "UPDATE drivers SET status = 'online'",
    "INSERT INTO driver_events VALUES (1, 1, 'x', 1, now(), '', '{}')",
    "UPDATE shard SET epoch = 1",
    "UPDATE order_events SET type = 'x'",
    "DELETE FROM idempotency",
)


@pytest.mark.parametrize("statement", UNFENCED)
async def test_server_role_cannot_write_past_the_functions(database_url: str, statement: str) -> None:
    async with open_database(database_url, size_max=2) as database, database.pool.acquire() as connection:
        assert await connection.fetchval("SELECT current_user") == "mall_app"
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await connection.execute(statement)
