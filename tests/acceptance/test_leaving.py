"""An instance that is told to leave is gone in time, whatever else is away."""

from __future__ import annotations

import asyncio
import os
import signal
import tempfile
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import pytest

from loadtests.kit.client import Mall, open_http
from loadtests.kit.server import ServerProcess
from storage.embedded import EmbeddedPostgres, EmbeddedValkey

# As promised in actors/PROTOCOL.md.
LEAVES_S = 15.0


def _family(pid: int) -> list[int]:
    """A server and its children."""
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [pid, *map(int, children)]


@asynccontextmanager
async def _two_instances() -> AsyncIterator[tuple[list[ServerProcess], EmbeddedPostgres, EmbeddedValkey]]:
    with tempfile.TemporaryDirectory(prefix="mall-leaving-") as name:
        os.chmod(name, 0o755)
        folder = Path(name)
        async with AsyncExitStack() as stack:
            postgres = stack.enter_context(EmbeddedPostgres(folder / "pg", durable=False))
            valkey = EmbeddedValkey(folder / "valkey", durable=False)
            stack.callback(valkey.stop)
            valkey.start()
            environ = {"DATABASE_URL": postgres.database_url, "REDIS_URL": valkey.redis_url}
            servers = []
            for number in (1, 2):
                own = {**environ, "MALL_INSTANCE": f"leaver-{number}", "MALL_DRAIN_S": "8"}
                server = ServerProcess(folder / f"server-{number}", own)
                await server.start()
                stack.push_async_callback(server.stop)
                servers.append(server)
            yield servers, postgres, valkey


async def _leaves(server: ServerProcess) -> None:
    async with asyncio.timeout(LEAVES_S):
        assert await server.stop(signal.SIGTERM) == 0


async def test_instance_leaves_its_shards_to_the_other_one() -> None:
    async with _two_instances() as ([one, two], _, _), open_http() as http:
        await _leaves(one)
        async with http.get(two.ops_url + "/status?local=1") as response:
            status = await response.json()
        assert status["shards"]["owned"] == 256, one.log_path.read_text() + "=====" + two.log_path.read_text()
        [admin] = await two.mint("admin", 1)
        mall = Mall(http, two.url, admin["access_token"])
        assert (await mall.call("POST", "/api/v2/zones", {"name": "Afterwards"}))[0] == 201
        said = one.log_path.read_text() + two.log_path.read_text()
        assert "Traceback" not in said
        assert "gave_up" not in said


@pytest.mark.parametrize(
    "away",
    [pytest.param("redis", marks=pytest.mark.long), pytest.param("postgres", marks=pytest.mark.long), "both"],
)
async def test_instance_leaves_in_time_when_servers_hang(away: str) -> None:
    async with _two_instances() as ([one, _], postgres, valkey):
        assert postgres.pid is not None
        assert valkey.pid is not None
        pids = _family(postgres.pid) if away != "redis" else []
        pids += [valkey.pid] if away != "postgres" else []
        for pid in pids:
            os.kill(pid, signal.SIGSTOP)
        try:
            await _leaves(one)
        finally:
            for pid in pids:
                os.kill(pid, signal.SIGCONT)
