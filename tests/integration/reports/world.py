"""What reports are tried on: zones in several time zones, orders as rows, and the tasks of a worker."""

from __future__ import annotations

import itertools
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from dispatch.jobs.cleanup import Nothing
from dispatch.jobs.relay import Relay
from dispatch.jobs.stored import StoredJobs
from dispatch.jobs.tasks import Job
from dispatch.reports.tasks import Reports
from storage.postgres.database import Database
from tests.support.clocks import Hands

# In Beirut the clock is put forward at midnight, so a day begins at one; in Havana it is put back at one, to midnight.
TIME_ZONES = {1: "Europe/Berlin", 2: "America/New_York", 3: "Asia/Beirut", 4: "America/Havana"}
# Two stores of each zone.
STORES = {zone: (10 * zone + 1, 10 * zone + 2) for zone in TIME_ZONES}
DRIVERS = (201, 202, 203)
CUSTOMER = 100
TRACE = "a" * 32
JOB = Job(1, "", None, {}, TRACE, 1, 0, 0, 0)
SEED = "\n".join(
    [
        f"INSERT INTO zones (id, name, time_zone) VALUES ({zone}, 'Z', '{name}');"
        + "".join(
            f"INSERT INTO stores (id, zone_id, name, lat, lon) VALUES ({store}, {zone}, 'S', 1, 2);"
            for store in STORES[zone]
        )
        for zone, name in TIME_ZONES.items()
    ]
    + [f"INSERT INTO users (id, email, role, name) VALUES ({CUSTOMER}, 'a@x.example', 'customer', 'Ann');"]
)
ENDS = {"delivered": "delivered", "cancelled": "cancelled", "undeliverable": "failed"}
_ORDER = """
INSERT INTO orders (id, shard, zone_id, store_id, customer_id, driver_id, status, mode, ready_at, created_at,
                    updated_at, dropoff_lat, dropoff_lon, address, payment, total_minor, currency, pickups,
                    driver_pay_minor, version)
VALUES ($1, 0, $2, $3, $4, $5, $6, 'waves', $7, $7, $7, 1, 2, 'door', $8, $9, $10, $11, $12, $13)"""
_EVENT = """INSERT INTO order_events (order_id, version, type, actor_role, actor_id, trace, at)
            VALUES ($1, $2, $3, $4, 'x_1', $5, $6)"""
_PAYMENT = """
INSERT INTO payments (order_id, method, status, amount_minor, currency, principal_id, key_hash, trace, refunded_minor)
VALUES ($1, 'card', 'captured', $2, $3, $4, '\\x00', $5, $6)"""


@dataclass(frozen=True)
class Placed:
    """An order and its end.

    Attributes:
        baskets: store, and its lines (quantity, price).
        role: who has ended it.
    """

    zone: int
    baskets: tuple[tuple[int, tuple[tuple[int, int], ...]], ...]
    created: datetime
    status: str = "delivered"
    ended: datetime | None = None
    role: str = "driver"
    currency: str = "EUR"
    payment: str = "cash"
    driver: int | None = None
    pay_minor: int | None = None
    refunded_minor: int = 0

    @property
    def total_minor(self) -> int:
        """What it costs."""
        return sum(quantity * price for _, lines in self.baskets for quantity, price in lines)


class ReportWorld:
    """A database with orders, its relay and the tasks of reports, whose clock the test sets."""

    def __init__(self, database: Database, owner: Any) -> None:
        self.database = database
        self.owner = owner
        self.hands = Hands()
        self._numbers = itertools.count(1)

    def reports(self, digest_task: str | None = None) -> Reports:
        """The tasks."""
        return Reports(self.database, self.hands, digest_task)

    async def place(self, order: Placed) -> int:
        """Write an order with its history, as the functions of the product leave it; returns its number."""
        number = next(self._numbers)
        lines = [line for _, part in order.baskets for line in part]
        counted = itertools.count()
        pickups = [[store, "S", 1.0, 2.0, 1, [next(counted) for _ in part]] for store, part in order.baskets]
        steps = [("created", "customer", order.created)]
        if order.ended is not None:
            steps.append((ENDS[order.status], order.role, order.ended))
        await self.owner.execute(
            _ORDER, number, order.zone, order.baskets[0][0], CUSTOMER, order.driver, order.status,
            order.created, order.payment, order.total_minor, order.currency, json.dumps(pickups),
            order.pay_minor, len(steps),
        )  # fmt: skip
        await self.owner.executemany(
            "INSERT INTO order_items (order_id, line, product_id, name, quantity, price_minor)"
            " VALUES ($1, $2, 1, 'Tea', $3, $4)",
            [(number, at, *line) for at, line in enumerate(lines, 1)],
        )
        for version, (kind, role, at) in enumerate(steps, 1):
            await self.owner.execute(_EVENT, number, version, kind, role, TRACE, at)
            await self.tell(number, version)
        if order.payment == "card" and order.status == "delivered":
            await self.owner.execute(
                _PAYMENT, number, order.total_minor, order.currency, CUSTOMER, TRACE, order.refunded_minor
            )
        return number

    async def tell(self, number: int, version: int) -> None:
        """Put a change of an order into the outbox."""
        await self.owner.execute(
            "INSERT INTO outbox (topic, ref, version) VALUES ('order', $1, $2)", number, version
        )

    async def relay(self) -> None:
        """Relay the whole outbox."""
        relay = Relay(StoredJobs(self.database))
        while await relay.relay_batch():
            pass

    async def compute(self) -> None:
        """Relay, and compute what has changed."""
        await self.relay()
        await self.reports().daily_figures(Nothing(), JOB)

    async def figures(self) -> dict[tuple[int, int, str], Mapping[str, Any]]:
        """All figures: zone, store (0: all), day."""
        rows = await self.database.page("daily_figures", {}, "day", None, 10_000)
        return {(row["zone_id"], row["store_id"], row["day"].isoformat()): row for row in rows}

    async def cash(self) -> dict[tuple[int, int, str, str], tuple[int, int, int]]:
        """Deliveries, pay and cash: zone, driver, day, currency."""
        rows = await self.database.page("daily_cash", {}, "day", None, 10_000)
        return {
            (row["zone_id"], row["driver_id"], row["day"].isoformat(), row["currency"]): (
                row["deliveries"], row["pay_minor"], row["cash_minor"],
            )
            for row in rows
        }  # fmt: skip

    async def jobs(self) -> list[tuple[str, str, Mapping[str, Any]]]:
        """Task, key and payload of each job."""
        rows = await self.owner.fetch("SELECT task, key, payload FROM jobs ORDER BY id")
        return [(row["task"], row["key"], json.loads(row["payload"])) for row in rows]
