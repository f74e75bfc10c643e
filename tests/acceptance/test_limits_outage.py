"""Redis hangs or dies under a server with limits: nobody sees an error, nobody waits, and logins stay limited."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import tempfile
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from loadtests.kit.client import Mall, open_http
from loadtests.kit.server import ServerProcess
from storage.embedded import EmbeddedPostgres, EmbeddedValkey
from tests.acceptance.sample_mall import ORDER, fresh_key

LOGIN = {"email": "customer@mall.example", "password": "not the password"}
LIMITS = {"MALL_RATE_LIMITS": "on", "MALL_LIMIT_READS_PER_MIN": "5000", "MALL_LIMIT_ORDERS_PER_MIN": "50"}

Harm = Callable[[EmbeddedValkey], None]


def hang(valkey: EmbeddedValkey) -> None:
    assert valkey.pid is not None
    os.kill(valkey.pid, signal.SIGSTOP)


def wake(valkey: EmbeddedValkey) -> None:
    assert valkey.pid is not None
    os.kill(valkey.pid, signal.SIGCONT)


HARMS: dict[str, tuple[Harm, Harm]] = {
    "hangs": (hang, wake),
    "dies": (EmbeddedValkey.kill, EmbeddedValkey.start),
}


@asynccontextmanager
async def limited(folder: Path) -> AsyncIterator[tuple[ServerProcess, EmbeddedValkey]]:
    """A server on a Postgres and a Valkey of its own."""
    os.chmod(folder, 0o755)
    with EmbeddedPostgres(folder / "pg", durable=False) as postgres:
        valkey = EmbeddedValkey(folder / "valkey", durable=False)
        valkey.start()
        environ = {
            "DATABASE_URL": postgres.database_url,
            "REDIS_URL": valkey.redis_url,
            **LIMITS,
            "MALL_LOG_LEVEL": "info",
        }
        server = ServerProcess(folder / "server", environ)
        await server.start()
        try:
            yield server, valkey
        finally:
            if valkey.pid is not None:
                wake(valkey)
            await server.stop()
            valkey.stop()


async def statuses(ask: Callable[[], Awaitable[Any]], number: int) -> list[int]:
    """The statuses of so many requests, one after the other."""
    return [(await ask())[0] for _ in range(number)]


async def alone(server: ServerProcess, *, expected: bool) -> None:
    """When the instance counts without Redis, or with it again."""
    async with asyncio.timeout(20), aiohttp.ClientSession() as http:
        while True:
            async with http.get(server.ops_url + "/metrics") as response:
                if f"mall_limits_alone {float(expected)}" in await response.text():
                    return


async def redis_errors(server: ServerProcess) -> float:
    """How many requests have asked Redis for a limit in vain."""
    name = 'mall_redis_errors_total{use="limits"}'
    async with aiohttp.ClientSession() as http, http.get(server.ops_url + "/metrics") as response:
        lines = (await response.text()).splitlines()
    return sum(float(line.rpartition(" ")[2]) for line in lines if line.startswith(name))


@pytest.mark.parametrize("harm", HARMS)
async def test_outage_of_redis_costs_nobody_an_answer_and_nearly_nobody_time(harm: str) -> None:
    strike, heal = HARMS[harm]
    with tempfile.TemporaryDirectory(prefix="mall-limits-") as folder:
        async with limited(Path(folder)) as (server, valkey), open_http() as http:
            mall = Mall(http, server.url)
            [customer] = await server.mint("customer", 1)
            reader = mall.as_(customer["access_token"])

            def read() -> Awaitable[Any]:
                return reader.call("GET", "/api/v2/me")

            def login() -> Awaitable[Any]:
                return mall.call("POST", "/api/v2/auth/login", LOGIN)

            assert set(await statuses(read, 50)) == {200}
            assert await statuses(login, 2) == [401, 401]
            strike(valkey)
            during = await statuses(read, 150)
            assert set(during) == {200}
            # The first finds it out; after it nobody waits for Redis.
            assert await redis_errors(server) < len(during) / 10
            assert Counter(await statuses(login, 8)) == {401: 3, 429: 5}, "still five"
            await alone(server, expected=True)
            heal(valkey)
            await alone(server, expected=False)
            assert (await read())[0] == 200
            assert (await login())[0] == 429, "no second helping after the outage"
            async with asyncio.timeout(20):  # lines are written behind the answers
                while '"limits_count_together"' not in (log := server.log_path.read_text()):
                    assert (await read())[0] == 200
            assert log.count('"limits_count_alone"') == log.count('"limits_count_together"') == 1
            errors = [line["event"] for line in map(json.loads, log.splitlines()) if line["level"] == "error"]
            assert errors.count("lost") <= 1, "the loss of Redis is one line"
            assert set(errors) <= {"lost", "opened_doors"}, "nothing else is a fault"


async def test_orders_are_taken_while_redis_hangs() -> None:
    with tempfile.TemporaryDirectory(prefix="mall-limits-") as folder:
        async with limited(Path(folder)) as (server, valkey), open_http() as http:
            admin = Mall(
                http, server.url, (await server.mint("admin", 1, "--prefix", "admin"))[0]["access_token"]
            )
            zone = await admin.do("POST", "/api/v2/zones", {"name": "Hall"})
            place = {"lat": 52.52, "lon": 13.4}
            shop = {"zone_id": zone["id"], "name": "Shop", "preparation_s": 60, **place}
            store = await admin.do("POST", "/api/v2/stores", shop)
            price = {"amount_minor": 100, "currency": "EUR"}
            goods = {"store_id": store["id"], "name": "Bread", "price": price}
            product = await admin.do("POST", "/api/v2/products", goods)
            [customer] = await server.mint("customer", 1)
            mall, body = admin.as_(customer["access_token"]), dict(ORDER)
            body["items"] = [{"product_id": product["id"], "quantity": 1}]
            hang(valkey)
            answers = [await mall.call("POST", "/api/v2/orders", body, key=fresh_key()) for _ in range(10)]
            assert [status for status, _, _ in answers] == [201] * 10
            assert [headers["RateLimit"].split(";")[1] for _, _, headers in answers] == [
                f"r={left}" for left in range(49, 39, -1)
            ]
