"""`run.py verify` beside a server and its worker process: no false alarm while orders and payments are under way."""

from __future__ import annotations

import asyncio
import json
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import asyncpg
from aiohttp import web

from dispatch.audit_law import audit_law
from loadtests.kit.client import open_http
from loadtests.kit.server import open_server
from storage.postgres.audit import audit
from tests.acceptance.running_mall import MallZone, RunningMall
from tests.support.receiver import Receiver, receiving

ROUNDS = 12
LIMIT_S = 60.0
# The first endpoint has not yet got everything.
BEHIND = "SELECT e.reached < l.pos FROM webhook_endpoints e, event_log_end l ORDER BY e.id LIMIT 1"


async def _lives(zone: MallZone) -> None:
    """Orders that are delivered, cancelled, or paid by card and refused."""
    mall = zone.mall
    async with (await zone.driver()).online() as driver:
        for number in range(ROUNDS):
            order = await zone.order()
            if number % 4 == 3:
                await mall.customer.do("POST", f"/api/v2/orders/{order}/cancellation", {"reason": "late"})
                continue
            await mall.admin.do("POST", f"/api/v2/orders/{order}/assignment", {"driver_id": driver.id})
            await driver.post(order, "pickup")
            await driver.post(order, "delivery")


async def _payments(zone: MallZone) -> None:
    for number in range(ROUNDS):
        order = await zone.order("card")
        body = {
            "order_id": order,
            "method": "card",
            "token": "tok_success" if number % 3 else "tok_insufficient",
        }
        await zone.mall.customer.call("POST", "/api/v2/payments", body, key=f"verify-at-work-{number:08d}")
        if number % 3 == 2:
            await zone.mall.customer.do("POST", f"/api/v2/orders/{order}/cancellation", {"reason": "late"})


async def _fails_at_times(request: web.Request, number: int) -> web.StreamResponse:
    """The first answer and every tenth one are failures."""
    del request
    return web.Response(status=503 if number % 10 == 0 else 204)


async def _listen(mall: RunningMall, stack: AsyncExitStack) -> list[Receiver]:
    """Receivers of everything, one that fails at times, and of one type alone."""
    receivers = []
    for answer, types in ((None, []), (_fails_at_times, []), (None, ["order.delivered"])):
        receiver = await stack.enter_async_context(receiving(answer))
        await mall.admin.do("POST", "/api/v2/webhooks", {"url": receiver.url, "types": types})
        receivers.append(receiver)
    return receivers


async def test_verify_beside_a_server_with_background_work_has_no_false_alarm(short_tmp_path: Path) -> None:
    place = short_tmp_path / "mall"
    environ = {
        "MALL_SAMPLE": "off",
        "MALL_WORK": "on",
        "MALL_UNPAID_ORDERS_MAX": "50",
        "MALL_WEBHOOK_NETWORKS": "127.0.0.0/8",
    }
    async with open_server(place, environ) as server, open_http() as http, AsyncExitStack() as stack:
        tokens = {
            name: (await server.mint(role, 1, "--prefix", name))[0]["access_token"]
            for name, role in (("admin", "admin"), ("customer", "customer"), ("other", "customer"))
        }
        mall = RunningMall(server, http, tokens)
        url = json.loads((place / "addresses.json").read_text())["database_url"]
        receivers = await _listen(mall, stack)
        zones = [await mall.zone(mode="open") for _ in range(2)]
        for zone in zones:
            await mall.admin.do("PATCH", f"/api/v2/products/{zone.product_id}", {"stock": 1000})
        async with asyncio.timeout(LIMIT_S), asyncio.TaskGroup() as group:
            lives = [group.create_task(_lives(zones[0])), group.create_task(_payments(zones[1]))]
            while not all(life.done() for life in lives):
                await _holds(url)
        owner = await asyncpg.connect(url)
        async with asyncio.timeout(LIMIT_S):
            while await owner.fetchval("SELECT EXISTS (SELECT FROM outbox)"):
                await _holds(url)
        found: set[Any] = {row[0] for row in await owner.fetch("SELECT DISTINCT type FROM event_log")}
        told = await owner.fetchval("SELECT count(*) FROM notices")
        async with asyncio.timeout(LIMIT_S):
            while await owner.fetchval(BEHIND):
                await _holds(url)
        await owner.close()
        await _holds(url)
    wanted = {"order.created", "order.delivered", "order.cancelled", "payment.held", "payment.declined"}
    assert receivers[0].taken
    assert receivers[1].got
    assert told, "or less was audited than it seems"
    assert found >= wanted, "or less was audited than it seems"


async def _holds(url: str) -> None:
    report = await audit(url, audit_law(run_days=7))
    assert report.holds, report.text()
