"""Each component of an instance goes down by a real fault: a metric shows it, and a real Prometheus fires its alert.

The rules are the shipped ones. Scrapes are five seconds apart, and an alert must hold for a fifth of its time.
Each takes a minute of waiting, so all but the first are long.
"""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import aiohttp
import pytest

from loadtests.drill.mall import can_mount, fill, frozen_tree, small_disk
from loadtests.drill.monitoring import Monitoring, Pace, find_programs, open_monitoring
from loadtests.drill.pager import open_pager
from loadtests.kit.client import Mall, open_http
from loadtests.kit.server import ServerProcess
from loadtests.kit.stores import Stores, connect, open_stores
from loadtests.kit.waiting import until

pytestmark = [
    pytest.mark.timeout(300),
    pytest.mark.skipif(
        find_programs() is None,
        reason="needs Prometheus and Alertmanager (apt-get install prometheus prometheus-alertmanager)",
    ),
]
PACE = Pace(scrape_s=5.0, factor=1 / 5, past=False)
LIMIT_S = 90.0
# With a pool of two, so many readers are more than may wait.
SETTINGS = {"MALL_POOL_SIZE": "2", "MALL_UNDER_WAY_MAX": "100"}
READERS = 40
# The loop is late by a half second, and so for one in a hundred of its wakes.
STOPPED_S, GOES_S = 0.8, 1.0
LEFT_BYTES = 150 * 1024 * 1024


@dataclass
class WatchedServer:
    """A server, its stores, and the Prometheus that scrapes it."""

    server: ServerProcess
    stores: Stores
    monitoring: Monitoring
    http: aiohttp.ClientSession

    async def shows(self, expression: str, value: float) -> bool:
        """True once the expression has the value."""
        return await until(lambda: self._is(expression, value), LIMIT_S)

    async def _is(self, expression: str, value: float) -> bool:
        return any(float(found["value"][1]) == value for found in await self.monitoring.query(expression))

    async def goes_down(self, component: str) -> bool:
        """True once the metric of the component shows that it is down."""
        return await self.shows(f'mall_component_up{{component="{component}"}}', 0)

    async def comes_back(self, component: str) -> bool:
        """True once the metric shows that it is up."""
        return await self.shows(f'mall_component_up{{component="{component}"}}', 1)

    async def fires(self, alert: str) -> bool:
        """True once the alert fires."""
        return await until(lambda: self.monitoring.firing(alert), LIMIT_S)

    async def clears(self, alert: str) -> bool:
        """True once it does not fire any more."""

        async def quiet() -> bool:
            return not await self.monitoring.firing(alert)

        return await until(quiet, LIMIT_S)

    async def probe(self, name: str) -> tuple[int, str]:
        """Status and word of a probe."""
        async with self.http.get(f"{self.server.ops_url}/health/{name}") as answer:
            return answer.status, (await answer.json())["status"]


@asynccontextmanager
async def watched(folder: Path, data_dir: Path | None = None) -> AsyncIterator[WatchedServer]:
    """All of it for the length of a block."""
    with open_stores(folder / "stores", durable=False) as stores:
        server = ServerProcess(data_dir or folder / "server", {**stores.environ, **SETTINGS})
        server.log_path = folder / "server.log"
        await server.start()
        try:
            async with open_http() as http, open_pager() as pager:
                ops = server.ops_url.removeprefix("http://")
                async with open_monitoring(folder / "monitoring", ops, pager.port, PACE, http) as monitoring:
                    assert await until(monitoring.seen, LIMIT_S)
                    yield WatchedServer(server, stores, monitoring, http)
        finally:
            await server.end()


@pytest.fixture(scope="module")
async def mall(short_tmp_path: Path) -> AsyncIterator[WatchedServer]:
    async with watched(short_tmp_path / "health") as mall:
        yield mall


async def test_redis_that_is_away_is_seen_and_told_and_the_instance_stays_ready(mall: WatchedServer) -> None:
    mall.stores.valkey.kill()
    try:
        assert await mall.goes_down("redis")
        assert await mall.fires("MallRedisAway")
        assert await mall.probe("readiness") == (200, "degraded")
    finally:
        mall.stores.valkey.start()
    assert await mall.comes_back("redis")
    assert await mall.clears("MallRedisAway")


@pytest.mark.long
async def test_postgres_that_stands_still_is_seen_and_told_and_the_instance_is_not_ready_but_lives(
    mall: WatchedServer,
) -> None:
    with frozen_tree(mall.stores.postgres.pid):
        assert await mall.goes_down("postgres")
        assert await mall.fires("MallPostgresAway")
        assert await mall.shows("mall_ready", 0)
        assert await mall.fires("MallNotReady")
        assert await mall.probe("liveness") == (200, "alive")
        assert await mall.probe("readiness") == (503, "not_ready")
    assert await mall.comes_back("postgres")
    assert await mall.shows("mall_ready", 1)
    assert await mall.clears("MallPostgresAway")
    assert await mall.clears("MallNotReady")


@pytest.mark.long
async def test_pool_that_is_full_is_seen_and_told_and_is_no_outage_of_postgres(mall: WatchedServer) -> None:
    [user] = await mall.server.mint("customer", 1)
    reader, over = Mall(mall.http, mall.server.url, user["access_token"]), asyncio.Event()

    async def read() -> None:
        while not over.is_set():
            await reader.call("GET", "/api/v2/orders")

    async with asyncio.TaskGroup() as tasks, connect(mall.stores.postgres.database_url) as person:
        async with person.transaction():
            await person.execute("LOCK TABLE orders IN ACCESS EXCLUSIVE MODE")
            for _ in range(READERS):
                tasks.create_task(read())
            assert await mall.goes_down("pool")
            assert await mall.fires("MallPoolSlow")
            assert await mall.shows('mall_component_up{component="postgres"}', 1)
            assert not await mall.monitoring.firing("MallPostgresAway")
            assert (await mall.probe("readiness"))[0] == 200
        over.set()
    assert await mall.comes_back("pool")


@pytest.mark.long
async def test_loop_that_is_late_is_seen_and_told_although_no_scrape_comes_meanwhile(
    mall: WatchedServer,
) -> None:
    over = asyncio.Event()

    async def stop_again_and_again() -> None:
        while not over.is_set():
            os.kill(mall.server.pid, signal.SIGSTOP)
            try:
                await until(over.is_set, STOPPED_S)
            finally:
                os.kill(mall.server.pid, signal.SIGCONT)
            await until(over.is_set, GOES_S)

    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(stop_again_and_again())
        assert await mall.goes_down("loop")
        assert await mall.fires("MallLoopLate")
        over.set()
    assert await mall.comes_back("loop")


@pytest.mark.long
@pytest.mark.skipif(not can_mount(), reason="only root can make a small disk")
async def test_disk_that_is_full_is_seen_and_told_also_beside_servers_of_its_own(
    short_tmp_path: Path,
) -> None:
    with small_disk(short_tmp_path / "disk") as disk:
        async with watched(short_tmp_path / "health-disk", disk / "mall") as mall:
            assert await mall.comes_back("disk")
            filling = fill(disk, LEFT_BYTES)
            assert await mall.goes_down("disk")
            assert await mall.fires("MallDiskFull")
            assert await mall.probe("readiness") == (503, "not_ready")
            filling.unlink()
            assert await mall.comes_back("disk")
            assert await mall.clears("MallDiskFull")
