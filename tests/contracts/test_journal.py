"""One suite for both journals: whatever Postgres does, its twin in memory does."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import asyncpg
import pytest

from actors.behaviour import Outcome
from actors.errors import NotWritten
from actors.messages import ActorId, Query
from actors.shards import shard_of
from storage.memory.guards import LEGAL_MOVES
from storage.memory.journal import MemoryJournal
from tests.contracts.world import ZONE, JournalWorld, placing

# -- placing -----------------------------------------------------------------------------------


async def test_order_is_created_with_prices_of_the_moment(world: JournalWorld) -> None:
    answer = await world.order(lines=((1, 2), (2, 1)))
    facts = answer["facts"]
    assert answer["code"] == "created"
    assert facts["total_minor"] == 1500
    assert [item[2] for item in facts["items"]] == [2, 1]
    row = await world.row(facts["id"])
    assert {k: row[k] for k in facts if k != "items"} == {k: v for k, v in facts.items() if k != "items"}


async def test_same_key_gets_the_same_facts_and_no_second_order(world: JournalWorld) -> None:
    first = await world.order()
    again = await world.order()
    assert again["replayed"] is True
    assert again["facts"] == first["facts"]


async def test_same_key_twice_in_one_batch_creates_one_order(world: JournalWorld) -> None:
    one, two = await world.placer.place([placing("k" * 16, ((1, 1),)), placing("k" * 16, ((1, 1),))])
    assert [one["replayed"], two["replayed"]] == [False, True]
    assert one["facts"]["id"] == two["facts"]["id"]


async def test_same_key_with_another_body_is_refused(world: JournalWorld) -> None:
    await world.order()
    assert (await world.order(fingerprint="cd"))["code"] == "key_reused"


async def test_expired_key_is_a_new_key(world: JournalWorld) -> None:
    first = await world.order(ttl_s=0)
    second = await world.order(fingerprint="cd")
    assert second["code"] == "created"
    assert second["facts"]["id"] != first["facts"]["id"]


@pytest.mark.parametrize(
    ("lines", "code", "at"),
    [
        (((1, 1), (9, 1)), "unknown_product", [1]),
        (((2, 4),), "out_of_stock", [0]),
    ],
)
async def test_refused_order_leaves_nothing_but_its_answer(
    world: JournalWorld, lines: Any, code: str, at: Any
) -> None:
    answer = await world.order(lines=lines)
    assert (answer["code"], answer["facts"]["lines"]) == (code, at)
    assert (await world.order(lines=lines))["replayed"] is True
    assert (await world.order(key="other" * 4, lines=((2, 3),)))["code"] == "created"


async def test_stock_is_never_sold_twice_in_one_batch(world: JournalWorld) -> None:
    answers = await world.placer.place([placing(f"key-{n}" * 4, ((2, 2),)) for n in range(3)])
    assert [a["code"] for a in answers] == ["created", "out_of_stock", "out_of_stock"]


async def test_order_is_delivered_as_far_as_its_store_goes_and_no_further(world: JournalWorld) -> None:
    near = await world.order(key="near" * 4, lines=((3, 1),), lat=1.0449, lon=2.0)  # 4,993 m
    far = await world.order(key="far." * 4, lines=((3, 1),), lat=1.045, lon=2.0)  # 5,004 m
    assert [near["code"], far["code"]] == ["created", "out_of_range"]
    assert far["facts"] == {"distance_m": 5004, "radius_m": 5000}
    again = await world.order(key="far." * 4, lines=((3, 1),), lat=1.045, lon=2.0)
    assert (again["code"], again["facts"], again["replayed"]) == ("out_of_range", far["facts"], True)
    assert (await world.order(key="rest" * 4, lines=((3, 2),)))["code"] == "created", "no stock was taken"


async def test_one_store_that_does_not_go_so_far_refuses_for_all(world: JournalWorld) -> None:
    answer = await world.order(lines=((1, 1), (3, 1)), lat=1.5, lon=2.0)
    assert (answer["code"], answer["facts"]["radius_m"]) == ("out_of_range", 5000)
    assert (await world.order(key="only" * 4, lines=((1, 1),), lat=1.5, lon=2.0))["code"] == "created"


async def test_card_order_waits_for_its_payment(world: JournalWorld) -> None:
    facts = (await world.order(payment="card"))["facts"]
    assert facts["status"] == "awaiting_payment"
    assert facts["due_ms"] == facts["created_ms"] + 900_000


# -- the fence ---------------------------------------------------------------------------------


async def test_item_of_an_older_epoch_is_stale_and_writes_nothing(world: JournalWorld) -> None:
    row = await world.row((await world.order())["facts"]["id"])
    item = world.item(row, "assigned", take=1, driver=1)
    await world.claim()
    assert [o.code for o in await world.flush(item)] == ["stale"]
    assert (await world.row(row["id"]))["version"] == 1
    assert list((await world.driver(1))["carrying"]) == []


async def test_claim_raises_the_epoch_and_tells_the_previous_one(world: JournalWorld) -> None:
    before = dict(world.epochs)
    claims = await world.journal.claim([7, 3], "two", "two.1")
    assert [c.shard for c in claims] == [3, 7]
    assert all(c.previous_epoch == before[c.shard] and c.epoch > c.previous_epoch for c in claims)


async def test_item_on_an_older_version_is_refused(world: JournalWorld) -> None:
    row = await world.row((await world.order())["facts"]["id"])
    item = world.item(row, "confirmed")
    assert [o.code for o in await world.flush(item)] == ["ok"]
    assert [o.code for o in await world.flush(item)] == ["version"]


async def test_item_with_a_wrong_shard_is_refused(world: JournalWorld) -> None:
    row = await world.row((await world.order())["facts"]["id"])
    wrong = (shard_of(ActorId("order", row["id"])) + 1) % 256
    item = world.item(row, "cancelled", shard=wrong, epoch=world.epochs[wrong])
    assert [o.code for o in await world.flush(item)] == ["version"]


# -- taking a slot -----------------------------------------------------------------------------


async def test_driver_takes_as_many_orders_as_it_has_slots(world: JournalWorld) -> None:
    rows = [await world.row((await world.order(key=f"key-{n}" * 4))["facts"]["id"]) for n in range(4)]
    items = [world.item(row, "assigned", take=2, driver=2) for row in rows]
    outcomes = await world.flush(*items)
    assert [o.code for o in outcomes] == ["ok", "ok", "busy", "busy"]
    assert [o.facts["slot"] for o in outcomes[:2]] == [0, 1]
    assert sorted((await world.driver(2))["carrying"]) == [rows[0]["id"], rows[1]["id"]]
    assert (await world.row(rows[2]["id"]))["status"] == "confirmed"


async def test_driver_with_a_lowered_capacity_takes_nothing_until_it_is_below(world: JournalWorld) -> None:
    rows = [await world.row((await world.order(key=f"key-{n}" * 4))["facts"]["id"]) for n in range(3)]
    await world.flush(*(world.item(row, "assigned", take=2, driver=2) for row in rows[:2]))
    await _set_driver(world, 2, capacity=1)
    held = await world.row(rows[0]["id"])
    released = world.item(held, "confirmed", driver=None, free=True)
    third = world.item(rows[2], "assigned", take=2, driver=2)
    assert [o.code for o in await world.flush(released, third)] == ["ok", "busy"]


async def test_claim_with_expected_epochs_leaves_alone_what_went_to_somebody_else(
    world: JournalWorld,
) -> None:
    expected = [world.epochs[3], world.epochs[7]]
    [taken] = await world.journal.claim([7], "two", "two.1")
    claims = await world.journal.claim([3, 7], "one", "one.1", expected)
    assert [c.epoch is not None for c in claims] == [True, False]
    assert claims[1].previous_epoch == taken.epoch
    [again] = await world.journal.claim([3], "one", "one.1", [expected[0]])
    assert again.epoch is not None, "this incarnation has claimed it itself"


async def test_freed_slot_is_taken_again(world: JournalWorld) -> None:
    first = await world.row((await world.order())["facts"]["id"])
    second = await world.row((await world.order(key="second" * 4))["facts"]["id"])
    await world.flush(world.item(first, "assigned", take=1, driver=1))
    held = await world.row(first["id"])
    released = world.item(held, "confirmed", driver=None, free=True)
    early = world.item(second, "assigned", take=1, driver=1)
    assert [o.code for o in await world.flush(released, early)] == ["ok", "busy"], "from the next batch on"
    assert [o.code for o in await world.flush(early)] == ["ok"]
    assert list((await world.driver(1))["carrying"]) == [second["id"]]


async def test_batch_mixes_drivers_and_orders_and_answers_each_in_its_place(world: JournalWorld) -> None:
    rows = [await world.row((await world.order(key=f"key-{n}" * 4))["facts"]["id"]) for n in range(3)]
    driver = await world.driver(3)
    offline = {
        "kind": "driver", "id": 3, "shard": driver["shard"], "epoch": world.epochs[driver["shard"]],
        "version": driver["version"], "writer": "w.3", "status": "offline", "capacity": 1, "zone": 1, "recent": [],
    }  # fmt: skip
    feed = [{"driver": 1, "type": "x", "data": {"n": 1}}, {"driver": 1, "type": "y", "data": {"n": 2}}]
    outcomes = await world.flush(
        world.item(rows[0], "assigned", take=3, driver=3),
        world.item(rows[1], "confirmed", feed=feed),
        offline,
        world.item(rows[2], "confirmed", version=9, feed=feed),
        offline | {"id": 2, "version": 99},
    )
    assert [o.code for o in outcomes] == ["offline", "ok", "ok", "version", "version"]
    assert outcomes[1].facts["seqs"] == [1, 2]
    assert (await world.driver(3))["status"] == "offline"


async def test_offline_driver_takes_nothing(world: JournalWorld) -> None:
    await _set_driver(world, 3, status="offline")
    row = await world.row((await world.order())["facts"]["id"])
    assert [o.code for o in await world.flush(world.item(row, "assigned", take=3, driver=3))] == ["offline"]


async def test_driver_of_another_zone_takes_nothing_where_the_zone_counts(world: JournalWorld) -> None:
    row = await world.row((await world.order())["facts"]["id"])
    item = world.item(row, "assigned", take=3, driver=3, zone=2)
    assert [o.code for o in await world.flush(item)] == ["elsewhere"]


async def test_order_is_not_assigned_to_a_second_driver(world: JournalWorld) -> None:
    """The second wall: even a caller that knows version and epoch cannot insert a second assignment."""
    row = await world.row((await world.order())["facts"]["id"])
    await world.flush(world.item(row, "assigned", take=1, driver=1))
    moved = await world.row(row["id"])
    for item in (
        world.item(moved, "assigned", take=2, driver=2),
        world.item(moved, "assigned", driver=2),
        world.item(moved, "picked_up", driver=2),
        world.item(moved, "confirmed", driver=None),
        world.item(moved, "assigned", driver=None),
    ):
        assert [o.code for o in await world.flush(item)] == ["illegal"]
    assert (await world.row(row["id"]))["driver_id"] == 1


async def test_only_legal_moves_are_written(world: JournalWorld) -> None:
    row = await world.row((await world.order())["facts"]["id"])
    assert [o.code for o in await world.flush(world.item(row, "picked_up"))] == ["illegal"]
    assert ("confirmed", "picked_up") not in LEGAL_MOVES


async def _handed(world: JournalWorld, order: int, to: int, **other: Any) -> dict[str, Any]:
    """The item that hands an order over."""
    row = await world.row(order)
    return world.item(row, row["status"], take=to, driver=to, free=True, **other)


@pytest.mark.parametrize("status", ["assigned", "picked_up"])
async def test_carried_order_is_handed_over_in_one_step(world: JournalWorld, status: str) -> None:
    number = (await world.order())["facts"]["id"]
    await world.flush(world.item(await world.row(number), "assigned", take=1, driver=1))
    if status == "picked_up":
        await world.flush(world.item(await world.row(number), status))
    feed = [
        {"driver": 1, "type": "order.released", "data": {}},
        {"driver": 2, "type": "order.assigned", "data": {}},
    ]
    [outcome] = await world.flush(await _handed(world, number, 2, feed=feed))
    assert (outcome.code, outcome.facts["slot"], len(outcome.facts["seqs"])) == ("ok", 0, 2)
    assert [(await world.row(number))[name] for name in ("status", "driver_id")] == [status, 2]
    assert [list((await world.driver(n))["carrying"]) for n in (1, 2)] == [[], [number]]
    other = (await world.order(key="another-key-of-1"))["facts"]["id"]
    item = world.item(await world.row(other), "assigned", take=1, driver=1)
    assert [o.code for o in await world.flush(item)] == ["ok"], "the slot is free again"
    ends = world.item(await world.row(number), "undeliverable", free=True)
    assert [o.code for o in await world.flush(ends)] == ["ok"]
    assert list((await world.driver(2))["carrying"]) == []


async def test_order_is_handed_over_only_to_another_driver_who_is_online_and_has_a_slot(
    world: JournalWorld,
) -> None:
    one, two = [(await world.order(key=f"key-{n}" * 4))["facts"]["id"] for n in range(2)]
    for number, driver in ((one, 1), (two, 3)):
        await world.flush(world.item(await world.row(number), "assigned", take=driver, driver=driver))
    assert [o.code for o in await world.flush(await _handed(world, one, 3))] == ["busy"]
    assert [o.code for o in await world.flush(await _handed(world, one, 1))] == ["illegal"]
    assert [o.code for o in await world.flush(await _handed(world, one, 99))] == ["offline"]
    row = await world.row(one)
    for wrong in (
        world.item(row, "picked_up", take=2, driver=2, free=True),
        world.item(row, "assigned", take=2, driver=1, free=True),
        world.item(row, "assigned", driver=2, free=True),
    ):
        assert [o.code for o in await world.flush(wrong)] == ["illegal"]
    assert ((await world.row(one))["driver_id"], (await world.row(two))["driver_id"]) == (1, 3)


async def test_slot_that_a_hand_over_leaves_can_be_taken_from_the_next_batch_on(world: JournalWorld) -> None:
    one, two = [(await world.order(key=f"key-{n}" * 4))["facts"]["id"] for n in range(2)]
    await world.flush(world.item(await world.row(one), "assigned", take=1, driver=1))
    taking = world.item(await world.row(two), "assigned", take=1, driver=1)
    outcomes = await world.flush(await _handed(world, one, 2), taking)
    assert [o.code for o in outcomes] == ["ok", "busy"]
    assert [o.code for o in await world.flush(taking)] == ["ok"]


async def _set_driver(world: JournalWorld, number: int, **changes: Any) -> list[Outcome]:
    row = await world.driver(number)
    shard = shard_of(ActorId("driver", number))
    item = {
        "kind": "driver", "id": number, "version": row["version"], "status": row["status"],
        "capacity": row["capacity"], "zone": row["zone_id"], "recent": [["c", "f", {"x": 1}]],
        "shard": shard, "epoch": world.epochs[shard], "writer": "w9",
    }  # fmt: skip
    return await world.flush(item | changes)


async def test_driver_who_cannot_be_reached_is_kept_so_and_is_none_of_the_zones(world: JournalWorld) -> None:
    since_ms = 1_790_000_000_123
    assert [o.code for o in await _set_driver(world, 1, unreachable_ms=since_ms)] == ["ok"]
    assert (await world.driver(1))["unreachable_ms"] == since_ms
    asked = [row[0] for row in await world.journal.read(Query("zone_drivers", (ZONE,)))]
    assert sorted(asked) == [2, 3]
    row = await world.row((await world.order())["facts"]["id"])
    assert [o.code for o in await world.flush(world.item(row, "assigned", take=1, driver=1))] == ["ok"]
    # An instance that has not heard of it, in a rolling upgrade, says nothing about it.
    assert [o.code for o in await _set_driver(world, 1)] == ["ok"]
    assert (await world.driver(1))["unreachable_ms"] is None


async def test_zone_row_has_all_its_settings(world: JournalWorld) -> None:
    row = (await world.journal.load("zone", [ZONE]))[ZONE]
    wanted = {"offer_distance_max_m": 50_000, "release_pause_s": 600, "give_up_after_s": 3600}
    assert {name: row[name] for name in wanted} == wanted


async def test_driver_row_is_written_under_its_version(world: JournalWorld) -> None:
    assert [o.code for o in await _set_driver(world, 1, capacity=5)] == ["ok"]
    row = await world.driver(1)
    assert (row["capacity"], row["version"], row["writer"]) == (5, 2, "w9")
    assert row["recent"] == [["c", "f", {"x": 1}]]
    assert [o.code for o in await _set_driver(world, 1, version=1)] == ["version"]


# -- feeds -------------------------------------------------------------------------------------


async def test_feed_entries_are_numbered_without_gap_across_orders(world: JournalWorld) -> None:
    rows = [await world.row((await world.order(key=f"key-{n}" * 4))["facts"]["id"]) for n in range(3)]
    feed = [
        {"driver": 1, "type": "offer", "data": {"n": 1}},
        {"driver": 2, "type": "offer", "data": {"n": 2}},
    ]
    outcomes = await world.flush(*(world.item(row, "confirmed", feed=feed) for row in rows))
    assert [o.facts["seqs"] for o in outcomes] == [[1, 1], [2, 2], [3, 3]]
    entries = await world.journal.read(Query("feed_after", (1, 1, 10)))
    assert [(e["seq"], e["type"], e["data"]) for e in entries] == [
        (2, "offer", {"n": 1}),
        (3, "offer", {"n": 1}),
    ]
    assert (await world.driver(1))["feed_seq"] == 3


async def test_refused_item_appends_nothing_to_a_feed(world: JournalWorld) -> None:
    row = await world.row((await world.order())["facts"]["id"])
    feed = [{"driver": 1, "type": "x", "data": {}}]
    await world.flush(world.item(row, "confirmed", version=9, feed=feed))
    assert (await world.driver(1))["feed_seq"] == 0


async def test_snapshot_shows_carried_orders_and_live_offers_only(world: JournalWorld) -> None:
    carried = await world.row((await world.order())["facts"]["id"])
    offered = await world.row((await world.order(key="second" * 4))["facts"]["id"])
    dead = await world.row((await world.order(key="third" * 4))["facts"]["id"])
    live = {"wave": 1, "count": 1, "offers": [[f"ofr_{offered['id']}_1", 2, 9]], "tried": []}
    await world.flush(
        world.item(carried, "assigned", take=2, driver=2),
        world.item(offered, "confirmed", search=live, feed=[_offer(2, offered)]),
        world.item(dead, "confirmed", feed=[_offer(2, dead)]),
    )
    snapshot = await world.journal.read(Query("driver_snapshot", (2,)))
    assert snapshot["feed_seq"] == 2
    assert [order["id"] for order in snapshot["carried"]] == [carried["id"]]
    assert [order["id"] for order in snapshot["offered"]] == [offered["id"]]


async def test_snapshot_shows_an_offered_order_as_it_is_now(world: JournalWorld) -> None:
    offered = await world.row((await world.order())["facts"]["id"])
    live = {"wave": 1, "count": 1, "offers": [[f"ofr_{offered['id']}_1", 2, 9]], "tried": []}
    await world.flush(world.item(offered, "confirmed", search=live, feed=[_offer(2, offered)]))
    again = await world.row(offered["id"])
    await world.flush(world.item(again, "confirmed", search=live, ready_ms=again["ready_ms"] + 60_000))
    [shown] = (await world.journal.read(Query("driver_snapshot", (2,))))["offered"]
    assert (shown["version"], shown["ready_ms"]) == (3, offered["ready_ms"] + 60_000)


def _offer(driver: int, row: Any) -> dict[str, Any]:
    return {"driver": driver, "type": "offer", "data": {"offer_id": f"ofr_{row['id']}_1"}}


# -- timers, stock, pictures ----------------------------------------------------------------------


async def test_due_rows_are_found_until_their_timer_moves(world: JournalWorld) -> None:
    facts = (await world.order())["facts"]
    actor, until = ActorId("order", facts["id"]), facts["created_ms"] + 1
    assert await world.journal.due(range(256), 0, until, 10) == [(actor, facts["due_ms"])]
    assert await world.journal.due(range(256), until, until + 9, 10) == []
    await world.flush(world.item(await world.row(facts["id"]), "confirmed", due_ms=until + 5000))
    assert await world.journal.due(range(256), 0, until, 10) == []


async def test_cancelled_order_gives_its_stock_back(world: JournalWorld) -> None:
    facts = (await world.order(lines=((2, 3),)))["facts"]
    await world.flush(world.item(await world.row(facts["id"]), "cancelled", restock=True))
    assert (await world.order(key="again" * 4, lines=((2, 3),)))["code"] == "created"


async def test_zone_picture_holds_open_orders_and_free_slots(world: JournalWorld) -> None:
    taken = await world.row((await world.order())["facts"]["id"])
    open_order = (await world.order(key="second" * 4))["facts"]
    await world.flush(world.item(taken, "assigned", take=2, driver=2))
    rows = await world.journal.read(Query("zone_orders", (ZONE,)))
    assert [tuple(row) for row in rows] == [(open_order["id"], 1)]
    [whole] = await world.journal.read(Query("load_orders", ([open_order["id"]],)))
    assert (whole["id"], whole["status"]) == (open_order["id"], "confirmed")
    drivers = await world.journal.read(Query("zone_drivers", (ZONE,)))
    seen = sorted((d[0], d[3], list(d[4])) for d in drivers)
    assert seen == [(1, 1, []), (2, 2, [taken["id"]]), (3, 1, [])]


async def test_poisoned_item_is_refused_as_a_whole_call(world: JournalWorld) -> None:
    """Only Postgres can be poisoned; the lane then finds the item by halving."""
    if isinstance(world.journal, MemoryJournal):
        return
    row = await world.row((await world.order())["facts"]["id"])
    with pytest.raises(NotWritten) as caught:
        await world.flush(world.item(row, "confirmed", search={"x": "a\x00b"}))
    assert caught.value.transient is False
    assert (await world.row(row["id"]))["version"] == 1


# -- locks of others ----------------------------------------------------------------------------------


LOCKS = {
    "driver 2": "SELECT 1 FROM drivers WHERE id = 2 FOR UPDATE",
    "order {id}": "UPDATE orders SET notes = 'by hand' WHERE id = {id}",
    "product 2": "UPDATE products SET stock = 100 WHERE id = 2",
    "shard {shard}": "SELECT 1 FROM shard WHERE id = {shard} FOR UPDATE",
}


@asynccontextmanager
async def _held_by_a_person(world: JournalWorld, row: str, statement: str) -> AsyncIterator[int]:
    """Somebody holds a row until the block ends; gives the holder's pid."""
    if isinstance(world.journal, MemoryJournal):
        world.journal.locks[row] = (4711, "ann", "psql", "idle in transaction")
        yield 4711
        world.journal.locks.clear()
        return
    person = await asyncpg.connect(world.journal._url, server_settings={"application_name": "psql"})
    try:
        await person.execute("BEGIN")
        await person.execute(statement)
        yield person.get_server_pid()
    finally:
        await person.close()


