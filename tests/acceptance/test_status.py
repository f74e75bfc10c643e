"""The cluster's status as an operator sees it: two real instances, either of which is asked."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from loadtests.kit.client import open_http
from loadtests.kit.server import ServerProcess, open_server
from storage.embedded import EmbeddedValkey
from tests.conftest import copy_database

# Starting, joining and handing over on a busy machine.
BALANCE_S = 60.0
BROWSER = {"Accept": "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"}


@dataclass
class TwoServersOfOneCluster:
    """Two instances of one cluster, and a client."""

    first: ServerProcess
    second: ServerProcess
    http: aiohttp.ClientSession

    async def status(self, server: ServerProcess, query: str = "") -> dict[str, Any]:
        async with self.http.get(server.ops_url + "/status" + query) as response:
            assert response.status == 200
            assert response.content_type == "application/json"
            found: dict[str, Any] = await response.json()
            return found

    async def balanced(self) -> dict[str, Any]:
        """The first one's status when both serve their halves."""
        async with asyncio.timeout(BALANCE_S):
            while True:
                found = await self.status(self.first)
                owned = [member["shards_owned"] for member in found["cluster"]["members"]]
                if owned == [128, 128] and found["cluster"]["shards"]["served"] == 256:
                    return found


@pytest.fixture(scope="module")
async def two_servers(template_server: str, short_tmp_path: Path) -> AsyncIterator[TwoServersOfOneCluster]:
    """Instances with a Valkey of their own: copies of the template are one cluster by name."""
    async with AsyncExitStack() as stack:
        valkey = EmbeddedValkey(short_tmp_path / "status-valkey", durable=False)
        valkey.start()
        stack.callback(valkey.stop)
        environ = {"DATABASE_URL": await copy_database(template_server), "REDIS_URL": valkey.redis_url}
        first, second = [
            await stack.enter_async_context(
                open_server(
                    short_tmp_path / f"status-{number}", {**environ, "MALL_INSTANCE": f"mall-{number}"}
                )
            )
            for number in (1, 2)
        ]
        yield TwoServersOfOneCluster(first, second, await stack.enter_async_context(open_http()))


async def test_either_instance_shows_both_and_every_shard_once(two_servers: TwoServersOfOneCluster) -> None:
    await two_servers.balanced()
    for server, name in ((two_servers.first, "mall-1"), (two_servers.second, "mall-2")):
        found = await two_servers.status(server)
        assert (found["instance"], found["shards"]["owned"]) == (name, 128)
        cluster = found["cluster"]
        assert cluster["asked"] == name
        assert [member["instance"] for member in cluster["members"]] == ["mall-1", "mall-2"]
        for member in cluster["members"]:
            assert (member["answered"], member["state"], member["shards_owned"]) == (True, "active", 128)
            assert member["lease"]["state"] == "leased"
            assert 0 < member["lease"]["margin_s"] <= 3.3
        shards = cluster["shards"]["map"]
        assert [shard["shard"] for shard in shards] == list(range(256))
        assert {shard["state"] for shard in shards} == {"served"}
        assert {shard["owner"] for shard in shards} == {"mall-1", "mall-2"}
        assert all(shard["epoch"] > 0 for shard in shards)


async def test_epochs_are_those_that_the_owners_say(two_servers: TwoServersOfOneCluster) -> None:
    cluster = (await two_servers.balanced())["cluster"]
    for server in (two_servers.first, two_servers.second):
        own = await two_servers.status(server, "?local=1")
        shown = {
            str(shard["shard"]): shard["epoch"]
            for shard in cluster["shards"]["map"]
            if shard["incarnation"] == own["incarnation"]
        }
        assert shown == own["shards"]["epochs"]


async def test_shards_that_the_newcomer_got_are_counted_as_handed_over(
    two_servers: TwoServersOfOneCluster,
) -> None:
    cluster = (await two_servers.balanced())["cluster"]
    assert cluster["handovers"]["count"] >= 128
    assert cluster["handovers"]["s_p99_worst"] > 0
    async with two_servers.http.get(two_servers.first.ops_url + "/metrics") as response:
        lines = dict(line.rsplit(" ", 1) for line in (await response.text()).splitlines() if line[0] != "#")
    assert float(lines["mall_shards_handed_over_total"]) >= 128
    assert float(lines["mall_handover_seconds_count"]) >= 16
    assert float(lines['mall_shards_owned{state="served"}']) == 128
    assert float(lines["mall_peer_lines"]) == 1


async def test_browser_gets_a_page_of_both(two_servers: TwoServersOfOneCluster) -> None:
    await two_servers.balanced()
    async with two_servers.http.get(two_servers.second.ops_url + "/status", headers=BROWSER) as response:
        assert (response.status, response.content_type) == (200, "text/html")
        assert "style-src 'sha256-" in response.headers["Content-Security-Policy"]
        page = await response.text()
    assert "2 instances answered" in page
    assert "256 served" in page
    assert page.count('title="shard ') == 256


async def test_local_asks_nobody_and_other_parameters_are_refused(
    two_servers: TwoServersOfOneCluster,
) -> None:
    assert "cluster" not in await two_servers.status(two_servers.first, "?local=1")
    assert "cluster" in await two_servers.status(two_servers.first, "?local=0")
    for query in ("?local=2", "?local=", "?local=1&local=1", "?verbose=1"):
        async with two_servers.http.get(two_servers.first.ops_url + "/status" + query) as response:
            assert response.status == 422
            problem = await response.json()
        assert problem["code"] == "invalid"
        assert problem["trace_id"] == response.headers["X-Trace-ID"]


async def test_frozen_instance_is_shown_as_not_answering_within_the_deadline(
    two_servers: TwoServersOfOneCluster,
) -> None:
    await two_servers.balanced()
    os.kill(two_servers.second.pid, signal.SIGSTOP)
    try:
        cluster = (await two_servers.status(two_servers.first))["cluster"]
    finally:
        os.kill(two_servers.second.pid, signal.SIGCONT)
    answering, frozen = cluster["members"]
    assert (answering["answered"], answering["shards_owned"]) == (True, 128)
    assert (frozen["instance"], frozen["answered"]) == ("mall-2", False)
    assert frozen["reason"] == "no answer within 1 s"
    assert cluster["shards"]["served"] == 128
    assert cluster["shards"]["unknown"] == 128
    await two_servers.balanced()
