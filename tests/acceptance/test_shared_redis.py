"""Two clusters on one Redis: whatever is kept there names its cluster; nothing of one means anything to the other."""

from __future__ import annotations

import asyncio
import re
import secrets
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path

import aiohttp
import asyncpg
import pytest

from loadtests.kit.client import Mall, open_http
from loadtests.kit.protocol import PROTOCOL
from loadtests.kit.server import ServerProcess
from storage.embedded import EmbeddedValkey
from storage.redis.client import open_redis
from tests.acceptance.sample_mall import DROPOFF, fresh_key
from tests.conftest import copy_database

KEY = re.compile(r"\{mall-([0-9a-f]{12})\}:([a-z]+)")
# Every use of Redis.
USES = {"ticket", "limit", "cache", "lease", "inst", "members", "gen", "young"}


@pytest.fixture
async def clusters(
    short_tmp_path: Path, template_server: str, valkey: EmbeddedValkey
) -> AsyncIterator[list[ServerProcess]]:
    """Two servers with a database each, and with limits."""
    async with AsyncExitStack() as stack:
        servers = []
        for name in ("one", "two"):
            url = await copy_database(template_server)
            database = await asyncpg.connect(url)
            await database.execute("UPDATE cluster_meta SET peer_secret = $1", secrets.token_hex(32))
            await database.close()
            environ = {"DATABASE_URL": url, "REDIS_URL": valkey.redis_url, "MALL_RATE_LIMITS": "on"}
            server = ServerProcess(short_tmp_path / f"shared-{name}", environ)
            stack.push_async_callback(server.stop)
            await server.start()
            servers.append(server)
        yield servers


async def _use_everything(server: ServerProcess, http: aiohttp.ClientSession) -> str:
    """Have everything kept in Redis that is ever kept there; returns a driver's ticket."""
    [admin] = await server.mint("admin", 1)
    mall = Mall(http, server.url, admin["access_token"])
    zone = (await mall.do("POST", "/api/v2/zones", {"name": "Z", "mode": "waves"}))["id"]
    body = {"zone_id": zone, "name": "S", "lat": 52.52, "lon": 13.4}
    store = (await mall.do("POST", "/api/v2/stores", body))["id"]
    body = {"store_id": store, "name": "P", "price": {"amount_minor": 5, "currency": "EUR"}}
    product = (await mall.do("POST", "/api/v2/products", body))["id"]
    [driver] = await server.mint("driver", 1, "--prefix", "driver", "--zone", zone)
    for path in (f"stores/{store}", f"products/{product}", "stores", f"stores/{store}/products"):
        await mall.do("GET", f"/api/v2/{path}")
    order = {"items": [{"product_id": product, "quantity": 1}], "dropoff": DROPOFF, "payment": "cash"}
    await mall.do("POST", "/api/v2/orders", order, key=fresh_key())
    ticket = await mall.as_(driver["access_token"]).do("POST", "/api/v2/realtime/tickets")
    return str(ticket["ticket"])


async def _close_code(server: ServerProcess, http: aiohttp.ClientSession, ticket: str) -> int | None:
    """What the feed says to a ticket: a code, or None for welcome."""
    async with http.ws_connect(f"{server.url}/api/v2/drivers/feed", protocols=(PROTOCOL,), compress=0) as ws:
        await ws.send_json({"t": "hello", "ticket": ticket})
        message = await ws.receive(timeout=10)
        return int(message.data) if message.type is aiohttp.WSMsgType.CLOSE else None


async def test_everything_in_redis_names_its_cluster(
    clusters: list[ServerProcess], valkey: EmbeddedValkey
) -> None:
    async with open_http() as http, open_redis(valkey.redis_url) as redis:
        uses: dict[str, set[str]] = {}
        tickets = []
        async with asyncio.TaskGroup() as tasks:
            made = [tasks.create_task(_use_everything(server, http)) for server in clusters]
        tickets = [task.result() for task in made]
        for key in await redis.keys("*"):
            found = KEY.match(str(key, "ascii") if isinstance(key, bytes) else key)
            assert found is not None, key
            uses.setdefault(found[1], set()).add(found[2])
        assert len(uses) == 2, "one name for each cluster"
        for used in uses.values():
            assert used - {"young"} == USES - {"young"}
        assert await _close_code(clusters[0], http, tickets[1]) == 4001
        assert await _close_code(clusters[1], http, tickets[1]) is None
        assert await _close_code(clusters[0], http, tickets[0]) is None
