"""Reports by a real worker beside a real instance: from an order over REST to its event and the figures of the day."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from datetime import datetime
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from loadtests.kit.client import open_http
from loadtests.kit.server import open_server
from tests.acceptance.running_mall import RunningMall
from tests.support.waiting import seconds_until

ENQUEUE = """SELECT enqueue_jobs(jsonb_build_array(jsonb_build_object(
    'task', $1::text, 'key', NULL, 'payload', '{}'::jsonb, 'trace', repeat('b', 32), 'due_ms', NULL)))"""


class MallWithWorker(RunningMall):
    """A running mall with its database, in which a worker runs."""

    database: Any

    async def work(self, task: str) -> None:
        """Run a task now, and wait for its end."""
        [number] = await self.database.fetchval(ENQUEUE, task)

        async def is_done() -> bool:
            run = await self.database.fetchval("SELECT outcome FROM job_runs WHERE id = $1", number)
            assert run in (None, "done")
            return run is not None

        await seconds_until(is_done)

    async def relayed(self) -> None:
        """Wait until the outbox is empty."""

        async def is_empty() -> bool:
            return not await self.database.fetchval("SELECT EXISTS (SELECT FROM outbox)")

        await seconds_until(is_empty)

    async def events(self, kind: str) -> list[dict[str, Any]]:
        """Facts of the events of a type, and the trace id of each."""
        rows = await self.database.fetch("SELECT body FROM event_log WHERE type = $1 ORDER BY pos", kind)
        return [json.loads(row["body"])["data"] for row in rows]


@pytest.fixture(scope="module")
async def mall(short_tmp_path: Path) -> AsyncIterator[MallWithWorker]:
    environ = {"MALL_WORK": "on", "MALL_SAMPLE": "off", "MALL_LOW_STOCK": "8"}
    async with open_server(short_tmp_path / "reports", environ) as server, open_http() as http:
        tokens = {
            name: (await server.mint(role, 1, "--prefix", name))[0]["access_token"]
            for name, role in (("admin", "admin"), ("customer", "customer"), ("other", "customer"))
        }
        found = MallWithWorker(server, http, tokens)
        note = json.loads((short_tmp_path / "reports" / "addresses.json").read_text())
        found.database = await asyncpg.connect(note["database_url"])
        try:
            yield found
        finally:
            await found.database.close()


async def test_delivered_order_is_in_the_figures_of_the_day(mall: MallWithWorker) -> None:
    zone = await mall.zone(driver_pay_minor=350)
    async with (await zone.driver()).online() as driver:
        order = await zone.order()
        offer = (await driver.event("offer", order))["data"]
        assert await driver.accept(order, offer["offer_id"]) == "won"
        await driver.post(order, "pickup")
        await driver.post(order, "delivery")
    await mall.relayed()
    await mall.work("daily_figures")
    found = (await mall.admin.do("GET", f"/api/v2/reports/daily?zone_id={zone.id}"))["items"]
    money = {"currency": "EUR", "revenue_minor": 500, "refunded_minor": 0, "driver_pay_minor": 350}
    assert [(row["orders"], row["delivered"], row["amounts"]) for row in found] == [(1, 1, [money])] * 2
    assert found[0]["delivery_mean_s"] >= 0
    [row] = (await mall.admin.do("GET", f"/api/v2/reports/daily/cash?driver_id={driver.id}"))["items"]
    assert (row["cash"]["amount_minor"], row["pay"]["amount_minor"], row["zone_id"]) == (500, 350, zone.id)


async def test_orders_that_use_up_a_stock_are_events_under_the_trace_of_the_order(
    mall: MallWithWorker,
) -> None:
    zone = await mall.zone()
    order = await zone.order(quantity=3)
    await mall.relayed()
    mine = [one for one in await mall.events("stock.low") if one["product_id"] == zone.product_id]
    history = (await mall.customer.do("GET", f"/api/v2/orders/{order}/events"))["items"]
    assert [(one["stock"], one["limit"], one["trace_id"]) for one in mine] == [(7, 8, history[0]["trace_id"])]
    await mall.admin.do("PATCH", f"/api/v2/products/{zone.product_id}", {"stock": 0})
    await mall.relayed()
    assert [
        one["stock"] for one in await mall.events("stock.out") if one["product_id"] == zone.product_id
    ] == [0]


async def test_order_that_nobody_takes_is_told_of(mall: MallWithWorker) -> None:
    zone = await mall.zone(unassigned_after_s=1)
    order = await zone.order()

    async def told() -> bool:
        """A search is every fifteen seconds; the test does not wait for it."""
        await mall.work("find_unassigned")
        return order in [one["order_id"] for one in await mall.events("order.unassigned")]

    await seconds_until(told)
    for _ in range(2):
        await mall.work("find_unassigned")
    await mall.relayed()
    assert [one["order_id"] for one in await mall.events("order.unassigned")].count(order) == 1


async def test_schedules_of_reports_are_known_to_the_worker(mall: MallWithWorker) -> None:
    names = {row[0] for row in await mall.database.fetch("SELECT name FROM job_schedules")}
    assert names >= {"find_unassigned", "daily_figures", "driver_digest"}


async def test_store_that_says_nothing_gets_the_time_that_its_orders_took(mall: MallWithWorker) -> None:
    zone = await mall.zone()
    store = (await mall.admin.do("GET", f"/api/v2/products/{zone.product_id}"))["store_id"]
    said = await mall.admin.do("GET", f"/api/v2/stores/{store}")
    assert (said["preparation_s"], said["preparation_learned"]) == (600, False)
    await mall.admin.do("PATCH", f"/api/v2/stores/{store}", {"preparation_learned": True})

    async def prepared_s() -> tuple[str, float]:
        order = await zone.order()
        shown = await mall.customer.do("GET", f"/api/v2/orders/{order}")
        ready, placed = (datetime.fromisoformat(shown[name]) for name in ("ready_at", "created_at"))
        assert shown["promised_at"] > shown["ready_at"]
        return order, (ready - placed).total_seconds()

    async with (await zone.driver()).online() as driver:
        await driver.client.do("PUT", "/api/v2/drivers/me/location", {"lat": 1.0, "lon": 2.0})
        for _ in range(10):
            order, took_s = await prepared_s()
            assert took_s == 600
            offer = (await driver.event("offer", order))["data"]
            assert await driver.accept(order, offer["offer_id"]) == "won"
            await driver.post(order, "pickup")
            await driver.post(order, "delivery")
    await mall.admin.do("PATCH", f"/api/v2/products/{zone.product_id}", {"stock": 10})
    # Deliveries are learned from when they are half a minute old; the test does not wait for it.
    number = int(zone.id.removeprefix("zon_"))
    await mall.database.execute(
        "UPDATE orders SET created_at = created_at - interval '1 minute', ready_at = ready_at - interval '1 minute'"
        " WHERE zone_id = $1", number,
    )  # fmt: skip
    await mall.database.execute(
        "UPDATE order_events SET at = at - interval '1 minute'"
        " WHERE order_id IN (SELECT id FROM orders WHERE zone_id = $1)", number,
    )  # fmt: skip
    await mall.work("learn_from_deliveries")
    assert (await prepared_s())[1] < 60
    await mall.admin.do("PATCH", f"/api/v2/stores/{store}", {"preparation_s": 900})
    assert (await prepared_s())[1] == 900
