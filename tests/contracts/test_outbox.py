"""Rows of the outbox, with their facts, in memory and on Postgres: what is written with an order's changes."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import orjson

from dispatch.jobs.events import ORDER_EVENTS, events_of
from dispatch.jobs.stored import StoredJobs
from storage.memory.jobs import MemoryJobs
from storage.memory.outbox import OUTBOX_EVENTS
from storage.postgres.database import open_database
from tests.contracts.world import JournalWorld
from tests.support.clocks import Hands

FLUSH = Path(__file__).parents[2] / "storage/postgres/functions/flush.sql"


async def _rows(world: JournalWorld) -> Sequence[Any]:
    if not world.url:
        return await StoredJobs(MemoryJobs(Hands(), world.journal.outbox)).outbox(100)
    async with open_database(world.url, size_max=1) as database:
        return await StoredJobs(database).outbox(100)


async def _bodies(world: JournalWorld) -> list[dict[str, Any]]:
    """Bodies of the events of all rows, without their times."""
    bodies = [orjson.loads(event.body(1)) for row in await _rows(world) for event in events_of(row)]
    for body in bodies:
        assert body.pop("timestamp")
    return bodies


async def test_changes_of_an_order_are_in_the_outbox_with_all_facts_of_their_events(
    world: JournalWorld,
) -> None:
    row = (await world.order(lines=((1, 2), (3, 1))))["facts"]
    said: dict[str, Any] = {"role": "admin", "actor": "usr_9", "trace": "two"}
    await world.flush(
        world.item(
            row,
            "assigned",
            event="assigned",
            take=1,
            data={"driver_id": "drv_1"},
            at_ms=1_790_000_000_123,
            **said,
        )
    )
    row = await world.row(row["id"])
    await world.flush(world.item(row, "picked_up", event="picked_up", reason="early", trace="three"))
    created, confirmed, assigned, picked_up = await _bodies(world)
    common = {
        "order_id": f"ord_{row['id']}", "zone_id": "zon_1", "store_ids": ["sto_1", "sto_2"], "customer_id": "usr_100",
        "payment": "cash", "total": {"amount_minor": 1500, "currency": "EUR"},
    }  # fmt: skip
    by_customer = {"version": 1, "driver_id": None, "reason": None, "by": "customer", "trace_id": "t"}
    for kind, body in (("order.created", created), ("order.confirmed", confirmed)):
        data = common | by_customer | {"status": "confirmed"}
        assert body == {"type": kind, "sequence": 1, "data": data}
    assert assigned["data"] == common | {
        "version": 2, "status": "assigned", "driver_id": "drv_1", "reason": None, "by": "admin", "trace_id": "two",
    }  # fmt: skip
    assert picked_up["data"] == common | {
        "version": 3, "status": "picked_up", "driver_id": "drv_1", "reason": "early", "by": "driver",
        "trace_id": "three",
    }  # fmt: skip
    times = [row["at_ms"] for row in await _rows(world)]
    assert times[1:] == [1_790_000_000_123, 1_790_000_000_000]


async def test_change_that_nobody_else_wants_to_know_is_not_in_the_outbox(world: JournalWorld) -> None:
    row = (await world.order(payment="card"))["facts"]
    await world.flush(world.item(row, "awaiting_payment", event="ready_time_set"))
    assert [row["event"] for row in await _rows(world)] == ["created"]


async def test_change_that_is_refused_is_not_in_the_outbox(world: JournalWorld) -> None:
    row = (await world.order())["facts"]
    await world.flush(world.item(row, "assigned", event="assigned", take=1, epoch=1))
    assert [row["event"] for row in await _rows(world)] == ["created"]


def test_functions_of_postgres_and_the_twin_write_rows_for_the_events_that_the_relay_knows() -> None:
    assert set(ORDER_EVENTS) == OUTBOX_EVENTS
    text = FLUSH.read_text()
    named = text[text.index("outboxed AS (") :].split("event IN (")[1].split(")")[0]
    assert {name.strip(" '\n") for name in named.split(",")} == OUTBOX_EVENTS - {"created"}
