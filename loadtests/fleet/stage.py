"""What every scenario needs besides instances: people with tokens, and an order in every shard."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from random import Random

import asyncpg
import orjson

from actors.clock import LoopClock, SystemRandomness
from actors.shards import SHARD_COUNT, shard_of
from api.operator.mint import mint
from dispatch.order_actor import order_ref
from loadtests.bench.load import RestLoop
from loadtests.bench.stage import ids_in
from loadtests.client import Mall
from loadtests.fleet.instances import DriverIndex
from loadtests.fleet.options import Options
from loadtests.scene import Person, Zone, number_of, open_zone, order_body
from loadtests.verdict import Limit, Report
from loadtests.wire import open_wire, request_bytes
from storage.postgres.database import Database, open_database

TOKEN_HOURS = 6.0
# Placed at once while shards without an order remain; some 1,600 orders hit each of 256 shards.
BATCH = 512
WIRES = 16


@dataclass(slots=True)
class Stage:
    """A fleet and its mall.

    Attributes:
        sql: a connection as the database's owner.
        orders: the public id of one open order by shard; nobody ever delivers them.
    """

    options: Options
    fleet: DriverIndex
    report: Report
    database: Database
    sql: asyncpg.Connection[asyncpg.Record]
    admin: Mall
    customer: Person
    chance: Random
    zone: Zone | None = None
    orders: dict[int, str] = field(default_factory=dict)
    _numbers: itertools.count[int] = field(default_factory=lambda: itertools.count(1))

    def key(self) -> str:
        """A new idempotency key."""
        return f"fleet-{self.chance.getrandbits(64):016x}-{next(self._numbers)}"

    def limit(self, limit: Limit, *, timing: bool = True) -> None:
        """Hold the report to a limit; those on time are left out with --no-limits."""
        if self.options.limits or not timing:
            self.report.limits.append(limit)

    async def mint(self, role: str, count: int, zone: Zone | None = None, capacity: int = 1) -> list[Person]:
        """New users with tokens."""
        clock, prefix = LoopClock(asyncio.get_running_loop()), f"fleet-{role}-{next(self._numbers)}"
        users = await mint(
            self.database, clock, SystemRandomness(), role=role, count=count, prefix=prefix,
            zone=zone.number if zone else None, capacity=capacity, hours=TOKEN_HOURS,
        )  # fmt: skip
        return [Person(number_of(user["id"]), user["access_token"]) for user in users]

    async def open_zone(self, mode: str) -> Zone:
        """A new zone with a store."""
        return await open_zone(self.admin, f"fleet-{next(self._numbers)}", mode)

    async def place(self, zone: Zone, count: int, urls: Sequence[str] = ()) -> list[str]:
        """New orders; their public ids."""
        wires = [
            await open_wire(url) for url, _ in zip(itertools.cycle(urls or self.fleet.urls), range(WIRES))
        ]
        body = orjson.dumps(order_body(zone.products))
        loop = RestLoop(wires, [self.creation(body) for _ in range(count)], keep=True)
        answers = await loop.run()
        for wire in wires:
            wire.close()
        return ids_in(answers)

    async def cover(self) -> None:
        """Place orders until every shard has one."""
        self.zone = zone = await self.open_zone("open")
        while len(self.orders) < SHARD_COUNT:
            for order in await self.place(zone, BATCH):
                self.orders.setdefault(shard_of(order_ref(number_of(order))), order)

    # -- requests -----------------------------------------------------------------------------

    def creation(self, body: bytes) -> bytes:
        """A keyed request for an order."""
        return request_bytes("POST", "/api/v2/orders", token=self.customer.token, body=body, key=self.key())

    def reading(self, order: str) -> bytes:
        """A read that the order's owner answers."""
        return request_bytes("GET", f"/api/v2/orders/{order}", token=self.customer.token)

    def ready_time(self, order: str) -> bytes:
        """A keyed command that ends in a commit: the store's side says when the goods will be ready."""
        at = datetime.now(UTC) + timedelta(seconds=60 + next(self._numbers) % 3600)
        body = orjson.dumps({"ready_at": at.isoformat()})
        path = f"/api/v2/orders/{order}/ready-time"
        return request_bytes("PUT", path, token=self.admin.token, body=body, key=self.key())

    def availability(self, driver: Person, status: str) -> bytes:
        """A keyed command on a driver."""
        path, body = "/api/v2/drivers/me/availability", orjson.dumps({"status": status})
        return request_bytes("PUT", path, token=driver.token, body=body, key=self.key())

    def acceptance(self, order: str, driver: Person) -> bytes:
        """A keyed acceptance in an open zone."""
        path = f"/api/v2/orders/{order}/acceptance"
        return request_bytes("POST", path, token=driver.token, body=b"{}", key=self.key())

    async def go_online(self, drivers: Iterable[Person]) -> None:
        """Drivers whom no instance has loaded yet: their rows are written past their actors."""
        numbers = [driver.number for driver in drivers]
        await self.sql.execute("UPDATE drivers SET status = 'online' WHERE id = ANY($1)", numbers)


@asynccontextmanager
async def open_stage(options: Options, fleet: DriverIndex, report: Report) -> AsyncIterator[Stage]:
    """People and an administrator, once the first instance runs."""
    async with open_database(fleet.postgres.database_url, size_max=2) as database:
        sql = await asyncpg.connect(fleet.postgres.database_url)
        try:
            nobody, admin = Person(0, ""), Mall(fleet.http, fleet.urls[0])
            stage = Stage(options, fleet, report, database, sql, admin, nobody, Random(options.seed))
            stage.admin = admin.as_((await stage.mint("admin", 1))[0].token)
            [stage.customer] = await stage.mint("customer", 1)
            yield stage
        finally:
            await sql.close()
