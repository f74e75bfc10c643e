"""Whole batches of orders: the twin in memory places them in turn, Postgres all at once, and both say the same."""

from __future__ import annotations

import json
import random
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import asyncpg
import pytest

from actors.errors import NotWritten
from storage.memory.journal import MemoryJournal
from storage.postgres.database import open_database
from storage.postgres.order_creation import OrderPlacer
from tests.conftest import copy_database

CUSTOMERS = (100, 101)
# Where most orders go; store 2 delivers so far, and not to the other place.
DOOR, FAR_AWAY = (1.0, 2.0), (1.5, 2.0)
STORES = """
INSERT INTO zones (id, name, driver_pay_minor) VALUES (1, 'zone 1', 350), (2, 'zone 2', NULL);
INSERT INTO stores (id, zone_id, name, lat, lon, delivery_radius_m, active)
VALUES (1, 1, 'store 1', 0, 0, NULL, true), (2, 1, 'store 2', 1, 2, 5000, true),
       (3, 2, 'store 3', 0, 0, NULL, true), (4, 1, 'store 4', 0, 0, NULL, false);
INSERT INTO users (id, email, role, name) SELECT n, n || '@x.example', 'customer', 'Ann' FROM unnest(ARRAY[100, 101]) n;
"""
# Limits of stocks by product; the others have that of the request.
LOW = {2: 20, 4: 0}
# Store, price, currency, stock, active; by number from 1. 99 does not exist.
PRODUCTS: tuple[tuple[int, int, str, int | None, bool], ...] = (
    (1, 500, "EUR", None, True), (1, 250, "EUR", 60, True), (1, 100, "EUR", 5, True), (2, 700, "EUR", 30, True),
    (1, 300, "USD", None, True), (3, 400, "EUR", None, True), (1, 200, "EUR", None, False), (4, 200, "EUR", 9, True),
)  # fmt: skip
UNKNOWN = 99
CODES = {
    "created", "key_reused", "unknown_product", "inactive_product", "mixed_currency", "mixed_zones",
    "out_of_range", "out_of_stock", "price_changed", "too_many_unpaid", "too_many_held",
}  # fmt: skip


# With tight bounds the stock may run out, or not.
SOMETIMES = {"out_of_stock"}


def _memory() -> MemoryJournal:
    journal = MemoryJournal(time.time)
    for number in (1, 2):
        journal.add_zone(number, driver_pay_minor=350 if number == 1 else None)
    journal.add_store(1, 1)
    journal.add_store(2, 1, lat=1.0, lon=2.0, radius_m=5000)
    journal.add_store(3, 2)
    journal.add_store(4, 1)
    journal.stores[4]["active"] = False
    journal.users |= dict.fromkeys(CUSTOMERS, "Ann")
    for number, (store, price, currency, stock, active) in enumerate(PRODUCTS, 1):
        journal.add_product(number, store, price, stock)
        journal.products[number] |= {"currency": currency, "active": active, "low_stock": LOW.get(number)}
    return journal


@pytest.fixture
async def url(database_url: str) -> str:
    """A database with the same stores and products."""
    await _fill(database_url)
    return database_url


async def _fill(url: str) -> None:
    owner = await asyncpg.connect(url)
    await owner.execute(STORES)
    await owner.executemany(
        "INSERT INTO products (id, store_id, name, price_minor, currency, stock, active, low_stock)"
        " VALUES ($1, $2, $3, $4, $5, $6, $7, $8)",
        [(n, store, f"product {n}", *rest, LOW.get(n)) for n, (store, *rest) in enumerate(PRODUCTS, 1)],
    )
    await owner.close()


@pytest.fixture
async def placer(url: str) -> AsyncIterator[OrderPlacer]:
    async with open_database(url, size_max=2) as database:
        yield OrderPlacer(database)


