"""What the contracts of both journals are tried on."""

from __future__ import annotations

import time
from typing import Any

import asyncpg

from actors.behaviour import Outcome
from actors.messages import ActorId
from actors.shards import shard_of
from storage.memory.journal import MemoryJournal

ZONE, STORE, CUSTOMER = 1, 1, 100
# It delivers within five kilometres; the other one anywhere.
NEARBY = 2
DRIVERS = (1, 2, 3)


class JournalWorld:
    """A journal with a zone, a store, two products, three online drivers and a customer."""

    def __init__(self, journal: Any, placer: Any, url: str = "") -> None:
        self.journal = journal
        self.placer = placer
        self.url = url
        self.epochs: dict[int, int] = {}

    async def claim(self) -> None:
        self.epochs = {c.shard: c.epoch for c in await self.journal.claim(range(256), "one", "one.1")}

    async def order(self, key: str = "k" * 16, lines: Any = ((1, 1),), **other: Any) -> dict[str, Any]:
        answers: list[dict[str, Any]] = await self.placer.place([placing(key, lines, **other)])
        return answers[0]

    def item(self, row: Any, status: str, **other: Any) -> dict[str, Any]:
        shard = shard_of(ActorId("order", row["id"]))
        item = {
            "kind": "order", "id": row["id"], "version": row["version"], "status": status, "at_ms": 1_790_000_000_000,
            "recent": [], "driver": other.get("take", row["driver_id"]), "round": 1, "mode": row["mode"],
            "search": {"wave": 0, "count": 0, "offers": [], "tried": []}, "due_ms": None,
            "ready_ms": row["ready_ms"], "event": "changed", "role": "driver", "actor": "drv_1", "reason": None,
            "trace": "t", "data": None, "feed": None, "take": None, "zone": None, "free": False, "restock": False,
            "shard": shard, "epoch": self.epochs[shard], "writer": "w1",
        }  # fmt: skip
        return item | other

    async def flush(self, *items: dict[str, Any]) -> list[Outcome]:
        done: list[Outcome] = await self.journal.flush(0, list(items))
        return done

    async def row(self, number: int) -> Any:
        return (await self.journal.load("order", [number]))[number]

    async def change(self, table: str, number: int, name: str, value: Any) -> None:
        """As an admin changes the catalogue."""
        if not self.url:
            getattr(self.journal, table)[number][name] = value
            return
        owner = await asyncpg.connect(self.url)
        await owner.execute(f"UPDATE {table} SET {name} = $2 WHERE id = $1", number, value)
        await owner.close()

    async def stock(self, number: int) -> Any:
        if not self.url:
            return self.journal.products[number]["stock"]
        owner = await asyncpg.connect(self.url)
        stock = await owner.fetchval("SELECT stock FROM products WHERE id = $1", number)
        await owner.close()
        return stock

    async def driver(self, number: int) -> Any:
        return (await self.journal.load("driver", [number]))[number]


def placing(key: str, lines: Any, **other: Any) -> dict[str, Any]:
    return {
        "customer": CUSTOMER, "route": "r", "key": key.encode().hex(), "fingerprint": "ab",
        "lines": [{"product": p, "quantity": q} for p, q in lines], "lat": 1.0, "lon": 2.0, "address": "door",
        "payment": "cash", "notes": None, "trace": "t", "ttl_s": 600, "pay_window_s": 900,
    } | other  # fmt: skip


def memory_world() -> JournalWorld:
    journal = MemoryJournal(time.time)
    journal.add_zone(ZONE, driver_pay_minor=350)
    journal.add_store(STORE, ZONE)
    journal.add_product(1, STORE)
    journal.add_product(2, STORE, stock=3)
    journal.add_store(NEARBY, ZONE, lat=1.0, lon=2.0, radius_m=5000)
    journal.add_product(3, NEARBY, stock=3)
    for number in DRIVERS:
        journal.add_driver(number, ZONE, capacity=2 if number == 2 else 1, status="online")
    journal.users[CUSTOMER] = f"driver {CUSTOMER}"
    return JournalWorld(journal, journal)


SEED = """
INSERT INTO zones (id, name, driver_pay_minor) VALUES (1, 'zone 1', 350), (2, 'zone 2', NULL);
INSERT INTO stores (id, zone_id, name, lat, lon) VALUES (1, 1, 'store 1', 0, 0);
INSERT INTO products (id, store_id, name, price_minor, currency, stock)
VALUES (1, 1, 'product 1', 500, 'EUR', NULL), (2, 1, 'product 2', 500, 'EUR', 3);
INSERT INTO stores (id, zone_id, name, lat, lon, delivery_radius_m) VALUES (2, 1, 'store 2', 1, 2, 5000);
INSERT INTO products (id, store_id, name, price_minor, currency, stock)
VALUES (3, 2, 'product 3', 500, 'EUR', 3);
INSERT INTO users (id, email, role, name)
SELECT n, n || '@x.example', CASE WHEN n < 100 THEN 'driver' ELSE 'customer' END, 'driver ' || n
  FROM unnest(ARRAY[1, 2, 3, 100]) n;
"""


async def seed(url: str) -> None:
    owner = await asyncpg.connect(url)
    await owner.execute(SEED)
    for number in DRIVERS:
        await owner.execute(
            "INSERT INTO drivers (id, shard, zone_id, status, capacity) VALUES ($1, $2, 1, 'online', $3)",
            number, shard_of(ActorId("driver", number)), 2 if number == 2 else 1,
        )  # fmt: skip
    await owner.close()
