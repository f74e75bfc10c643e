"""What an operator reads: an order's story by one grep, a start without alarm, an outage in two lines."""

from __future__ import annotations

import asyncio
import json
import os
import signal
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from loadtests.kit.client import Mall, Phone, open_http
from loadtests.kit.server import ServerProcess
from storage.embedded import EmbeddedPostgres, EmbeddedValkey

LIMIT_S = 60.0
# They tell of a machine that is busy, not of a start that went wrong.
SLOW = {"ran_slow_query", "waited_for_connection", "failed_look"}
DROPOFF = {"lat": 52.521, "lon": 13.41, "address": "Alexanderplatz 1"}


@dataclass
class SupervisedServer:
    """Three instances behind one port, on servers that a test may freeze."""

    server: ServerProcess
    postgres: EmbeddedPostgres
    valkey: EmbeddedValkey

    def text(self) -> list[str]:
        """Every line that was written so far, whole."""
        return self.server.log_path.read_text().split("\n")[:-1]

    def lines(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.text()]

    async def until(self, holds: Callable[[list[dict[str, Any]]], object]) -> None:
        """Wait until the lines are as wanted; each look lets the servers work meanwhile."""
        async with asyncio.timeout(LIMIT_S):
            while not holds(self.lines()):
                await asyncio.to_thread(os.sched_yield)


@pytest.fixture(scope="module")
async def supervised(short_tmp_path: Path) -> AsyncIterator[SupervisedServer]:
    with EmbeddedPostgres(short_tmp_path / "story-pg", durable=False) as postgres:
        valkey = EmbeddedValkey(short_tmp_path / "story-valkey", durable=False)
        valkey.start()
        environ = {
            "DATABASE_URL": postgres.database_url, "REDIS_URL": valkey.redis_url, "MALL_INSTANCE": "mall",
            "MALL_LOG_LEVEL": "info",
            # As an operator has it: with none of the settings that each start warns of. Nobody pays here.
            "MALL_GATEWAY_URL": "http://127.0.0.1:9", "MALL_RATE_LIMITS": "on",
        }  # fmt: skip
        server = ServerProcess(short_tmp_path / "story", environ, ("--instances", "3"))
        supervised = SupervisedServer(server, postgres, valkey)
        try:
            await server.start()
            await supervised.until(lambda lines: [x["event"] for x in lines].count("serves") == 3)
            yield supervised
        finally:
            await server.stop()
            valkey.stop()


def _family(pid: int) -> list[int]:
    """A server and its children."""
    return [pid, *map(int, Path(f"/proc/{pid}/task/{pid}/children").read_text().split())]


@pytest.mark.fast_path("a start without the fast path is one of those that are warned of")
async def test_healthy_start_of_three_writes_no_warning_and_every_line_is_json(
    supervised: SupervisedServer,
) -> None:
    lines = supervised.lines()
    assert [x for x in lines if x["level"] not in ("info", "debug") and x["event"] not in SLOW] == []
    assert {x["instance"] for x in lines} == {"supervisor", "mall-1", "mall-2", "mall-3"}
    assert all({"ts", "level", "event", "instance"} <= x.keys() for x in lines)


