"""The cache on a real Valkey: one query for many, nothing old after a change, and no harm without Redis."""

from __future__ import annotations

import asyncio
import itertools
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any

import pytest

from actors.clock import LoopClock, SystemRandomness
from storage.errors import Unreachable
from storage.redis.cache import JITTER, MISSING_S, NEAR_S, Cache, CacheKind
from storage.redis.cache_store import BUDGET_S, FAILURES_MAX, CacheStore
from storage.redis.client import Client, open_redis
from storage.redis.keys import Keyspace
from tests.support.waiting import until

NOWHERE = "unix:///nonexistent/valkey.sock"
LASTING = CacheKind("product", 300.0)
BRIEF = CacheKind("product", 300.0, lambda value: 2.0)
# A busy machine must not look like a dead Redis.
PATIENT_S = 10.0
_prefixes = itertools.count(1)


class HandClock(LoopClock):
    """The loop's clock, and what a test adds to it."""

    def __init__(self) -> None:
        super().__init__(asyncio.get_running_loop())
        self.ahead_s = 0.0

    def monotonic(self) -> float:
        return super().monotonic() + self.ahead_s

    def wall(self) -> float:
        return super().wall() + self.ahead_s


class CatalogueRows:
    """A row in a database: its queries are counted, and can be made to wait or fail."""

    def __init__(self, value: Any) -> None:
        self.value = value
        self.queries = 0
        self.away = False
        self.gate = asyncio.Event()
        self.gate.set()

    async def __call__(self) -> Any:
        self.queries += 1
        if self.away:
            raise Unreachable("gone")
        seen = self.value
        await self.gate.wait()
        return seen


class CachingInstance:
    """One instance's cache, what it counted, and its clock."""

    def __init__(self, client: Client, prefix: str, budget_s: float = PATIENT_S) -> None:
        self.counts: Counter[str] = Counter()
        self.failures = 0
        self.clock = HandClock()
        entropy = SystemRandomness()
        self.entries = CacheStore(client, self.clock, entropy, Keyspace(prefix), self._failed, budget_s)
        self.cache = Cache(self.entries, self.clock, entropy, lambda _, result: self.counts.update([result]))

    def _failed(self) -> None:
        self.failures += 1

    def later(self) -> None:
        """What is near is over."""
        self.clock.ahead_s += NEAR_S


@pytest.fixture
async def instances(redis_url: str) -> AsyncIterator[Callable[[], CachingInstance]]:
    """Makes instances that share a Redis and a prefix of this test alone."""
    prefix = f"cache-test-{next(_prefixes)}"
    async with open_redis(redis_url) as client:
        yield lambda: CachingInstance(client, prefix)


async def _all(count: int, ask: Callable[[], Any]) -> list[Any]:
    async with asyncio.TaskGroup() as tasks:
        asked = [tasks.create_task(ask()) for _ in range(count)]
    return [task.result() for task in asked]


# -- one query -------------------------------------------------------------------------------------


async def test_500_simultaneous_misses_of_one_product_are_one_query(
    instances: Callable[[], CachingInstance],
) -> None:
    here, rows = instances(), CatalogueRows({"id": 1, "version": 1})
    found = await _all(500, lambda: here.cache.get(LASTING, "product:1", rows))
    assert rows.queries == 1
    assert found == [{"id": 1, "version": 1}] * 500
    assert here.counts == {"miss": 1, "hit": 499}


async def test_500_simultaneous_misses_on_each_of_four_instances_are_a_query_each_at_most(
    instances: Callable[[], CachingInstance],
) -> None:
    several, rows = [instances() for _ in range(4)], CatalogueRows({"id": 1})
    turns = itertools.cycle(several)
    await _all(2000, lambda: next(turns).cache.get(LASTING, "product:1", rows))
    assert 1 <= rows.queries <= 4
    for one in several:
        one.later()
    await _all(2000, lambda: next(turns).cache.get(LASTING, "product:1", rows))
    assert rows.queries <= 4, "later all of them find it in Redis"


async def test_those_who_wait_are_served_when_the_one_who_asks_is_cancelled(
    instances: Callable[[], CachingInstance],
) -> None:
    here, rows = instances(), CatalogueRows({"id": 1})
    rows.gate.clear()
    async with asyncio.TaskGroup() as tasks:
        leader = tasks.create_task(here.cache.get(LASTING, "product:1", rows))
        await until(lambda: rows.queries)
        followers = [tasks.create_task(here.cache.get(LASTING, "product:1", rows)) for _ in range(5)]
        await until(lambda: all(not one.done() for one in followers))
        leader.cancel()
        rows.gate.set()
    assert leader.cancelled()
    assert [one.result() for one in followers] == [{"id": 1}] * 5
    assert rows.queries == 2


