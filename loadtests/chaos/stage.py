"""The cluster, the people who use it, and what befalls both; from the first order to the verdict."""

from __future__ import annotations

import asyncio
import gc
import json
import os
import random
import sys
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from time import time
from typing import Any
from urllib.parse import parse_qs, urlsplit

import aiohttp
import asyncpg

from loadtests import crash
from loadtests.chaos.instance import DriverIndex, Instance, open_fleet
from loadtests.chaos.nemesis import Nemesis
from loadtests.chaos.plan import Fault, draw_faults
from loadtests.chaos.probes import Prober, Span
from loadtests.chaos.roaming import RoamingMall
from loadtests.chaos.watch import Watch
from loadtests.history import check
from loadtests.record import Connection, read_record
from loadtests.scene import mint_people, number_of, open_zone
from loadtests.server import ROOT
from loadtests.testimony import Violation
from storage.embedded import EmbeddedPostgres, EmbeddedValkey
from storage.embedded.data_directory import DATABASE, SOCKET_NAME

# Every shard has one owner again so soon after the last fault.
SETTLED_S = 5.0
# Between two collections of this process's garbage.
COLLECT_S = 2.0
# Longer than any budget of the server: a caller whose instance is silent for so long asks another one.
REQUEST_S = 6.0
CONNECT_S = 1.0
# In each zone: a load that leaves two cores time for four instances that start again and again.
DRIVERS, CUSTOMERS = 6, 2
# As many drivers as it takes to be in many shards of every instance.
PROBED_DRIVERS = 32


@dataclass(frozen=True, slots=True)
class Plan:
    """What to do.

    Attributes:
        minutes: how long faults are begun.
        drivers, customers: in each of two zones.
        faults: these, one after the other; else drawn by the seed.
    """

    minutes: float = 20.0
    instances: int = 4
    seed: int = 1
    drivers: int = DRIVERS
    customers: int = CUSTOMERS
    faults: tuple[Fault, ...] = ()


@dataclass(slots=True)
class Outcome:
    """What has happened, for the report.

    Attributes:
        settled_s: after the last fault, until every shard had one owner.
        disputed: shards that had not in time.
        audit: the report of `run.py verify`.
        logged: errors in the logs of the instances.
        stale: writes that the fence has refused, as Postgres said.
    """

    plan: Plan
    findings: crash.Findings
    spans: list[Span] = field(default_factory=list)
    prober: Prober | None = None
    watch: Watch | None = None
    settled_s: float = 0.0
    disputed: Sequence[int] = ()
    audit: dict[str, Any] = field(default_factory=dict)
    logged: dict[str, int] = field(default_factory=dict)
    stale: int = 0
    violations: list[Violation] = field(default_factory=list)