def _request(chance: random.Random, *, plain: bool = False) -> dict[str, Any]:
    """An order; one that may want anything, or one of a product that there is enough of."""
    ordinary = plain or chance.random() < 0.5
    products = (
        [1, 2]
        if ordinary
        else chance.choices([*range(1, len(PRODUCTS) + 1), UNKNOWN], k=chance.randint(1, 2))
    )
    wanted = sorted(set(products), key=lambda _: chance.random())
    lat, lon = DOOR if plain or chance.random() < 0.6 else FAR_AWAY
    return {
        "customer": chance.choice(CUSTOMERS), "route": "r", "fingerprint": "ab",
        "key": chance.randbytes(16).hex() if plain else f"{chance.randrange(300):04x}",
        "lines": [{"product": product, "quantity": chance.randint(1, 2)} for product in wanted],
        "lat": lat, "lon": lon, "address": "door", "payment": chance.choice(["cash", "card"]),
        "notes": chance.choice([None, "ring twice"]), "trace": "t", "ttl_s": 600, "pay_window_s": 900,
        **({} if plain or chance.random() < 0.9 else {"expected": 500, "expected_currency": "EUR"}),
    } | ({} if chance.random() < 0.9 else {"fingerprint": "cd"})  # fmt: skip


def _told(answers: Sequence[Any]) -> list[Any]:
    """What must be the same on both sides: not the numbers of orders, and no times. What is plain in a batch is
    numbered first.
    """
    return [
        {
            **answer,
            "facts": {
                name: value
                for name, value in answer["facts"].items()
                if name not in ("pickups", "ready_each")
                if name not in ("id", "shard") and not name.endswith("_ms")
            },
        }
        for answer in answers
    ]


async def _stock_told(url: str) -> list[tuple[int, str, Any]]:
    """What the outbox has about stocks: product, trace, data."""
    owner = await asyncpg.connect(url)
    rows = await owner.fetch("SELECT ref, trace, data FROM outbox WHERE topic = 'stock' ORDER BY id")
    await owner.close()
    return [(row["ref"], row["trace"], json.loads(row["data"])) for row in rows]


def _windows(answers: Sequence[Any]) -> list[Any]:
    """Times from creation on, in milliseconds."""
    made = [answer["facts"] for answer in answers if answer["code"] == "created"]
    return [
        [at - f["created_ms"] for at in (f["ready_ms"], f["due_ms"], *(f["ready_each"] or ()))] for f in made
    ]


@pytest.mark.parametrize("seed", range(8))
async def test_batch_is_answered_as_if_its_orders_had_come_one_by_one(
    url: str, placer: OrderPlacer, seed: int
) -> None:
    chance, memory, codes = random.Random(seed), _memory(), set()
    placed: list[Any] = []
    tight = seed % 2 == 1
    bounds = {"unpaid_max": 8, "held_max": 25} if tight else {}
    for size in (64, 4, 1, 40, 5, 64, 3, 64):
        requests = [_request(chance) | bounds for _ in range(size)]
        ours, theirs = await placer.place(requests), await memory.place(requests)
        assert _told(ours) == _told(theirs)
        assert _windows(ours) == _windows(theirs)
        codes |= {answer["code"] for answer in ours}
        placed += [a["facts"]["pickups"] for a in ours if a["code"] == "created" and not a["replayed"]]
    assert codes == CODES - ({"out_of_stock"} if tight else {"too_many_unpaid", "too_many_held"}) | (
        codes & SOMETIMES
    )
    for store in (1, 2, 3):
        numbers = sorted(pickup[4] for pickups in placed for pickup in pickups if pickup[0] == store)
        assert numbers == list(range(1, len(numbers) + 1))
    owner = await asyncpg.connect(url)
    stocks = await owner.fetch("SELECT id, stock FROM products ORDER BY id")
    orders = await owner.fetchval("SELECT count(*) FROM orders")
    events = await owner.fetchval("SELECT count(*) FROM order_events WHERE type = 'created' AND version = 1")
    lines = await owner.fetchval("SELECT count(*) FROM order_items")
    await owner.close()
    assert {row["id"]: row["stock"] for row in stocks} == {n: p["stock"] for n, p in memory.products.items()}
    assert orders == events == len(memory.orders)
    assert lines == sum(len(row["items"]) for row in memory.orders.values())


