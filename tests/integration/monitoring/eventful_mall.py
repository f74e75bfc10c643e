"""A mall in which everything happens once: deliveries, refusals, money, dead jobs, a killed instance, a held row."""

from __future__ import annotations

import asyncio
import json
import os
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import asyncpg

from actors.shards import SHARD_COUNT
from loadtests.kit.client import Mall, open_http
from loadtests.kit.server import EMBEDDED, ServerProcess, open_server
from loadtests.kit.waiting import until
from tests.acceptance.running_mall import MallZone, RunningMall, keys
from tests.acceptance.test_payments import deliver
from tests.acceptance.test_supervisor import children_of
from tests.integration.monitoring.prometheus_process import LIMIT_S, PrometheusProcess
from tests.support.receiver import always, receiving

SETTINGS = {
    **EMBEDDED,
    "MALL_WORK": "on",
    "MALL_INSTANCE": "mall",
    "MALL_SAMPLE": "off",
    "MALL_GATEWAY_URL": "sandbox",
    "MALL_WEBHOOK_NETWORKS": "127.0.0.0/8",
}
PROCESSES = ("--instances", "2", "--workers", "1")
DEAD = (
    "INSERT INTO jobs (task, payload, trace, attempts, failures, due_at, died_at, error)"
    " VALUES ('send_mail', '{}', repeat('e', 32), 8, 8, NULL, now(), 'SMTPError: busy')"
)

CUT = (
    "SELECT count(*) FILTER (WHERE pg_terminate_backend(pid)) FROM pg_stat_activity"
    " WHERE cardinality(pg_blocking_pids(pid)) > 0"
)


@asynccontextmanager
async def open_mall(folder: Path) -> AsyncIterator[RunningMall]:
    """Two instances with a worker, and their people."""
    async with open_server(folder, SETTINGS, PROCESSES) as server, open_http() as http:
        tokens = {
            name: (await server.mint(role, 1, "--prefix", name))[0]["access_token"]
            for name, role in (("admin", "admin"), ("customer", "customer"), ("other", "customer"))
        }
        yield RunningMall(server, http, tokens)


@asynccontextmanager
async def psql(server: ServerProcess) -> AsyncIterator[Any]:
    """A person who is connected to the database."""
    note = json.loads((server.data_dir / "addresses.json").read_text())
    person = await asyncpg.connect(note["database_url"], server_settings={"application_name": "psql"})
    try:
        yield person
    finally:
        await person.close()


async def everything_happens(mall: RunningMall, prometheus: PrometheusProcess) -> None:
    """All of it, one after the other."""
    await _instance_is_killed(mall.process, prometheus)
    async with receiving() as good, receiving(always(500)) as bad:
        for receiver in (good, bad):
            await mall.admin.do("POST", "/api/v2/webhooks", {"url": receiver.url, "types": ["order.created"]})
        zone = await mall.zone()
        await _people_come(mall)
        await _orders_end(zone)
        # A rate needs a count that was seen before it grew.
        await prometheus.until("sum(mall_command_seconds_count) > 0")
        await prometheus.until_scraped(2)
        await _orders_end(await mall.zone())
        await _money_moves(mall, await mall.zone(mode="open"))
        async with psql(mall.process) as person:
            await person.execute(DEAD)
            await _row_is_held(zone, person, prometheus)
            await _table_is_held(mall, person, prometheus)
        await prometheus.until("sum(mall_webhook_attempts_total) > 1")
    await prometheus.until("sum(mall_passivations_total) > 0")
    await prometheus.until('mall_jobs{state="dead"} > 0')


async def _instance_is_killed(server: ServerProcess, prometheus: PrometheusProcess) -> None:
    """The other one takes its shards over, and hands half of them over when it is back."""
    os.kill(min(children_of(server.pid)), signal.SIGKILL)
    await prometheus.until("sum(mall_shards_handed_over_total) > 0")
    await prometheus.until(f'sum(mall_shards_owned{{state="served"}}) == {SHARD_COUNT}')