async def test_failure_is_told_to_all_who_wait_and_not_kept(instances: Callable[[], CachingInstance]) -> None:
    here, rows = instances(), CatalogueRows({"id": 1})
    rows.away = True

    async def ask() -> str:
        try:
            await here.cache.get(LASTING, "product:1", rows)
        except Unreachable:
            return "refused"
        return "served"

    assert await _all(20, ask) == ["refused"] * 20
    assert rows.queries == 1
    rows.away = False
    assert await ask() == "served"


# -- changes ---------------------------------------------------------------------------------------


async def test_change_shows_here_at_once_and_elsewhere_within_half_a_second(
    instances: Callable[[], CachingInstance],
) -> None:
    here, there, rows = instances(), instances(), CatalogueRows({"id": 1, "version": 1})
    for one in (here, there):
        await one.cache.get(LASTING, "product:1", rows)
    rows.value = {"id": 1, "version": 2}
    await here.cache.forget(["product:1"])
    assert (await here.cache.get(LASTING, "product:1", rows))["version"] == 2
    there.later()
    assert (await there.cache.get(LASTING, "product:1", rows))["version"] == 2
    assert rows.queries == 2, "the other instance found it in Redis"


async def test_slow_reader_cannot_put_an_old_row_back_after_the_change(
    instances: Callable[[], CachingInstance],
) -> None:
    slow, writer, third = (instances() for _ in range(3))
    rows = CatalogueRows({"id": 1, "version": 1})
    rows.gate.clear()
    async with asyncio.TaskGroup() as tasks:
        reading = tasks.create_task(slow.cache.get(LASTING, "product:1", rows))
        await until(lambda: rows.queries)  # it has read version 1, and hangs
        rows.value = {"id": 1, "version": 2}
        await writer.cache.forget(["product:1"])
        rows.gate.set()
    assert reading.result()["version"] == 1, "it began before the change"
    for one in (third, writer, slow):
        one.later()
        assert (await one.cache.get(LASTING, "product:1", rows))["version"] == 2


async def test_slow_reader_cannot_replace_what_was_put_after_the_change(
    instances: Callable[[], CachingInstance],
) -> None:
    slow, writer = instances(), instances()
    rows, fresh = CatalogueRows({"id": 1, "version": 1}), CatalogueRows({"id": 1, "version": 2})
    rows.gate.clear()
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(slow.cache.get(LASTING, "product:1", rows))
        await until(lambda: rows.queries)
        await writer.cache.forget(["product:1"])
        await writer.cache.get(LASTING, "product:1", fresh)
        rows.gate.set()
    slow.later()
    assert (await slow.cache.get(LASTING, "product:1", fresh))["version"] == 2


async def test_own_slow_read_does_not_outlive_a_change_on_the_same_instance(
    instances: Callable[[], CachingInstance],
) -> None:
    here, rows = instances(), CatalogueRows({"id": 1, "version": 1})
    rows.gate.clear()
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(here.cache.get(LASTING, "product:1", rows))
        await until(lambda: rows.queries)
        rows.value = {"id": 1, "version": 2}
        await here.cache.forget(["product:1"])
        rows.gate.set()
    assert (await here.cache.get(LASTING, "product:1", rows))["version"] == 2


async def test_missing_row_is_believed_for_moments_and_not_at_all_once_it_is_made(
    instances: Callable[[], CachingInstance], redis_url: str
) -> None:
    here, rows = instances(), CatalogueRows(None)
    assert await here.cache.get(LASTING, "product:9", rows) is None
    here.later()
    assert await here.cache.get(LASTING, "product:9", rows) is None
    assert rows.queries == 1
    rows.value = {"id": 9}
    await here.cache.forget(["product:9"])
    assert await here.cache.get(LASTING, "product:9", rows) == {"id": 9}
    async with open_redis(redis_url) as client:
        prefix = here.entries._base
        await here.cache.get(LASTING, "product:10", CatalogueRows(None))
        left_s = await client.pttl(f"{prefix}product:10") / 1000
    assert 0 < left_s <= MISSING_S * (1 + JITTER)


async def test_lives_of_values_put_together_end_apart(
    instances: Callable[[], CachingInstance], redis_url: str
) -> None:
    here = instances()
    for number in range(30):
        await here.cache.get(LASTING, f"product:{number}", CatalogueRows({"id": number}))
    async with open_redis(redis_url) as client:
        lives = [await client.pttl(f"{here.entries._base}product:{n}") / 1000 for n in range(30)]
    assert all(300 * (1 - JITTER) - 5 <= life <= 300 * (1 + JITTER) for life in lives)
    assert max(lives) - min(lives) > 15