class Stage(crash.Stage):
    """The stage of the crash test with many instances: its people, who roam, and its end."""

    def __init__(
        self,
        plan: Plan,
        fleet: DriverIndex,
        postgres: EmbeddedPostgres,
        valkey: EmbeddedValkey,
        http: aiohttp.ClientSession,
    ) -> None:
        people = crash.Plan(seed=plan.seed, drivers=plan.drivers, customers=plan.customers)
        super().__init__(people, postgres, fleet.instances[0], http)
        self.chaos = plan
        self.mall = RoamingMall(http, fleet.urls, random.Random(f"{plan.seed}/roaming"))
        self.watch = Watch(fleet.instances, http, postgres.database_url)
        self.nemesis = Nemesis(fleet, postgres, valkey, self.crowd.history)
        self.outcome = Outcome(plan, self.findings, self.nemesis.spans, watch=self.watch)
        self._fleet = fleet

    async def populate(self) -> None:
        """Everybody of the crash test, whose phones roam too, and drivers to be probed."""
        await super().populate()
        for courier in self.findings.couriers:
            assert isinstance(courier.mall, RoamingMall)
            courier.phone.mall = courier.mall.restless()
        [admin] = await mint_people(self.server, "admin", 1, "chaos-admin")
        zone = await open_zone(self.mall.as_(admin.token), "probed", "waves")
        drivers = await mint_people(self.server, "driver", PROBED_DRIVERS, "probed", zone=zone)
        self.outcome.prober = Prober(
            self._fleet.instances, self.mall.http, [driver.token for driver in drivers]
        )

    async def play(self, say: Callable[[str], None]) -> None:
        """Load and faults; then rest, and everybody goes home."""
        assert self.outcome.prober is not None
        plan, began_s = self.chaos, time()
        faults = plan.faults or draw_faults(plan.seed, plan.instances)
        async with asyncio.TaskGroup() as tasks:
            for person in self.people:
                tasks.create_task(person.run(), name=person.who)
            background = [
                tasks.create_task(self.outcome.prober.run(), name="probes"),
                tasks.create_task(_keep_collections_short(), name="collections"),
                tasks.create_task(self.nemesis.mind(), name="minding"),
            ]
            watching = tasks.create_task(self.watch.run(), name="watch")
            await self.nemesis.run(faults, 60 * plan.minutes, say)
            watching.cancel()
            self.outcome.settled_s, self.outcome.disputed = await self.watch.settled(SETTLED_S)
            self.findings.loaded_s = time() - began_s
            await self._go_home(background)

    async def _go_home(self, background: Sequence[asyncio.Task[None]]) -> None:
        """Everything begun is finished, every phone reconnects and reads its feed to the end."""
        self.crowd.closing, self.crowd.late_s = True, time() + crash.REST_S
        connection: Connection = await asyncpg.connect(self.postgres.database_url)
        try:
            await self._settle(connection)
        finally:
            # Whoever still waits for an answer over a line that ends now would insist until it is late.
            self.crowd.over, self.crowd.late_s = True, time()
            await connection.close()
            for task in background:
                task.cancel()

    async def believed(self) -> dict[int, frozenset[int]]:
        """By driver, the orders that some instance says it carries."""
        found = {}
        for courier in self.findings.couriers:
            _, me = await courier.mall.insist("GET", "/api/v2/drivers/me")
            found[courier.number] = frozenset(number_of(order) for order in me["orders"])
        return found

    async def judge(self) -> None:
        """Read the record, compare, and audit the database."""
        connection: Connection = await asyncpg.connect(self.postgres.database_url)
        try:
            believed = await self.believed()
            record = await read_record(connection, stock=self.stock, believed=believed)
        finally:
            await connection.close()
        self.findings.record = record
        self.outcome.violations += [
            *self.findings.violations, *check(self.crowd.history, record),
            *self.nemesis.violations, *self.watch.violations,
        ]  # fmt: skip
        self.outcome.audit = await self._verify()
        for instance in self._fleet.instances:
            self.outcome.stale += instance.stale
            for event, count in crash.logged_errors(instance.log_path).items():
                self.outcome.logged[event] = self.outcome.logged.get(event, 0) + count

    async def _verify(self) -> dict[str, Any]:
        """`run.py verify --json`; a violation for each invariant that does not hold."""
        process = await asyncio.create_subprocess_exec(
            sys.executable, str(ROOT / "run.py"), "verify", "--json", cwd=ROOT, stdout=asyncio.subprocess.PIPE,
            env={**os.environ, "DATABASE_URL": self.postgres.database_url, "MALL_ADMIN_PASSWORD": "a password"},
        )  # fmt: skip
        out, _ = await process.communicate()
        audit: dict[str, Any] = json.loads(out) if out.strip() else {"holds": False, "invariants": []}
        if process.returncode != 0:
            broken = [x for x in audit["invariants"] if not x["holds"]] or [{"name": "no report", "rows": []}]
            for x in broken:
                self.outcome.violations.append(Violation(f"verify_{x['name']}", str(x["rows"])))
        return audit


async def _keep_collections_short() -> None:
    """For ever: the history grows to millions of objects, and a full collection would walk all of them, for a
    second or more in which the probes of this process are late.
    """
    while True:
        await asyncio.sleep(COLLECT_S)
        gc.collect(1)
        gc.freeze()


async def start_all(instances: Sequence[Instance]) -> None:
    """The first one makes the schema, the others come together.

    Raises:
        RuntimeError: one is not ready in time.
    """
    await instances[0].start()
    async with asyncio.TaskGroup() as tasks:
        for instance in instances[1:]:
            tasks.create_task(instance.start(), name=f"start of {instance.name}")


@asynccontextmanager
async def open_stage(plan: Plan, folder: Path) -> AsyncIterator[Stage]:
    """Postgres, Redis, proxies, instances and people; all of it ends with the block."""
    postgres, valkey = EmbeddedPostgres(folder / "pg"), EmbeddedValkey(folder / "valkey", durable=False)
    async with AsyncExitStack() as stack:
        stack.callback(valkey.stop)
        valkey.start()
        stack.callback(postgres.stop)
        postgres.start()
        sockets = _socket_of(postgres.database_url), Path(valkey.redis_url.removeprefix("unix://"))
        fleet = await stack.enter_async_context(open_fleet(plan.instances, folder, *sockets, DATABASE))
        timeout = aiohttp.ClientTimeout(total=REQUEST_S, sock_connect=CONNECT_S)
        connector = aiohttp.TCPConnector(limit=0)
        http = await stack.enter_async_context(aiohttp.ClientSession(connector=connector, timeout=timeout))
        await start_all(fleet.instances)
        stage = Stage(plan, fleet, postgres, valkey, http)
        await stage.populate()
        yield stage


def _socket_of(database_url: str) -> Path:
    return Path(parse_qs(urlsplit(database_url).query)["host"][0]) / SOCKET_NAME


async def chaos(plan: Plan, folder: Path, say: Callable[[str], None] = lambda _: None) -> Outcome:
    """The whole test in a folder of its own, from the main thread. `say` is told of each fault."""
    async with open_stage(plan, folder) as stage:
        await stage.play(say)
        await stage.judge()
        return stage.outcome