async def _people_come(mall: RunningMall) -> None:
    """Somebody registers, logs in, mistypes the password, and comes back with a refresh token."""
    account = {"email": "everybody@example.org", "password": "correct horse", "name": "E"}
    tokens = await mall.anybody.do("POST", "/api/v2/auth/register", account)
    given = {"email": account["email"], "password": account["password"]}
    await mall.anybody.do("POST", "/api/v2/auth/login", given)
    await mall.anybody.call("POST", "/api/v2/auth/login", {**given, "password": "wrong horse"})
    await mall.anybody.do("POST", "/api/v2/auth/refresh", {"refresh_token": tokens["refresh_token"]})
    customer = mall.anybody.as_(tokens["access_token"])
    for _ in range(2):
        await customer.do("GET", "/api/v2/products")
        await customer.do("GET", "/api/v1/products")
    await customer.call("GET", "/api/v2/orders/ord_999999")


async def _orders_end(zone: MallZone) -> None:
    """One order is delivered over the feed, one declined, one cancelled, one fails."""
    async with (await zone.driver(capacity=3)).online() as driver:
        order = await zone.order()
        offer = await driver.event("offer", order)
        await driver.phone.send({"t": "loc", "cseq": 1, "lat": 0.0, "lon": 0.0})
        assert await driver.accept(order, offer["data"]["offer_id"]) == "won"
        await driver.ask(t="order.pickup", order_id=order)
        await driver.ask(t="order.delivery", order_id=order)
        failing = await zone.order()
        offer = await driver.event("offer", failing)
        await driver.accept(failing, offer["data"]["offer_id"])
        await driver.post(failing, "pickup")
        await driver.post(failing, "failure", {"reason": "nobody opens"})
        declined = await zone.order()
        await driver.event("offer", declined)
        await driver.ask(t="offer.decline", orders=[declined])
        await zone.mall.customer.do("POST", f"/api/v2/orders/{declined}/cancellation", {"reason": "too late"})
        await zone.mall.admin.call(
            "POST", "/api/v2/orders/ord_999999/cancellation", {"reason": "no such order"}
        )


async def _money_moves(mall: RunningMall, zone: MallZone) -> None:
    """A card is declined, another one pays; the order is delivered, and a part is given back."""
    order = await zone.order("card")
    body = {"order_id": order, "method": "card", "token": "tok_decline"}
    assert (await mall.customer.call("POST", "/api/v2/payments", body, key=next(keys)))[0] == 402
    body["token"] = "tok_success"
    _, payment, _ = await mall.customer.call("POST", "/api/v2/payments", body, key=next(keys))
    await deliver(zone, order)
    path = f"/api/v2/payments/{payment['id']}"

    async def captured() -> bool:
        return bool((await mall.customer.do("GET", path))["status"] == "captured")

    assert await until(captured, LIMIT_S)
    part = {"amount": {"amount_minor": 200, "currency": "EUR"}, "reason": "stale"}
    await mall.admin.do("POST", f"{path}/refund", part, key=next(keys))


async def _row_is_held(zone: MallZone, person: Any, prometheus: PrometheusProcess) -> None:
    """A person holds the row of an order that is being cancelled, and the connection that waits for it is lost."""
    order = await zone.order()
    async with psql(zone.mall.process) as operator, asyncio.TaskGroup() as tasks, person.transaction():
        await person.execute("SELECT 1 FROM orders WHERE id = $1 FOR UPDATE", int(order.removeprefix("ord_")))
        tasks.create_task(_cancel(zone.mall.customer, order))
        async with asyncio.timeout(LIMIT_S):
            while not await operator.fetchval(CUT):
                pass
        await prometheus.until("sum(mall_settled_total) > 0")
        await prometheus.until("sum(mall_blocked_commits) > 0 and sum(mall_lock_waits_total) > 0")


async def _cancel(customer: Mall, order: str) -> int:
    path = f"/api/v2/orders/{order}/cancellation"
    return (await customer.call("POST", path, {"reason": "held up"}))[0]


async def _table_is_held(mall: RunningMall, person: Any, prometheus: PrometheusProcess) -> None:
    """While a person holds the whole table, reads of orders are slow, and fail until an alert says so."""
    firing = 'ALERTS{alertname="MallErrorBudgetBurn",alertstate="firing"}'
    async with asyncio.timeout(LIMIT_S), person.transaction():
        await person.execute("LOCK TABLE orders IN ACCESS EXCLUSIVE MODE")
        while not await prometheus.holds(firing):
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(mall.customer.call("GET", "/api/v2/orders"))
                tasks.create_task(_cancel(mall.admin, "ord_999998"))