@pytest.mark.parametrize("seed", range(3))
async def test_stock_that_crosses_its_limit_is_told_of_once_whatever_the_batches_are(
    url: str, placer: OrderPlacer, seed: int
) -> None:
    chance, memory = random.Random(seed), _memory()
    wanted: dict[str, dict[int, int]] = {}
    for size in (9, 1, 40, 2, 30):
        requests = [
            _request(chance, plain=chance.random() < 0.5) | {"trace": f"{size}/{n}", "low_stock": 3}
            for n in range(size)
        ]
        wanted |= {r["trace"]: {line["product"]: line["quantity"] for line in r["lines"]} for r in requests}
        await placer.place(requests)
        await memory.place(requests)
    ours = await _stock_told(url)
    # What is plain in a batch comes first, so another order may be the one that crosses the limit.
    assert sorted((p, d["event"], d["limit"]) for p, _, d in ours) == sorted(
        (p, d["event"], d["limit"]) for p, _, d in memory.stock_told
    )
    assert {(p, d["event"]) for p, _, d in ours} >= {(2, "low"), (2, "out")}
    for product, trace, told in ours:
        after, before = told["stock"], told["stock"] + wanted[trace][product]
        assert before > told["limit"] >= after if told["event"] == "low" else before > 0 == after


async def test_batch_and_turns_tell_the_same_of_stocks(
    template_server: str, url: str, placer: OrderPlacer
) -> None:
    chance = random.Random(4)
    requests = [
        _request(chance, plain=True)
        | {"trace": f"t{n}", "low_stock": 3, "lines": [{"product": p, "quantity": q}]}
        for n, (p, q) in enumerate([(2, 12), (3, 1), (4, 6)] * 5)
    ]
    memory = _memory()
    await placer.place(requests)
    for request in requests:
        await memory.place([request])
    assert await _stock_told(url) == memory.stock_told
    other = await copy_database(template_server)
    await _fill(other)
    async with open_database(other, size_max=2) as database:
        for request in requests:
            await OrderPlacer(database).place([request])
    assert await _stock_told(other) == memory.stock_told
    assert [(product, trace, told["event"]) for product, trace, told in memory.stock_told] == [
        (3, "t4", "low"), (2, "t9", "low"), (2, "t12", "out"), (3, "t13", "out"), (4, "t14", "out"),
    ]  # fmt: skip


async def test_key_that_somebody_else_is_at_holds_up_nobody_but_itself(url: str, placer: OrderPlacer) -> None:
    chance = random.Random(1)
    requests = [_request(chance, plain=True) for _ in range(6)]
    busy = requests[2]
    other = await asyncpg.connect(url)
    async with other.transaction():
        lock = f"{busy['customer']}/{busy['route']}/{busy['key']}"
        await other.execute("SELECT pg_advisory_xact_lock(hashtextextended($1, 0))", lock)
        answers = await placer.place(requests)
    await other.close()
    assert [answer["code"] for answer in answers] == ["created"] * 2 + ["in_flight"] + ["created"] * 3
    again = await placer.place(requests)
    assert [answer["replayed"] for answer in again] == [True, True, False, True, True, True]
    assert [a["facts"] for a in again[3:]] == [a["facts"] for a in answers[3:]]


async def test_orders_of_a_scarce_product_are_served_in_the_order_they_came(placer: OrderPlacer) -> None:
    chance = random.Random(2)
    requests = [
        _request(chance, plain=True) | {"lines": [{"product": 3, "quantity": quantity}]}
        for quantity in (2, 2, 2, 1, 1)
    ] + [_request(chance, plain=True) | {"lines": [{"product": 1, "quantity": 1}]}]
    answers = await placer.place(requests)
    assert [a["code"] for a in answers] == ["created"] * 2 + [
        "out_of_stock",
        "created",
        "out_of_stock",
        "created",
    ]


