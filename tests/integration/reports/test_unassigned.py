"""Orders that wait too long for a driver are told of once in each round, and are not touched."""

from __future__ import annotations

import asyncio
import json
from datetime import UTC, datetime, timedelta
from typing import Any

from dispatch.jobs.cleanup import Nothing
from tests.integration.reports.world import JOB, STORES, TRACE, Placed, ReportWorld


async def _order(world: ReportWorld, minutes: int, status: str = "confirmed", zone: int = 1) -> int:
    """An order that was placed so many minutes ago."""
    placed = datetime.now(UTC) - timedelta(minutes=minutes)
    return await world.place(Placed(zone, ((STORES[zone][0], ((1, 500),)),), placed, status))


async def _step(world: ReportWorld, number: int, kind: str, minutes: int, **columns: Any) -> None:
    """A change of an order so many minutes ago."""
    await world.owner.execute("UPDATE orders SET version = version + 1 WHERE id = $1", number)
    for name, value in columns.items():
        await world.owner.execute(f"UPDATE orders SET {name} = $2 WHERE id = $1", number, value)
    await world.owner.execute(
        "INSERT INTO order_events (order_id, version, type, actor_role, actor_id, trace, at)"
        " SELECT id, version, $2, 'system', 'x', $3, $4 FROM orders WHERE id = $1",
        number, kind, TRACE, datetime.now(UTC) - timedelta(minutes=minutes),
    )  # fmt: skip


async def _found(world: ReportWorld) -> list[int]:
    """Orders that this search tells of."""
    await world.owner.execute("DELETE FROM outbox")
    await world.reports().find_unassigned(Nothing(), JOB)
    return [
        row[0] for row in await world.owner.fetch("SELECT ref FROM outbox WHERE topic = 'alert' ORDER BY id")
    ]


async def test_order_is_told_of_when_it_has_waited_for_the_time_of_its_zone(world: ReportWorld) -> None:
    await world.owner.execute("UPDATE zones SET unassigned_after_s = 1200 WHERE id = 2")
    await world.owner.execute("UPDATE zones SET unassigned_after_s = NULL WHERE id = 3")
    late, _ = await _order(world, 6), await _order(world, 4)
    longer, _ = await _order(world, 21, zone=2), await _order(world, 19, zone=2)
    await _order(world, 600, zone=3)
    assert await _found(world) == [late, longer]
    assert await _found(world) == [], "once"


async def test_orders_that_do_not_wait_for_a_driver_are_not_told_of(world: ReportWorld) -> None:
    for status in ("awaiting_payment", "assigned", "picked_up", "delivered", "cancelled", "undeliverable"):
        await _order(world, 60, status)
    assert await _found(world) == []


async def test_order_counts_from_its_payment_and_offers_do_not_begin_anew(world: ReportWorld) -> None:
    paid, offered = await _order(world, 30), await _order(world, 30)
    await _step(world, paid, "paid", 2)
    await _step(world, offered, "offered", 1)
    assert await _found(world) == [offered]


async def test_each_round_is_told_of_once(world: ReportWorld) -> None:
    order = await _order(world, 30)
    assert await _found(world) == [order]
    await _step(world, order, "released", 4, round=2)
    assert await _found(world) == [], "it waits anew"
    await _step(world, order, "released", 6, round=3)
    assert await _found(world) == [order]
    assert await _found(world) == []


async def test_searches_at_the_same_time_tell_of_an_order_once(world: ReportWorld) -> None:
    for _ in range(20):
        await _order(world, 10)
    search = world.reports().find_unassigned
    await asyncio.gather(search(Nothing(), JOB), search(Nothing(), JOB))
    assert await world.owner.fetchval("SELECT count(*) FROM outbox WHERE topic = 'alert'") == 20


async def test_orders_are_read_and_not_touched(world: ReportWorld) -> None:
    await _order(world, 10)
    before = await world.owner.fetch("SELECT xmin::text, orders.* FROM orders")
    assert len(await _found(world)) == 1
    assert await world.owner.fetch("SELECT xmin::text, orders.* FROM orders") == before


async def test_what_is_remembered_of_an_order_goes_when_it_has_ended(world: ReportWorld) -> None:
    order = await _order(world, 10)
    await _found(world)
    await _step(world, order, "cancelled", 0, status="cancelled")
    await _found(world)
    assert await world.owner.fetchval("SELECT count(*) FROM order_alerts") == 0


async def test_alert_becomes_an_event_of_its_order(world: ReportWorld) -> None:
    order = await _order(world, 10)
    await world.relay()
    await world.reports().find_unassigned(Nothing(), JOB)
    await world.relay()
    [row] = await world.owner.fetch("SELECT * FROM event_log WHERE type = 'order.unassigned'")
    assert (row["topic"], row["ref"], row["order_id"], row["zone_id"], row["store_ids"]) == (
        "order", order, order, 1, [11],
    )  # fmt: skip
    body = json.loads(row["body"])
    data = body["data"]
    assert (data["order_id"], data["status"], data["driver_id"]) == (f"ord_{order}", "confirmed", None)
    assert (data["round"], data["trace_id"], data["waited_s"] >= 600) == (1, TRACE, True)
    assert body["sequence"] == row["pos"]
