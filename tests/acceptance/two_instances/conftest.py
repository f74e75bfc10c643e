"""The two instances of this room: started once for each file, and checked after each test."""

from __future__ import annotations

import itertools
import os
import secrets
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import AsyncExitStack
from pathlib import Path

import asyncpg
import pytest

from loadtests.kit.client import Mall, open_http
from loadtests.kit.server import ROOT, ServerProcess
from storage.embedded import EmbeddedValkey
from tests.acceptance.two_instances.cluster import TwoInstances
from tests.conftest import copy_database
from tests.support.server_log import ServerLog

_numbers = itertools.count(1)
# In a rolling upgrade the second instance is of another version: a checkout of that commit.
SECOND_TREE = Path(os.environ.get("TEST_SECOND_TREE") or ROOT)


@pytest.fixture(scope="module")
def cluster_settings() -> Mapping[str, str]:
    """Settings of both instances; a file that needs some has a fixture of this name."""
    return {}


@pytest.fixture(scope="module")
async def cluster(
    short_tmp_path: Path, template_server: str, cluster_settings: Mapping[str, str]
) -> AsyncIterator[TwoInstances]:
    """Two instances with a Redis of their own that tests may stop."""
    url, name = await copy_database(template_server), f"pair-{next(_numbers)}"
    async with AsyncExitStack() as stack:
        database = await asyncpg.connect(url)
        stack.push_async_callback(database.close)
        await database.execute("UPDATE cluster_meta SET peer_secret = $1", secrets.token_hex(32))
        valkey = EmbeddedValkey(short_tmp_path / name, durable=False)
        stack.callback(valkey.stop)
        valkey.start()
        environ = {
            "DATABASE_URL": url,
            "REDIS_URL": valkey.redis_url,
            "MALL_SAMPLE": "off",
            "MALL_GATEWAY_URL": "sandbox",
            **cluster_settings,
        }
        servers = []
        for number in (1, 2):
            own = {**environ, "MALL_INSTANCE": f"{name}-{number}"}
            server = ServerProcess(short_tmp_path / f"{name}-{number}", own)
            if number == 2:
                server.tree = SECOND_TREE
            stack.push_async_callback(server.stop)
            await server.start()
            servers.append(server)
        http = await stack.enter_async_context(open_http())
        one, two = (Mall(http, server.url) for server in servers)
        # Minted, so that it outlives the slowest module.
        admin = one.as_(
            (await servers[0].mint("admin", 1, "--prefix", "boss", "--hours", "1"))[0]["access_token"]
        )
        zone = (await admin.do("POST", "/api/v2/zones", {"name": "Z", "mode": "waves"}))["id"]
        logs = [ServerLog(server.log_path, ignored=frozenset()) for server in servers]
        yield TwoInstances(servers, database, valkey, one, two, admin, zone, logs)


@pytest.fixture(autouse=True)
def no_error_lines(request: pytest.FixtureRequest) -> Iterator[None]:
    """Neither instance logs an error during the test."""
    if "cluster" not in request.fixturenames:
        yield
        return
    logs: list[ServerLog] = request.getfixturevalue("cluster").logs
    for log in logs:
        log.assert_no_errors("before this test, after the one before")
    yield
    for log in logs:
        log.assert_no_errors("during this test")
