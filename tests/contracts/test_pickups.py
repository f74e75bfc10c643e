"""What an order is placed with, on both journals: its stores, their numbers, what leaves the stock and comes back."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from actors.errors import NotWritten
from tests.contracts.world import JournalWorld, placing

# Products of the world: 1 (never runs out) and 2 are of store 1, 3 is of store 2, which is at 1.0, 2.0.
BOTH = ((1, 1), (3, 1), (2, 1))


async def test_order_of_two_stores_is_fetched_from_both_with_the_items_of_each(world: JournalWorld) -> None:
    facts = (await world.order(lines=BOTH))["facts"]
    assert [pickup[:4] for pickup in facts["pickups"]] == [[1, "store 1", 0, 0], [2, "store 2", 1, 2]]
    assert [pickup[5] for pickup in facts["pickups"]] == [[0, 2], [1]]
    assert facts["store_id"] == 1


async def test_stores_have_ready_times_of_their_own_and_the_order_has_the_latest(world: JournalWorld) -> None:
    await world.change("stores", 2, "preparation_s", 60)
    facts = (await world.order(lines=BOTH))["facts"]
    created_ms = facts["created_ms"]
    assert facts["ready_each"] == [created_ms + 600_000, created_ms + 60_000]
    assert facts["ready_ms"] == created_ms + 600_000
    assert (await world.order(key="one " * 4))["facts"]["ready_each"] is None
    later = [created_ms + 600_000, created_ms + 90_000]
    await world.flush(world.item(await world.row(facts["id"]), "confirmed", ready_each=later))
    assert (await world.row(facts["id"]))["ready_each"] == later


async def test_store_that_moves_and_is_renamed_leaves_its_orders_as_they_were(world: JournalWorld) -> None:
    facts = (await world.order())["facts"]
    await world.change("stores", 1, "name", "other name")
    await world.change("stores", 1, "lat", 9.0)
    assert (await world.row(facts["id"]))["pickups"] == facts["pickups"] == [[1, "store 1", 0, 0, 1, [0]]]
    assert (await world.order())["facts"] == facts, "repeated under its key"


async def test_each_store_numbers_its_orders_without_a_gap(world: JournalWorld) -> None:
    await world.order(key="one " * 4)
    await world.order(key="no  " * 4, lines=((2, 9),))  # out of stock: takes no number
    both = (await world.order(key="both" * 4, lines=BOTH))["facts"]
    assert [pickup[4] for pickup in both["pickups"]] == [2, 1]
    batch = await world.placer.place([placing(f"bat{n}" * 4, ((1, 1),)) for n in range(6)])
    assert [answer["facts"]["pickups"][0][4] for answer in batch] == [3, 4, 5, 6, 7, 8]
    assert (await world.order(key="last" * 4, lines=((3, 1),)))["facts"]["pickups"][0][4] == 2


async def _placed(world: JournalWorld, batches: list[list[dict[str, Any]]]) -> list[Any]:
    """All answers of batches that are placed at once; what had to wait for too long is placed again."""
    answers = []
    while batches:
        done = await asyncio.gather(*(world.placer.place(batch) for batch in batches), return_exceptions=True)
        again = []
        for batch, got in zip(batches, done, strict=True):
            told = [got] * len(batch) if isinstance(got, BaseException) else got
            answers += [answer for answer in told if isinstance(answer, dict)]
            again.append([x for x, answer in zip(batch, told, strict=True) if isinstance(answer, NotWritten)])
        batches = [batch for batch in again if batch]
    return answers


async def test_batches_that_race_share_the_numbers_of_a_store(world: JournalWorld) -> None:
    batches = [[placing(f"{n:02}{k:02}" * 4, BOTH[:2]) for k in range(5)] for n in range(6)]
    await world.change("products", 3, "stock", None)
    facts = [answer["facts"] for answer in await _placed(world, batches)]
    for store in (0, 1):
        assert sorted(f["pickups"][store][4] for f in facts) == list(range(1, 31))


@pytest.mark.parametrize(
    ("limit_then", "limit_later", "left"),
    [(3, 3, 3), (None, 5, 5), (3, None, None), (3, 50, 52)],
    ids=["as it was", "a limit since", "none any more", "another limit"],
)
async def test_what_comes_back_is_what_was_taken(
    world: JournalWorld, limit_then: Any, limit_later: Any, left: Any
) -> None:
    await world.change("products", 2, "stock", limit_then)
    facts = (await world.order(lines=((2, 2),)))["facts"]
    if limit_later != limit_then:
        await world.change("products", 2, "stock", limit_later)
    await world.flush(world.item(await world.row(facts["id"]), "cancelled", restock=True))
    assert await world.stock(2) == left


async def test_goods_come_back_once(world: JournalWorld) -> None:
    facts = (await world.order(lines=((2, 2),)))["facts"]
    for _ in range(2):
        row = await world.row(facts["id"])
        [outcome] = await world.flush(world.item(row, "cancelled", restock=True))
        assert outcome.ok
    assert await world.stock(2) == 3


async def test_contact_is_the_customer_unless_somebody_else_is_named(world: JournalWorld) -> None:
    assert (await world.order())["facts"]["contact_name"] == "driver 100"
    named = {"contact_name": "Bo at the desk", "contact_phone": "+49 30 1"}
    facts = (await world.order(key="bo  " * 4, **named))["facts"]
    assert {name: facts[name] for name in named} == named


async def test_order_keeps_what_its_zone_pays_the_driver(world: JournalWorld) -> None:
    facts = (await world.order())["facts"]
    assert facts["driver_pay_minor"] == (await world.row(facts["id"]))["driver_pay_minor"] == 350


# -- prices ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("many", [1, 5])
async def test_order_at_another_price_than_expected_is_refused_with_the_new_prices(
    world: JournalWorld, many: int
) -> None:
    wanted = {"expected": 999, "expected_currency": "EUR"}
    answers = await world.placer.place(
        [placing(f"old{n}" * 4, ((1, 1), (2, 1)), **wanted) for n in range(many)]
    )
    assert {answer["code"] for answer in answers} == {"price_changed"}
    assert answers[0]["facts"] == {"total_minor": 1000, "currency": "EUR", "prices": [[1, 500], [2, 500]]}
    assert await world.stock(2) == 3


async def test_order_at_the_expected_price_is_placed(world: JournalWorld) -> None:
    answers = await world.placer.place(
        [placing(f"now{n}" * 4, ((1, 2),), expected=1000, expected_currency="EUR") for n in range(5)]
    )
    assert [answer["code"] for answer in answers] == ["created"] * 5
    other = await world.order(key="usd " * 4, lines=((1, 2),), expected=1000, expected_currency="USD")
    assert other["code"] == "price_changed"


# -- bounds ---------------------------------------------------------------------------------------

BOUNDS = {"unpaid_max": 3, "held_max": 8}


async def test_customer_has_so_many_unpaid_orders_and_no_more(world: JournalWorld) -> None:
    cards = [placing(f"car{n}" * 4, ((1, 1),), payment="card", **BOUNDS) for n in range(6)]
    answers = await world.placer.place(cards)
    assert [a["code"] for a in answers] == ["created"] * 3 + ["too_many_unpaid"] * 3
    assert answers[3]["facts"] == {"unpaid": 3, "max": 3}
    assert (await world.order(key="cash" * 4, **BOUNDS))["code"] == "created"
    paid = await world.row(answers[0]["facts"]["id"])
    await world.flush(world.item(paid, "confirmed"))
    assert (await world.order(key="next" * 4, payment="card", **BOUNDS))["code"] == "created"


@pytest.mark.parametrize("payment", ["card", "cash"])
async def test_customer_holds_so_many_pieces_and_no_more(world: JournalWorld, payment: str) -> None:
    await world.change("products", 2, "stock", 100)
    wanted = [placing(f"pcs{n}" * 4, ((2, 3), (1, 50)), payment=payment, **BOUNDS) for n in range(5)]
    answers = await world.placer.place(wanted)
    assert [a["code"] for a in answers] == ["created"] * 2 + ["too_many_held"] * 3
    assert answers[2]["facts"] == {"held": 6, "wanted": 3, "max": 8}
    assert await world.stock(2) == 94
    assert (await world.order(key="two " * 4, lines=((2, 2),), **BOUNDS))["code"] == "created"
    other = await world.order(key="else" * 4, lines=((2, 8),), customer=1, **BOUNDS)
    assert other["code"] == "created", "another customer's bound is another"
    first = await world.row(answers[0]["facts"]["id"])
    await world.flush(world.item(first, "cancelled", restock=True))
    assert (await world.order(key="free" * 4, lines=((2, 3),), **BOUNDS))["code"] == "created"


async def test_bound_holds_though_batches_race(world: JournalWorld) -> None:
    await world.change("products", 2, "stock", 100)
    batches = [
        [placing(f"{n:02}{k:02}" * 4, ((2 if n % 2 else 3, 1),), payment="card", **BOUNDS) for k in range(5)]
        for n in range(8)
    ]
    codes = [answer["code"] for answer in await _placed(world, batches)]
    assert codes.count("created") == 3


# -- orders that cost nothing -----------------------------------------------------------------------------


@pytest.mark.parametrize("alone", [True, False])
async def test_card_order_that_costs_nothing_is_confirmed_at_once(
    world: JournalWorld, *, alone: bool
) -> None:
    await world.change("products", 1, "price_minor", 0)
    if alone:
        answers = [await world.order(payment="card")]
    else:  # a batch is placed by another function
        answers = await world.placer.place(
            [placing(f"fre{n}" * 4, ((1, 1),), payment="card") for n in range(6)]
        )
    for answer in answers:
        row = await world.row(answer["facts"]["id"])
        assert (row["status"], row["total_minor"]) == ("confirmed", 0)
        assert row["due_ms"] == row["created_ms"], "its actor tells the zone"
    paid = await world.order(key="paid" * 4, lines=((2, 1),), payment="card")
    assert (await world.row(paid["facts"]["id"]))["status"] == "awaiting_payment"
