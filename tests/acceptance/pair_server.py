"""The two instances: a plugin that modules name in `pytest_plugins`."""

from __future__ import annotations

import itertools
import secrets
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path

import asyncpg
import pytest

from loadtests.client import Mall, open_http
from loadtests.server import ServerProcess
from storage.embedded import EmbeddedValkey
from tests.acceptance.pair import Pair
from tests.conftest import copy_database

_numbers = itertools.count(1)


@pytest.fixture(scope="module")
async def pair(folder: Path, template: str) -> AsyncIterator[Pair]:
    """The two, with a Redis of their own that tests may stop."""
    url, name = await copy_database(template), f"pair-{next(_numbers)}"
    async with AsyncExitStack() as stack:
        database = await asyncpg.connect(url)
        stack.push_async_callback(database.close)
        await database.execute("UPDATE cluster_meta SET peer_secret = $1", secrets.token_hex(32))
        valkey = EmbeddedValkey(folder / name, durable=False)
        stack.callback(valkey.stop)
        valkey.start()
        environ = {
            "DATABASE_URL": url,
            "REDIS_URL": valkey.redis_url,
            "MALL_SAMPLE": "off",
            "MALL_GATEWAY_URL": "sandbox",
        }
        servers = []
        for number in (1, 2):
            own = {**environ, "MALL_INSTANCE": f"{name}-{number}"}
            server = ServerProcess(folder / f"{name}-{number}", own)
            stack.push_async_callback(server.stop)
            await server.start()
            servers.append(server)
        http = await stack.enter_async_context(open_http())
        one, two = (Mall(http, server.url) for server in servers)
        # Minted, so that it outlives the slowest module.
        admin = one.as_(
            (await servers[0].mint("admin", 1, "--prefix", "boss", "--hours", "1"))[0]["access_token"]
        )
        zone = (await admin.do("POST", "/api/v2/zones", {"name": "Z"}))["id"]
        yield Pair(servers, database, valkey, one, two, admin, zone)
        for server in servers:
            assert '"level":"error"' not in server.log_path.read_text()