async def test_story_of_an_order_is_found_by_its_id(supervised: SupervisedServer) -> None:
    server = supervised.server
    [admin, *_] = await server.mint("admin", 1, "--prefix", "story-admin")
    async with open_http() as http:
        mall = Mall(http, server.url, admin["access_token"])
        zone = await mall.do(
            "POST", "/api/v2/zones", {"name": "Z", "mode": "waves", "wave_size": 1, "offer_ttl_s": 60}
        )
        store = await mall.do(
            "POST", "/api/v2/stores", {"zone_id": zone["id"], "name": "S", "lat": 52.52, "lon": 13.4}
        )
        product = await mall.do(
            "POST", "/api/v2/products",
            {"store_id": store["id"], "name": "P", "price": {"amount_minor": 450, "currency": "EUR"}},
        )  # fmt: skip
        [user] = await server.mint("driver", 1, "--zone", zone["id"], "--prefix", "story-driver")
        [customer] = await server.mint("customer", 1, "--prefix", "story-customer")
        number = user["id"].partition("_")[2]
        phone = Phone(mall.as_(user["access_token"]))
        offers: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        phone.on_event = lambda event: offers.put_nowait(event) if event["type"] == "offer" else None
        async with phone.connected(), asyncio.timeout(LIMIT_S):
            await phone.ask({"t": "availability", "key": "story-online", "status": "online"})
            body = {
                "items": [{"product_id": product["id"], "quantity": 1}],
                "dropoff": DROPOFF,
                "payment": "cash",
            }
            order = await mall.as_(customer["access_token"]).do(
                "POST", "/api/v2/orders", body, key="story-of-an-order"
            )
            offer = (await offers.get())["data"]
            accept = {
                "t": "offer.accept",
                "key": "story-accept-1",
                "offer_id": offer["offer_id"],
                "orders": [order["id"]],
            }
            [result] = (await phone.ask(accept))["results"]
            assert result["result"] == "won"
        driver = mall.as_(user["access_token"])
        await driver.do("POST", f"/api/v2/orders/{order['id']}/pickup", {})
        await driver.do("GET", f"/api/v1/orders/{order['id'].removeprefix('ord_')}")
        await driver.do("POST", f"/api/v2/orders/{order['id']}/delivery", {})
    mine = f'"{order["id"]}"'

    def story_of(lines: list[str]) -> list[dict[str, Any]]:
        return [json.loads(line) for line in lines if mine in line and line.endswith("}")]

    steps = {
        ("answered_request", "/api/v2/orders"),
        ("changed_order", "offered"),
        ("answered_command", "offer.accept"),
        ("answered_request", "/api/v2/orders/{id}/pickup"),
        ("answered_request", "/api/v1/orders/{id}"),
        ("answered_request", "/api/v2/orders/{id}/delivery"),
    }

    def is_told(lines: list[str]) -> bool:
        """Each instance writes when it comes to it, so the end may stand before the beginning."""
        told = {(x["event"], x.get("route") or x.get("command") or x.get("change")) for x in story_of(lines)}
        return steps <= told

    await supervised.until(lambda _: is_told(supervised.text()))
    story = story_of(supervised.text())
    by_driver = [x for x in story if f"drv_{number}" in json.dumps(x)]
    assert len(by_driver) >= 4, "who was asked, who accepted, who carried"
    assert all(x["instance"].startswith("mall-") and x["trace_id"] for x in story)


async def test_refused_request_says_what_was_asked(supervised: SupervisedServer) -> None:
    async with open_http() as http, http.put(supervised.server.url + "/no/such/place?secret=1") as response:
        trace = response.headers["X-Trace-ID"]
    await supervised.until(lambda lines: any(x.get("trace_id") == trace for x in lines))
    [line] = [x for x in supervised.lines() if x.get("trace_id") == trace]
    assert (line["event"], line["level"], line["method"], line["path"]) == (
        "refused_request", "info", "PUT", "/no/such/place",
    )  # fmt: skip


@pytest.mark.parametrize("what", ["redis", "postgres"])
async def test_outage_is_one_lost_line_and_one_back_line_of_each_instance(
    supervised: SupervisedServer, what: str
) -> None:
    pid = supervised.valkey.pid if what == "redis" else supervised.postgres.pid
    assert pid is not None
    before = len(supervised.lines())

    def said(lines: list[dict[str, Any]], event: str) -> list[str]:
        return sorted(x["instance"] for x in lines[before:] if x["event"] == event and x.get("what") == what)

    names = ["mall-1", "mall-2", "mall-3"]
    pids = _family(pid)
    for each in pids:
        os.kill(each, signal.SIGSTOP)
    try:
        await supervised.until(lambda lines: said(lines, "lost") == names)
    finally:
        for each in pids:
            os.kill(each, signal.SIGCONT)
    await supervised.until(lambda lines: said(lines, "back") == names)
    lines = supervised.lines()[before:]
    assert said(supervised.lines(), "lost") == said(supervised.lines(), "back") == names
    # A peer that was frozen, too, may be back at once.
    assert all(x["away_s"] > 0 for x in lines if x["event"] == "back" and x["what"] == what)
    alarms = [x for x in lines if x["level"] not in ("info", "debug") and x["event"] not in SLOW]
    others = [
        x
        for x in alarms
        if x["event"] not in ("lost", "back", "lost_sight_of_revocations", "sees_revocations")
    ]
    assert len(others) <= 6, others


async def test_killed_peer_is_lost_and_found_once_by_each_other(supervised: SupervisedServer) -> None:
    before = len(supervised.lines())
    victim = next(
        x["pid"] for x in supervised.lines() if x["event"] == "started_process" and x["instance"] == "mall-3"
    )
    os.kill(victim, signal.SIGKILL)

    def said(lines: list[dict[str, Any]], event: str) -> list[str]:
        return sorted(
            x["instance"] for x in lines[before:] if x["event"] == event and x.get("what") == "peer mall-3"
        )

    await supervised.until(lambda lines: said(lines, "back") == ["mall-1", "mall-2"])
    lines = supervised.lines()
    assert said(lines, "lost") == ["mall-1", "mall-2"]
    [lost] = [x for x in lines[before:] if x["event"] == "lost_process"]
    assert (lost["instance"], lost["code"], lost["level"]) == ("mall-3", -signal.SIGKILL, "error")
