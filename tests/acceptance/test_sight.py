"""An instance that does not see the revocations lets nobody in: not before its first look, and not when it is cut from
Postgres for longer than the bound.
"""

from __future__ import annotations

import signal
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import aiohttp
import asyncpg
import pytest

from loadtests.chaos.instance import ProxiedCluster, open_cluster
from loadtests.chaos.plan import BLACK_HOLE, CUT_POSTGRES
from loadtests.chaos.proxy import PASS
from loadtests.kit.client import Mall, open_http
from loadtests.kit.protocol import PROTOCOL
from storage.embedded.data_directory import SOCKET_NAME
from tests.conftest import copy_database
from tests.support.waiting import seconds_until

# How long a test waits for what must come; what it claims does not depend on it.
PATIENCE_S = 40.0


@dataclass
class InstancesBehindProxies:
    """Two instances behind proxies, and a driver."""

    fleet: ProxiedCluster
    http: aiohttp.ClientSession
    database: Any
    token: str

    def at(self, number: int) -> Mall:
        """The mall as the driver sees it through an instance."""
        return Mall(self.http, self.fleet.instances[number].url, self.token)

    def feed(self, number: int) -> Any:
        headers = {"Authorization": f"Bearer {self.token}"}
        url = self.fleet.instances[number].url + "/api/v2/drivers/feed"
        return self.http.ws_connect(url, headers=headers, protocols=(PROTOCOL,), compress=0)


@pytest.fixture
async def instances(
    short_tmp_path: Path, template_server: str, redis_url: str
) -> AsyncIterator[InstancesBehindProxies]:
    url = await copy_database(template_server)
    parts = urlsplit(url)
    postgres = Path(parse_qs(parts.query)["host"][0]) / SOCKET_NAME
    redis = Path(redis_url.removeprefix("unix://"))
    name = parts.path.removeprefix("/")
    async with (
        open_cluster(2, short_tmp_path / f"sight-{name}", postgres, redis, name) as fleet,
        open_http() as http,
    ):
        database = await asyncpg.connect(url)
        for instance in fleet.instances:
            await instance.start()
        one = fleet.instances[0]
        [admin] = await one.mint("admin", 1)
        zone = (
            await Mall(http, one.url, admin["access_token"]).do(
                "POST", "/api/v2/zones", {"name": "Z", "mode": "waves"}
            )
        )["id"]
        [driver] = await one.mint("driver", 1, "--prefix", "driver", "--zone", zone)
        yield InstancesBehindProxies(fleet, http, database, driver["access_token"])
        await database.close()


def _not_processed(answer: tuple[int, dict[str, Any], dict[str, str]]) -> bool:
    status, body, headers = answer
    return status == 503 and body["not_processed"] is True and "Retry-After" in headers


async def _next(ws: aiohttp.ClientWebSocketResponse, kind: str) -> dict[str, Any]:
    while True:
        frame: dict[str, Any] = await ws.receive_json(timeout=PATIENCE_S)
        if frame["t"] == kind:
            return frame


async def test_driver_who_logged_out_does_nothing_at_an_instance_that_is_cut_from_postgres(
    instances: InstancesBehindProxies,
) -> None:
    there, cut_off = instances.at(1), instances.fleet.instances[1]
    async with instances.feed(1) as ws:
        await ws.send_str('{"t": "hello"}')
        await _next(ws, "welcome")
        instances.fleet.cut(cut_off, CUT_POSTGRES, BLACK_HOLE)
        assert (await there.call("GET", "/api/v2/realtime/tickets"))[0] == 405, "it answers"
        await instances.at(0).do("POST", "/api/v2/auth/logout")

        async def refuses() -> bool:
            return _not_processed(await there.call("POST", "/api/v2/realtime/tickets"))

        await seconds_until(refuses, PATIENCE_S)
        for method, path, body in (
            ("GET", "/api/v2/me", None),
            ("GET", "/api/v2/stores", None),
            ("PUT", "/api/v2/drivers/me/availability", {"status": "online"}),
            ("POST", "/api/v2/orders/ord_1/acceptance", {}),
            ("GET", "/api/v1/orders", None),
        ):
            assert _not_processed(await there.call(method, path, body)), path
        await ws.send_json(
            {
                "t": "offer.accept",
                "id": 5,
                "key": "a-key-of-this-test",
                "offer_id": "rnd_1_1",
                "orders": ["ord_1"],
            }
        )
        error = await _next(ws, "error")
        assert (error["id"], error["code"]) == (5, "unavailable")
        assert (error["temporary"], error["not_processed"]) == (True, True)
        with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
            async with instances.feed(1):
                pass
        assert refused.value.status == 503
        instances.fleet.cut(cut_off, CUT_POSTGRES, PASS)

        async def knows() -> bool:
            return (await there.call("GET", "/api/v2/me"))[0] == 401

        await seconds_until(knows, PATIENCE_S)
        while (message := await ws.receive(timeout=PATIENCE_S)).type is aiohttp.WSMsgType.TEXT:
            continue
        assert (message.type, message.data) == (aiohttp.WSMsgType.CLOSE, 4001)


@pytest.mark.long
async def test_fresh_instance_lets_nobody_in_before_its_first_look(instances: InstancesBehindProxies) -> None:
    await instances.at(0).do("POST", "/api/v2/auth/logout")
    fresh = instances.fleet.instances[1]
    await fresh.stop(signal.SIGKILL)
    async with instances.database.transaction():
        await instances.database.execute("LOCK TABLE sessions IN ACCESS EXCLUSIVE MODE")
        await fresh.launch()

        async def answers() -> bool:
            try:
                return _not_processed(await instances.at(1).call("POST", "/api/v2/realtime/tickets"))
            except (aiohttp.ClientError, OSError):
                return False

        await seconds_until(answers, PATIENCE_S)
        async with instances.http.get(fresh.url + "/health/readiness") as response:
            assert response.status == 503

    async def knows() -> bool:
        return (await instances.at(1).call("GET", "/api/v2/me"))[0] == 401

    await seconds_until(knows, PATIENCE_S)
