"""A Postgres that hangs: the instance lives, says nothing false, and goes on when it is back."""

from __future__ import annotations

import asyncio
import os
import signal
import tempfile
from pathlib import Path

import pytest

from loadtests.kit.client import Mall, open_http
from loadtests.kit.server import ServerProcess
from storage.embedded import EmbeddedPostgres, EmbeddedValkey

pytestmark = pytest.mark.long
HANGS_S = 8.0


def _group(pid: int) -> list[int]:
    """A server and its children."""
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [pid, *map(int, children)]


def _signal(pids: list[int], number: signal.Signals) -> None:
    for pid in pids:
        os.kill(pid, number)


async def test_instance_survives_a_postgres_that_hangs() -> None:
    with tempfile.TemporaryDirectory(prefix="mall-outage-") as name:
        os.chmod(name, 0o755)
        with EmbeddedPostgres(Path(name) / "data") as postgres:
            valkey = EmbeddedValkey(Path(name) / "data")
            valkey.start()
            environ = {"DATABASE_URL": postgres.database_url, "REDIS_URL": valkey.redis_url}
            server = ServerProcess(Path(name) / "server", environ)
            await server.start()
            try:
                await _hang(server, postgres)
            finally:
                await server.stop()
                valkey.stop()


async def _hang(server: ServerProcess, postgres: EmbeddedPostgres) -> None:
    assert postgres.pid is not None
    [admin] = await server.mint("admin", 1)
    async with open_http() as http:
        mall = Mall(http, server.url, admin["access_token"])
        zone = {"name": "Before"}
        assert (await mall.call("POST", "/api/v2/zones", zone))[0] == 201
        pids, over = _group(postgres.pid), asyncio.Event()
        _signal(pids, signal.SIGSTOP)
        asyncio.get_running_loop().call_later(HANGS_S, over.set)
        while not over.is_set():
            async with http.get(server.url + "/health/liveness") as response:
                assert response.status == 200
            status, answer, headers = await mall.call("POST", "/api/v2/zones", {"name": "During"})
            assert status in (503, 504), answer
            assert status == 504 or (answer["not_processed"] is True and "Retry-After" in headers)
        _signal(pids, signal.SIGCONT)
        async with asyncio.timeout(10):
            while (await mall.call("POST", "/api/v2/zones", {"name": "After"}))[0] != 201:
                continue
        async with http.get(server.url + "/health/readiness") as response:
            assert response.status == 200
    assert server.running