async def test_plain_orders_of_a_batch_are_placed_at_once_and_few_in_turn(
    url: str, placer: OrderPlacer
) -> None:
    owner = await asyncpg.connect(url)
    await owner.execute(
        "CREATE OR REPLACE FUNCTION create_orders_in_turn(p_items jsonb) RETURNS jsonb LANGUAGE plpgsql"
        " AS $$ BEGIN RAISE EXCEPTION 'in turn'; END $$"
    )
    await owner.close()
    chance = random.Random(3)
    answers = await placer.place([_request(chance, plain=True) for _ in range(20)])
    assert [answer["code"] for answer in answers] == ["created"] * 20
    with pytest.raises(NotWritten):
        await placer.place([_request(chance, plain=True) for _ in range(3)])


@asynccontextmanager
async def _held_by_a_person(url: str, statement: str) -> AsyncIterator[int]:
    """Somebody holds a row until the block ends; gives the holder's pid."""
    person = await asyncpg.connect(url, server_settings={"application_name": "psql"})
    try:
        await person.execute("BEGIN")
        await person.execute(statement)
        yield person.get_server_pid()
    finally:
        await person.close()


@pytest.mark.parametrize(
    ("row", "statement"),
    [
        ("product 3", "UPDATE products SET stock = 50 WHERE id = 3"),
        ("customer 101", "SELECT 1 FROM users WHERE id = 101 FOR UPDATE"),
    ],
)
async def test_orders_that_need_no_locked_row_are_created_while_a_person_holds_one(
    url: str, row: str, statement: str
) -> None:
    said: list[tuple[str, dict[str, Any]]] = []
    memory, chance = _memory(), random.Random(1)
    requests = [_request(chance, plain=True) | {"customer": 100} for _ in range(6)]
    requests[2] |= {"customer": 101, "lines": [{"product": 3, "quantity": 1}]}
    async with open_database(url, size_max=2) as database:
        placer = OrderPlacer(database, lambda event, **values: said.append((event, values)))
        memory.locks[row] = (1, "", "", "")
        async with _held_by_a_person(url, statement) as pid:
            for _ in range(2):  # the second time what is locked is known
                ours, theirs = await placer.place(requests), await memory.place(requests)
                for answers in (ours, theirs):
                    held = answers.pop(2)
                    assert isinstance(held, NotWritten)
                    assert held.locked
                    assert {answer["code"] for answer in answers} == {"created"}
        memory.locks.clear()
        assert (await placer.place(requests[2:3]))[0]["code"] == "created"
        assert (await memory.place(requests[2:3]))[0]["code"] == "created"
    [(event, named)] = said
    assert event == "blocked_creation"
    assert (named["row"], named["holder_pid"], named["holder_application"]) == (row, pid, "psql")


async def test_store_whose_counter_a_person_holds_holds_up_no_other_store(url: str) -> None:
    chance = random.Random(1)
    requests = [_request(chance, plain=True) for _ in range(6)]
    requests[2] |= {"lines": [{"product": 4, "quantity": 1}]}
    async with open_database(url, size_max=2) as database:
        said: list[dict[str, Any]] = []
        placer = OrderPlacer(database, lambda _, **values: said.append(values))
        await placer.place([requests[2] | {"key": "ff"}])
        async with _held_by_a_person(url, "UPDATE store_days SET last = last WHERE store_id = 2") as pid:
            answers = await placer.place(requests)
        assert isinstance(answers.pop(2), NotWritten)
        assert {answer["code"] for answer in answers} == {"created"}
    assert (said[0]["row"], said[0]["holder_pid"]) == ("numbers of store 2", pid)