async def test_value_with_a_stock_is_read_again_when_it_is_no_longer_fresh(
    instances: Callable[[], CachingInstance],
) -> None:
    here, rows = instances(), CatalogueRows({"id": 1, "stock": 5})
    await here.cache.get(BRIEF, "product:1", rows)
    rows.value = {"id": 1, "stock": 4}
    here.later()
    assert (await here.cache.get(BRIEF, "product:1", rows))["stock"] == 5
    here.clock.ahead_s += 2
    assert (await here.cache.get(BRIEF, "product:1", rows))["stock"] == 4


async def test_old_value_is_better_than_none_while_postgres_is_away(
    instances: Callable[[], CachingInstance],
) -> None:
    here, rows = instances(), CatalogueRows({"id": 1, "stock": 5})
    await here.cache.get(BRIEF, "product:1", rows)
    here.clock.ahead_s += 3
    rows.away = True
    assert (await here.cache.get(BRIEF, "product:1", rows))["stock"] == 5
    assert here.counts["stale"] == 1


async def test_times_come_back_as_times(instances: Callable[[], CachingInstance]) -> None:
    here, there, at = instances(), instances(), datetime(2026, 1, 2, 3, 4, 5, 600, UTC)
    rows = CatalogueRows([{"id": 1, "created_at": at}])
    await here.cache.get(LASTING, "shelf:1", rows)
    assert await there.cache.get(LASTING, "shelf:1", rows) == [{"id": 1, "created_at": at}]
    assert rows.queries == 1


# -- without Redis ---------------------------------------------------------------------------------


@asynccontextmanager
async def silent_server() -> AsyncIterator[tuple[str, Counter[str]]]:
    """Takes connections and never answers."""
    asked: Counter[str] = Counter()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked["connections"] += 1
        try:
            while await reader.read(4096):
                asked["reads"] += 1
        finally:
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        yield f"redis://127.0.0.1:{server.sockets[0].getsockname()[1]}", asked


async def test_without_redis_postgres_is_asked_and_the_breaker_opens() -> None:
    async with open_redis(NOWHERE) as client:
        here, rows = CachingInstance(client, "nowhere"), CatalogueRows({"id": 1})
        for _ in range(20):
            here.later()
            assert await here.cache.get(LASTING, "product:1", rows) == {"id": 1}
            here.clock.ahead_s -= NEAR_S
            here.cache._near.clear()
        assert here.counts == {"bypass": 20}
        assert here.failures == FAILURES_MAX, "nobody knocks at a closed door"
        here.clock.ahead_s += 2
        await here.cache.get(LASTING, "product:1", rows)
        assert here.failures == FAILURES_MAX + 1, "one tries again after a while"


async def test_redis_that_hangs_costs_a_reader_its_budget_and_no_more() -> None:
    async with silent_server() as (url, asked), open_redis(url) as client:
        here, rows = CachingInstance(client, "hanging", BUDGET_S), CatalogueRows({"id": 1})
        loop, waits = asyncio.get_running_loop(), []
        for number in range(20):
            began = loop.time()
            await here.cache.get(LASTING, f"product:{number}", rows)
            waits.append(loop.time() - began)
        assert asked["connections"] >= 1
        assert here.failures == FAILURES_MAX
        assert min(waits[:FAILURES_MAX]) >= BUDGET_S * 0.9


async def test_change_that_redis_did_not_hear_of_is_told_when_it_is_back(redis_url: str) -> None:
    prefix = f"cache-test-{next(_prefixes)}"
    rows = CatalogueRows({"id": 1, "version": 1})
    async with open_redis(redis_url) as client:
        writer, other = CachingInstance(client, prefix), CachingInstance(client, prefix)
        await other.cache.get(LASTING, "product:1", rows)
        rows.value = {"id": 1, "version": 2}
        for _ in range(FAILURES_MAX):
            writer.entries._breaker.failed()
        await writer.cache.forget(["product:1"])
        assert (await writer.cache.get(LASTING, "product:1", rows))["version"] == 2
        async with asyncio.TaskGroup() as tasks:
            sending = tasks.create_task(writer.cache.run())
            writer.clock.ahead_s += 2  # the breaker lets one try
            await until(lambda: not writer.cache._owed)
            sending.cancel()
        other.later()
        assert (await other.cache.get(LASTING, "product:1", rows))["version"] == 2
