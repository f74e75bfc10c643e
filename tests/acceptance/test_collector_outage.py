"""A collector of traces that is not there, or hangs: requests are served, and only spans are lost."""

from __future__ import annotations

import asyncio
import itertools
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from loadtests.kit.client import Mall, open_http
from loadtests.kit.fixtures import open_zone, order_body
from loadtests.kit.server import ServerProcess, free_port, open_server
from tests.support.collector import Collector, collecting
from tests.support.waiting import seconds_until

ORDERS = 20
keys = (f"order-without-collector-{n}" for n in itertools.count())


@asynccontextmanager
async def served(place: Path, collector_url: str) -> AsyncIterator[tuple[ServerProcess, Mall]]:
    """A server that records everything, and an admin."""
    environ = {
        "MALL_SAMPLE": "off",
        "OTEL_EXPORTER_OTLP_ENDPOINT": collector_url,
        "MALL_TRACE_SHARE": "1",
        "MALL_LOG_LEVEL": "info",
    }
    async with open_http() as http, open_server(place, environ) as server:
        [admin] = await server.mint("admin", 1, "--prefix", "boss")
        yield server, Mall(http, server.url, admin["access_token"])


async def counted(admin: Mall, server: ServerProcess) -> dict[str, float]:
    """Spans by their outcome."""
    async with admin.http.get(server.ops_url + "/metrics") as answer:
        lines = (await answer.text()).splitlines()
    return {
        line.split('"')[1]: float(line.rpartition(" ")[2]) for line in lines if "mall_spans_total{" in line
    }


async def place_orders(server: ServerProcess, admin: Mall) -> list[str]:
    """Place orders as a customer; each is acknowledged and stored."""
    zone = await open_zone(admin, "Zone", "waves")
    [customer] = await server.mint("customer", 1, "--prefix", "buyer")
    buyer = admin.as_(customer["access_token"])
    placed = []
    for _ in range(ORDERS):
        order = await buyer.do("POST", "/api/v2/orders", order_body(zone.products), key=next(keys))
        placed.append(str(order["id"]))
    seen = [await buyer.do("GET", f"/api/v2/orders/{order}") for order in placed]
    assert {order["status"] for order in seen} == {"confirmed"}
    assert await admin.do("GET", f"/api/v2/orders/{placed[0]}/events")
    return placed


def events(server: ServerProcess) -> list[str]:
    return [json.loads(line)["event"] for line in server.log_path.read_bytes().splitlines() if b"{" in line]


@pytest.mark.parametrize("kind", ["closed", "hangs"])
async def test_orders_are_served_while_the_collector_is_away(short_tmp_path: Path, kind: str) -> None:
    async with collecting(hangs=True) as hanging:
        url = hanging.url if kind == "hangs" else f"http://127.0.0.1:{free_port()}"
        async with served(short_tmp_path / kind, url) as (server, admin):
            assert len(await place_orders(server, admin)) == ORDERS

            async def lost() -> bool:
                return (await counted(admin, server))["failed"] > 0

            await seconds_until(lost, 30)
            assert await place_orders(server, admin)
            assert (await counted(admin, server))["exported"] == 0
        log = events(server)
    assert log.count("lost_collector") >= 1
    assert log.count("lost_collector") <= 2, "an outage is one line of each process"
    assert "library_said" not in log


async def test_collector_that_comes_back_gets_the_next_spans(short_tmp_path: Path) -> None:
    async with collecting(hangs=True) as collector, served(short_tmp_path / "back", collector.url) as running:
        server, admin = running
        await place_orders(server, admin)

        async def logged(event: str) -> bool:
            return await asyncio.to_thread(lambda: event in events(server))

        await seconds_until(lambda: logged("lost_collector"), 30)
        collector.hangs = False
        await place_orders(server, admin)
        await seconds_until(lambda: logged("found_collector"), 30)
        await until_sent(collector, "POST /api/v2/orders")


async def until_sent(collector: Collector, name: str) -> None:
    await collector.arrivals.until(lambda: any(span.name == name for span in collector.spans), 30)
