"""What the tables say of a trace id."""

from __future__ import annotations

from typing import Any

from dispatch.jobs.policy import DONE, JobOutcome
from dispatch.jobs.relay import Relay
from dispatch.jobs.stored import StoredJobs
from dispatch.jobs.tasks import NewJob
from dispatch.trace_story import stored_entries
from tests.integration.services.world import World

TRACE, OTHER = "a" * 32, "b" * 32


async def place(owner: Any, order: int, trace: str) -> None:
    """An order with its history, as create_orders() writes them."""
    await owner.execute(
        "INSERT INTO orders (id, shard, zone_id, store_id, customer_id, status, mode, ready_at, created_at, updated_at,"
        " dropoff_lat, dropoff_lon, address, payment, total_minor, currency, pickups) VALUES"
        " ($1, 0, 1, 1, 9, 'confirmed', 'open', now(), now(), now(), 1, 2, 'A', 'cash', 900, 'EUR', '[]')",
        order,
    )
    await owner.execute(
        "INSERT INTO order_events (order_id, version, type, actor_role, actor_id, trace, at)"
        " SELECT $1, x.version, x.type, x.role, x.id, x.trace, date_trunc('milliseconds', now())"
        " FROM (VALUES (1, 'created', 'customer', 'usr_9', $2), (2, 'offered', 'system', 'zone', $2),"
        " (3, 'assigned', 'driver', 'drv_1', $3)) x(version, type, role, id, trace)",
        order,
        trace,
        OTHER,
    )
    await owner.execute("INSERT INTO outbox (topic, ref, version) VALUES ('order', $1, 1)", order)


async def told(world: World, trace: str = TRACE, *orders: int) -> list[tuple[str, str]]:
    return [(entry.place, entry.what) for entry in await stored_entries(world.database, trace, orders)]


async def test_order_is_found_before_and_after_it_is_relayed(world: World) -> None:
    await place(world.owner, 17, TRACE)
    history = [("order_events", "created"), ("order_events", "offered")]
    assert await told(world) == [*history, ("outbox", "waits")]
    await Relay(StoredJobs(world.database)).relay_batch()
    log = [("event_log", "order.created"), ("event_log", "order.confirmed")]
    assert (await told(world))[:4] == [*history, *log]  # and the jobs that follow
    entries = await stored_entries(world.database, TRACE)
    assert entries[0].facts == {"order_id": "ord_17", "version": 1, "by": "customer", "actor_id": "usr_9"}
    assert entries[2].facts == {"subject": "ord_17", "sequence": 1, "version": 1, "order_id": "ord_17"}


async def test_alert_of_an_order_that_waits_to_be_relayed_is_told(world: World) -> None:
    await place(world.owner, 17, OTHER)
    await world.owner.execute(
        "INSERT INTO outbox (topic, ref, version, trace, data) VALUES ('alert', 17, 3, $1, '{}')", TRACE
    )
    [alert] = await stored_entries(world.database, TRACE)
    assert (alert.step, alert.what, alert.facts) == ("outbox", "waits", {"subject": "ord_17", "version": 3})


async def test_jobs_and_their_attempts_are_told(world: World) -> None:
    jobs = StoredJobs(world.database)
    await jobs.enqueue([NewJob("mail", {}), NewJob("mail", {})], TRACE)
    await jobs.enqueue([NewJob("mail", {})], OTHER)
    first, second, _ = (await jobs.claim("w/1", {"mail": 3}, 30.0, alone=False)).jobs
    await jobs.finish("w/1", [DONE.item(first, 0.1)])
    await jobs.finish("w/1", [JobOutcome("dead", error="no such address").item(second, 0.2)])
    assert await told(world) == [("jobs", "added"), ("job_runs", "done"), ("job_runs", "dead")]
    added, done, _ = await stored_entries(world.database, TRACE)
    assert (added.facts["state"], added.facts["error"]) == ("dead", "no such address")
    assert done.facts == {
        "job_id": f"job_{first.id}",
        "task": "mail",
        "attempt": 1,
        "worker": "w/1",
        "took_ms": 100,
    }


async def test_history_of_a_named_order_is_searched_when_no_index_finds_it(world: World) -> None:
    await place(world.owner, 17, TRACE)
    await world.owner.execute("DELETE FROM outbox")
    assert await told(world) == []
    assert await told(world, TRACE, 17) == [("order_events", "created"), ("order_events", "offered")]


async def test_notices_of_the_order_are_told(world: World) -> None:
    await place(world.owner, 17, TRACE)
    await world.owner.execute(
        "INSERT INTO notices (topic, order_id, version, user_id, store_id, channel, type, status, trace) VALUES"
        " ('order', 17, 1, 9, 0, 'mail', 'order.confirmed', 'sent', $1),"
        " ('order', 17, 3, 9, 0, 'mail', 'order.assigned', 'sent', $2)",
        TRACE,
        OTHER,
    )
    [notice] = [entry for entry in await stored_entries(world.database, TRACE) if entry.place == "notices"]
    assert (notice.step, notice.what, notice.facts["user_id"], notice.facts["type"]) == (
        "mail",
        "sent",
        "usr_9",
        "order.confirmed",
    )