@pytest.mark.parametrize("row", LOCKS)
async def test_write_that_needs_a_locked_row_is_refused_and_the_holder_is_named(
    world: JournalWorld, row: str
) -> None:
    mine = (await world.order(lines=((2, 1),)))["facts"]
    other = (await world.order("o" * 16))["facts"]
    taken = world.item(mine, "assigned", take=2, zone=ZONE)
    free = world.item(other, "assigned", take=3, zone=ZONE)
    if row.startswith("product"):
        taken = world.item(mine, "cancelled", restock=True)
    names = {"id": mine["id"], "shard": taken["shard"]}
    assert await world.journal.blocked([taken, free]) == [None, None]
    async with _held_by_a_person(world, row.format(**names), LOCKS[row].format(**names)) as pid:
        with pytest.raises(NotWritten) as caught:
            await world.flush(free, taken)
        assert caught.value.locked
        nothing, blocker = await world.journal.blocked([free, taken])
        assert nothing is None
        assert blocker.key in world.journal.needs(taken)
        assert blocker.row == row.format(**names)
        assert (blocker.pid, blocker.application) == (pid, "psql")
        assert blocker.state == "idle in transaction"
        assert [outcome.code for outcome in await world.flush(free)] == ["ok"]
    assert await world.journal.blocked([taken]) == [None]
    assert [outcome.code for outcome in await world.flush(taken)] == ["ok"]


async def test_timer_that_was_written_by_a_clock_ahead_is_found_with_the_time_it_was_to_wait(
    world: JournalWorld,
) -> None:
    row = (await world.order())["facts"]
    shards, now_ms = list(range(256)), int(time.time() * 1000)
    hour_ms = 3_600_000
    written = world.item(row, "confirmed", at_ms=now_ms + hour_ms, due_ms=now_ms + hour_ms + 20_000)
    assert [outcome.code for outcome in await world.flush(written)] == ["ok"]
    honest = (await world.order("h" * 16))["facts"]
    waits = world.item(honest, "confirmed", at_ms=now_ms, due_ms=now_ms + 900_000)
    assert [outcome.code for outcome in await world.flush(waits)] == ["ok"]
    found = await world.journal.due_ahead(shards, now_ms, 10)
    assert found == [(ActorId("order", row["id"]), now_ms + hour_ms + 20_000, 20_000)]
    assert await world.journal.due_ahead(shards, now_ms + hour_ms, 10) == []
