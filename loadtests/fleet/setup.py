"""What every scenario needs besides instances: users with tokens, and an order in every shard."""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import orjson

from actors.shards import SHARD_COUNT, shard_of
from dispatch.order_actor import order_ref
from loadtests.fleet.instances import LocalCluster
from loadtests.kit.client import Mall
from loadtests.kit.database_setup import DatabaseSetup
from loadtests.kit.fixtures import MintedUser, Zone, number_of
from loadtests.kit.report import LoadReport
from loadtests.kit.stores import Connection, connect
from loadtests.kit.tool import add_options, make_parser, option
from loadtests.kit.wire import request_bytes
from storage.postgres.database import Database, open_database

# Placed at once while shards without an order remain; some 1,600 orders hit each of 256 shards.
BATCH = 512


@dataclass(frozen=True, slots=True)
class FleetOptions:
    """The size of a run; 0 where the scenario has a default of its own.

    Attributes:
        instances: of takeover, forward, redis and race; the others say themselves how many.
        per_s: reads and commands of the steady load.
        limits: False leaves out the limits on time, for tests on busy machines.
    """

    scenario: str
    instances: int = option(0, "how many; default: the scenario's")
    kills: int = option(50, "takeover: how often kill -9")
    rounds: int = option(0, "rolling, scale, forward, throughput: repetitions")
    seconds: float = option(0.0, "redis: of an outage; throughput: a measure")
    per_s: float = option(120.0, "steady load: calls per second")
    drivers: int = option(0, "rolling: sockets; race: rivals")
    orders: int = option(0, "race: orders")
    width: int = option(256, "throughput: requests in flight")
    drain_s: float = option(8.0, "MALL_DRAIN_S of the instances")
    seed: int = option(1)
    limits: bool = option(True, "no limits on time, for tests")
    json: Path | None = None


def read_options(scenarios: Collection[str], arguments: Sequence[str] | None) -> FleetOptions:
    """What was asked for; ends the process when that makes no sense."""
    parser = make_parser("loadtests.fleet", "Several instances as one.")
    parser.add_argument("scenario", choices=scenarios)
    add_options(parser, FleetOptions)
    return FleetOptions(**vars(parser.parse_args(arguments)))


class FleetSetup(DatabaseSetup):
    """A cluster and its mall.

    Attributes:
        sql: a connection as the database's owner.
        orders: the public id of one open order by shard; they are never delivered.
    """

    def __init__(
        self,
        options: FleetOptions,
        cluster: LocalCluster,
        report: LoadReport,
        database: Database,
        sql: Connection,
    ) -> None:
        url = cluster.stores.postgres.database_url
        super().__init__(Mall(cluster.http, cluster.urls[0]), database, url, "fleet", options.seed)
        self.options = options
        self.cluster = cluster
        self.report = report
        self.sql = sql
        self.customer = MintedUser(0, "")
        self.zone: Zone | None = None
        self.orders: dict[int, str] = {}

    async def place(self, zone: Zone, count: int) -> list[str]:
        """New orders; their public ids."""
        return await self.place_orders(zone.products, count, self.cluster.urls, [self.customer.token])

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

    def availability(self, driver: MintedUser, status: str) -> bytes:
        """A keyed command on a driver."""
        path, body = "/api/v2/drivers/me/availability", orjson.dumps({"status": status})
        return request_bytes("PUT", path, token=driver.token, body=body, key=self.key())


@asynccontextmanager
async def open_setup(
    options: FleetOptions, cluster: LocalCluster, report: LoadReport
) -> AsyncIterator[FleetSetup]:
    """An administrator and a customer, once the first instance runs."""
    url = cluster.stores.postgres.database_url
    async with open_database(url, size_max=2) as database, connect(url) as sql:
        setup = FleetSetup(options, cluster, report, database, sql)
        await setup.enroll_admin()
        [setup.customer] = await setup.mint("customer", 1)
        yield setup
