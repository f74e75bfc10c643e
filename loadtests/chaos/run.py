"""One run: the cluster, its virtual users and the faults, from the first order to the verdict."""

from __future__ import annotations

import asyncio
import gc
import json
import os
import random
import sys
from collections import Counter
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from time import time
from typing import Any
from urllib.parse import parse_qs, urlsplit

import aiohttp

from loadtests.chaos.instance import ProxiedCluster, ProxiedInstance, open_cluster
from loadtests.chaos.nemesis import Nemesis
from loadtests.chaos.plan import PlannedFault, draw_faults
from loadtests.chaos.probes import AvailabilityProber, FaultSpan
from loadtests.chaos.roaming import RoamingMall
from loadtests.chaos.watch import OwnershipWatch
from loadtests.faults import crash
from loadtests.faults.history import Violation
from loadtests.kit.server import ROOT
from loadtests.kit.stores import Stores, open_stores
from loadtests.kit.tool import option
from storage.embedded.data_directory import DATABASE, SOCKET_NAME

# Every shard has one owner again so soon after the last fault.
SETTLED_S = 5.0
# Between two collections of this process's garbage.
COLLECT_S = 2.0
# Longer than any budget of the server: a caller whose instance is silent for that time asks another one.
REQUEST_S = 6.0
CONNECT_S = 1.0
# In each zone: a load that leaves two cores time for four instances that start again and again.
DRIVERS, CUSTOMERS = 6, 2
# As many drivers as it takes to be in many shards of every instance.
PROBED_DRIVERS = 32


@dataclass(frozen=True, slots=True)
class ChaosPlan:
    """What to do.

    Attributes:
        minutes: how long faults are begun.
        drivers, customers: in each of two zones.
        faults: these, one after the other; else drawn by the seed.
    """

    minutes: float = option(20.0, "how long faults are begun")
    instances: int = option(4)
    seed: int = option(1, "of the faults and of what users do")
    drivers: int = option(DRIVERS, "in each of two zones")
    customers: int = option(CUSTOMERS, "in each of two zones")
    faults: tuple[PlannedFault, ...] = ()


@dataclass(slots=True)
class ChaosOutcome:
    """What has happened, for the report.

    Attributes:
        settled_s: after the last fault, until every shard had one owner.
        disputed: shards that had not in time.
        audit: the report of `run.py verify`.
        logged: errors in the logs of the instances.
        stale: writes that the fence has refused, as Postgres said.
    """

    plan: ChaosPlan
    findings: crash.CrashFindings
    spans: list[FaultSpan] = field(default_factory=list)
    prober: AvailabilityProber | None = None
    watch: OwnershipWatch | None = None
    settled_s: float = 0.0
    disputed: Sequence[int] = ()
    audit: dict[str, Any] = field(default_factory=dict)
    logged: Counter[str] = field(default_factory=Counter)
    stale: int = 0
    violations: list[Violation] = field(default_factory=list)


class ChaosRun(crash.CrashRun):
    """The crash test with many instances: its users go from one to another, and its end is the cluster's."""

    def __init__(
        self, plan: ChaosPlan, cluster: ProxiedCluster, stores: Stores, http: aiohttp.ClientSession
    ) -> None:
        users = crash.CrashPlan(seed=plan.seed, drivers=plan.drivers, customers=plan.customers)
        super().__init__(users, stores, cluster.instances[0], http)
        self.chaos = plan
        self.mall = RoamingMall(http, cluster.urls, random.Random(f"{plan.seed}/roaming"))
        self.watch = OwnershipWatch(cluster.instances, http, stores.postgres.database_url)
        self.nemesis = Nemesis(cluster, stores, self.workload.history)
        self.outcome = ChaosOutcome(plan, self.findings, self.nemesis.spans, watch=self.watch)
        self._cluster = cluster

    async def populate(self) -> None:
        """Everybody of the crash test, whose phones roam too, and drivers to be probed."""
        await super().populate()
        for driver in self.findings.drivers:
            assert isinstance(driver.mall, RoamingMall)
            driver.phone.mall = driver.mall.restless()
        probed = await self.mint("driver", PROBED_DRIVERS, await self.open_zone("waves"))
        self.outcome.prober = AvailabilityProber(
            self._cluster.instances, self.mall.http, [driver.token for driver in probed]
        )

    async def run_faults(self, say: Callable[[str], None]) -> None:
        """Load and faults; then rest, and all users end."""
        assert self.outcome.prober is not None
        plan, began_s = self.chaos, time()
        faults = plan.faults or draw_faults(plan.seed, plan.instances)
        async with asyncio.TaskGroup() as tasks:
            for user in self.users:
                tasks.create_task(user.run(), name=user.who)
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
            try:
                await self.finish()
            finally:
                for task in background:
                    task.cancel()

    async def judge(self) -> None:
        """Compare, and audit the database."""
        self.outcome.violations += [
            *self.findings.violations, *await self.compare(), *self.nemesis.violations, *self.watch.violations,
        ]  # fmt: skip
        self.outcome.audit = await self._verify()
        for instance in self._cluster.instances:
            self.outcome.stale += instance.stale
            self.outcome.logged += crash.logged_errors(instance.log_path)

    async def _verify(self) -> dict[str, Any]:
        """`run.py verify --json`; a violation for each invariant that does not hold."""
        process = await asyncio.create_subprocess_exec(
            sys.executable, str(ROOT / "run.py"), "verify", "--json", cwd=ROOT, stdout=asyncio.subprocess.PIPE,
            env={**os.environ, "DATABASE_URL": self.stores.postgres.database_url, "MALL_ADMIN_PASSWORD": "a password"},
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


async def start_all(instances: Sequence[ProxiedInstance]) -> None:
    """The first one makes the schema, the others come together.

    Raises:
        RuntimeError: one is not ready in time.
    """
    await instances[0].start()
    async with asyncio.TaskGroup() as tasks:
        for instance in instances[1:]:
            tasks.create_task(instance.start(), name=f"start of {instance.name}")


@asynccontextmanager
async def open_run(plan: ChaosPlan, folder: Path) -> AsyncIterator[ChaosRun]:
    """Postgres, Redis, proxies, instances and users; all of it ends with the block."""
    timeout = aiohttp.ClientTimeout(total=REQUEST_S, sock_connect=CONNECT_S)
    with open_stores(folder) as stores:
        sockets = (
            _socket_of(stores.postgres.database_url),
            Path(stores.valkey.redis_url.removeprefix("unix://")),
        )
        async with (
            open_cluster(plan.instances, folder, *sockets, DATABASE) as cluster,
            aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0), timeout=timeout) as http,
        ):
            await start_all(cluster.instances)
            run = ChaosRun(plan, cluster, stores, http)
            await run.populate()
            yield run


def _socket_of(database_url: str) -> Path:
    return Path(parse_qs(urlsplit(database_url).query)["host"][0]) / SOCKET_NAME


async def chaos(plan: ChaosPlan, folder: Path, say: Callable[[str], None] = lambda _: None) -> ChaosOutcome:
    """The whole test in a folder of its own, from the main thread. `say` is told of each fault."""
    async with open_run(plan, folder) as run:
        await run.run_faults(say)
        await run.judge()
        return run.outcome
