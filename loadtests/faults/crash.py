"""Kills the server, restarts Postgres, and checks what was promised.

    python -m loadtests.faults.crash [--kills 20] [--restarts 5] [--seed 1] [--seconds-between 3]

Postgres and Valkey belong to this tool and live in a folder of their own, so that they survive the
server. Under load from customers, drivers and an administrator, phase A kills the server with SIGKILL at
random moments and starts it again; phase B stops Postgres at once, waits a while, and starts it again,
while the server must live on. In the end everything begun is finished, every phone reconnects, and a
checker compares what users were told with what the database holds.
"""

from __future__ import annotations

import asyncio
import json
import sys
import tempfile
from collections import Counter
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from time import time
from typing import Any

import aiohttp

from loadtests.faults.checker import check
from loadtests.faults.feed_workload import DriverUser
from loadtests.faults.history import NOT_PROCESSED, UNKNOWN, History, Intent, RecordedState, Violation
from loadtests.faults.recorded import read_record
from loadtests.faults.workload import AdminUser, CustomerUser, VirtualUser, Workload
from loadtests.kit.client import Mall, open_http
from loadtests.kit.fixtures import Zone, number_of, open_zone
from loadtests.kit.server import ServerProcess, open_server
from loadtests.kit.setup import Setup, mint_on
from loadtests.kit.stores import Connection, Stores, connect, open_stores
from loadtests.kit.tool import add_options, make_parser, option, run_tool
from loadtests.kit.waiting import until

# For how many seconds Postgres stays away, one restart after the other.
AWAY_S = (1.0, 0.0, 4.0, 0.0, 2.0)
# Goal: the first write is answered within this time after Postgres, or the server, is ready again.
RECOVERY_S = 2.0
# How long things may take to come to rest after the last fault. Feeds that lost a hint are swept every 10 s.
REST_S, FEED_REST_S = 40.0, 20.0
STOCK = 1_000_000
CAPACITIES = (2, 4)
_WAVES = {"wave_size": 3, "offer_ttl_s": 2}
# Modes of the zones, with their other settings. Where trips are planned they are due at once.
MODES: dict[str, dict[str, Any]] = {
    "open": {},
    "waves": _WAVES,
    "planned": {**_WAVES, "preparation_s": 0, "planning": {"speed_m_per_s": 100, "rest_s": 1}},
}
VIOLATIONS_SHOWN = 30
_UNFINISHED = (
    "SELECT id, status, driver_id FROM orders WHERE status IN ('confirmed', 'assigned', 'picked_up')"
)


@dataclass(frozen=True, slots=True)
class CrashPlan:
    """What to do. `drivers` and `customers`: of each zone."""

    kills: int = option(20, "how often the server is killed")
    restarts: int = option(5, "how often Postgres is restarted")
    seed: int = option(1, "of all that is left to chance here")
    seconds_between: float = option(3.0, "mean time between two faults")
    drivers: int = 10
    customers: int = 6
    durable: bool = True


@dataclass(slots=True)
class Downtime:
    """A fault, in wall seconds: when it was down, ready again, and answered its first write."""

    down_s: float
    ready_s: float
    written_s: float | None = None

    @property
    def recovery_s(self) -> float | None:
        """From ready to the first write answered."""
        return None if self.written_s is None else max(0.0, self.written_s - self.ready_s)

    def __str__(self) -> str:
        written = "never" if self.recovery_s is None else f"{1000 * self.recovery_s:.0f} ms later"
        return f"ready after {self.ready_s - self.down_s:.2f} s, the first write answered {written}"


@dataclass(slots=True)
class CrashFindings:
    """What came out."""

    plan: CrashPlan
    history: History
    record: RecordedState = field(default_factory=RecordedState)
    loaded_s: float = 0.0
    kills: list[Downtime] = field(default_factory=list)
    outages: list[Downtime] = field(default_factory=list)
    drivers: list[DriverUser] = field(default_factory=list)
    errors: Counter[str] = field(default_factory=Counter)
    violations: list[Violation] = field(default_factory=list)

    @property
    def passed(self) -> bool:
        return not self.violations

    def facts(self) -> dict[str, str]:
        """What users said and were told, by name."""
        intents, reads, drivers = self.history.intents, self.history.reads, self.drivers
        answers = [answer for intent in intents for answer in intent.answers]
        return {
            "commands": f"{len(intents)} in {len(answers)} attempts, {len(reads)} reads",
            "kinds": counts(Counter(intent.kind for intent in intents)),
            "answers": counts(Counter(answer.outcome for answer in answers)),
            "in doubt": counts(Counter(a.code for a in answers if a.outcome in (UNKNOWN, NOT_PROCESSED))),
            "orders": f"{len(self.record.orders)}"
            f" ({counts(Counter(row.status for row in self.record.orders.values()))})",
            "feeds": f"{sum(len(d.log.steps) for d in drivers)} entries and snapshots over"
            f" {sum(d.connections for d in drivers)} connections, {sum(d.resumed for d in drivers)} resumed,"
            f" {sum(d.unwelcomed for d in drivers)} not welcomed in time",
        }

    def lines(self) -> list[str]:
        """For people."""
        plan, shown = self.plan, self.violations[:VIOLATIONS_SHOWN]
        return [
            f"plan        seed {plan.seed}, {plan.kills} kills, {plan.restarts} Postgres restarts,"
            f" {len(self.drivers)} drivers, load for {self.loaded_s:.1f} s",
            *(f"{name:<12}{text}" for name, text in self.facts().items()),
            f"kill -9     {len(self.kills)} times,"
            f" ready again after {_spread(kill.ready_s - kill.down_s for kill in self.kills)}",
            *(f"Postgres    {outage}" for outage in self.outages),
            f"server log  {counts(self.errors)}",
            f"violations  {len(self.violations)} ({counts(Counter(v.kind for v in self.violations))})",
            *(f"  {violation}"[:600] for violation in shown),
        ]


def counts(counter: Counter[str]) -> str:
    """`a 3, b 1`, the most frequent first."""
    return ", ".join(f"{name} {count}" for name, count in counter.most_common()) or "none"


def _spread(seconds: Iterable[float]) -> str:
    """The least and the most."""
    found = sorted(seconds) or [0.0]
    return f"{found[0]:.3f} to {found[-1]:.3f} s"


def first_write(intents: Iterable[Intent], down_s: float) -> float | None:
    """When the first write that was begun after a moment was answered.

    An attempt that follows one in doubt does not count: its answer may be that of the earlier one.
    """
    found = [
        answer.ended_s
        for intent in intents
        for index, answer in enumerate(intent.answers)
        if answer.names_effect
        and answer.began_s > down_s
        and all(before.outcome == NOT_PROCESSED for before in intent.answers[:index])
    ]
    return min(found, default=None)


class CrashRun(Setup):
    """The servers, the virtual users, and the faults."""

    def __init__(
        self, plan: CrashPlan, stores: Stores, server: ServerProcess, http: aiohttp.ClientSession
    ) -> None:
        super().__init__(Mall(http, server.url), mint_on(server), "crash", f"{plan.seed}/faults")
        self.plan = plan
        self.stores = stores
        self.server = server
        self.workload = Workload()
        self.findings = CrashFindings(plan, self.workload.history)
        self.users: list[VirtualUser] = []
        self.stock: dict[str, int] = {}

    # -- users --------------------------------------------------------------------------------

    async def populate(self) -> None:
        """A zone of each mode in which drivers accept, and all users in them."""
        plan, seed = self.plan, str(self.plan.seed)
        admin = await self.enroll_admin()
        customers = await self.mint("customer", len(MODES) * plan.customers)
        for number, (mode, settings) in enumerate(MODES.items()):
            zone = await open_zone(self.admin, mode, mode, stock=STOCK, **settings)
            self.stock |= {f"{mode} bread": STOCK, f"{mode} soup": STOCK}
            self.workload.live[zone.number] = set()
            for person in customers[number :: len(MODES)]:
                mall, who = self.mall.as_(person.token), f"usr_{person.number}"
                self.users.append(CustomerUser(self.workload, mall, who, seed, zone))
            await self._add_drivers(zone)
        store = (await self.admin.do("GET", "/api/v2/stores"))["items"][0]["id"]
        self.users.append(AdminUser(self.workload, self.admin, f"usr_{admin.number}", seed, store))

    async def _add_drivers(self, zone: Zone) -> None:
        """Drivers of a zone, online, of either capacity."""
        minted = await self.mint("driver", self.plan.drivers, zone, CAPACITIES[0])
        for number, person in enumerate(minted):
            mall, capacity = self.mall.as_(person.token), CAPACITIES[number % len(CAPACITIES)]
            await self.admin.do("PATCH", f"/api/v2/users/usr_{person.number}", {"capacity": capacity})
            await mall.do("PUT", "/api/v2/drivers/me/availability", {"status": "online"})
            driver = DriverUser(
                self.workload, mall, person.number, str(self.plan.seed), zone.number, capacity
            )
            self.findings.drivers.append(driver)
            self.users.append(driver)

    # -- faults -------------------------------------------------------------------------------

    async def _wait(self) -> None:
        await asyncio.sleep(self.chance.uniform(0.3, 1.7) * self.plan.seconds_between)

    async def kill_server(self) -> None:
        """Phase A: SIGKILL at random moments."""
        for _ in range(self.plan.kills):
            await self._wait()
            await self.server.kill()
            killed_s = time()
            await self.server.start()
            self.findings.kills.append(Downtime(killed_s, time()))

    async def restart_postgres(self) -> None:
        """Phase B: Postgres stops at once and comes back after a while; the server stays."""
        for number in range(self.plan.restarts):
            await self._wait()
            pid = self.server.pid
            await asyncio.to_thread(self.stores.postgres.stop, "immediate")
            down_s = time()
            await asyncio.sleep(AWAY_S[number % len(AWAY_S)])
            up_s = time()
            self.stores.postgres.launch()
            await asyncio.to_thread(self.stores.postgres.wait_ready)
            outage = Downtime(down_s, time())
            self.findings.outages.append(outage)
            self.workload.history.outages.append((down_s, up_s))
            if not self.server.running or self.server.pid != pid:
                self._violation("server_ended", "the server did not survive a restart of Postgres")

    def _violation(self, kind: str, detail: str) -> None:
        self.findings.violations.append(Violation(kind, detail))

    # -- the end ------------------------------------------------------------------------------

    async def run(self) -> None:
        """Load, faults, rest; then all users end."""
        began_s = time()
        async with asyncio.TaskGroup() as tasks:
            for user in self.users:
                tasks.create_task(user.run(), name=user.who)
            await self.kill_server()
            await self.restart_postgres()
            await self._wait()
            self.findings.loaded_s = time() - began_s
            await self.finish()

    async def finish(self) -> None:
        """Let everything begun be finished and every feed be read to its end; then end all users."""
        self.workload.closing, self.workload.late_s = True, time() + REST_S
        async with connect(self.stores.postgres.database_url) as connection:
            try:
                await self._settle(connection)
            finally:
                # A user who still waits for an answer over a connection that ends now would insist until it is late.
                self.workload.over, self.workload.late_s = True, time()

    async def _settle(self, connection: Connection) -> None:
        """Let everything begun be finished, and every feed be read to its end."""

        async def finished() -> bool:
            return not await connection.fetch(_UNFINISHED)

        await until(finished, REST_S)
        for row in await connection.fetch(_UNFINISHED):
            self._violation("stuck", f"order {row['id']} is still {row['status']} by {row['driver_id']}")
        for driver in self.findings.drivers:
            driver.generation += 1
        await until(lambda: self._at_rest(connection), FEED_REST_S)

    async def _at_rest(self, connection: Connection) -> bool:
        """True when every phone is back at the end of its log, and the server has forgotten no delivery."""
        rows = await connection.fetch("SELECT id, feed_seq FROM drivers")
        ends = {row["id"]: row["feed_seq"] for row in rows}
        drivers = self.findings.drivers
        behind = [c for c in drivers if not c.reconnected or c.phone.position.seq != ends[c.number]]
        return not behind and not any((await self.believed()).values())

    async def believed(self) -> dict[int, frozenset[int]]:
        """By driver, the orders that the server, or one of its instances, says it carries."""
        found = {}
        for driver in self.findings.drivers:
            _, me = await driver.mall.insist("GET", "/api/v2/drivers/me")
            found[driver.number] = frozenset(number_of(order) for order in me["orders"])
        return found

    async def compare(self) -> list[Violation]:
        """Read the record, and compare the history with it."""
        believed = await self.believed()
        async with connect(self.stores.postgres.database_url) as connection:
            self.findings.record = await read_record(connection, stock=self.stock, believed=believed)
        return check(self.workload.history, self.findings.record)

    async def judge(self) -> None:
        """Compare, and look at the log and at how soon the server was back."""
        self.findings.violations += await self.compare()
        self.findings.errors = logged_errors(self.server.log_path)
        for outage in (*self.findings.kills, *self.findings.outages):
            outage.written_s = first_write(self.workload.history.intents, outage.down_s)
            if outage.recovery_s is None or outage.recovery_s > RECOVERY_S:
                self._violation("slow_recovery", str(outage))
        for driver in self.findings.drivers:
            if driver.unwelcomed:
                self._violation("no_welcome", f"{driver.who}, {driver.unwelcomed} times")


def logged_errors(log: Path) -> Counter[str]:
    """What the server has logged at level error, by event."""
    found: Counter[str] = Counter()
    for line in log.read_text(errors="replace").splitlines():
        entry = json.loads(line) if line.startswith("{") else {}
        if entry.get("level") in ("error", "critical"):
            found[f"{entry.get('event')} {entry.get('error_code') or ''}".strip()] += 1
    return found


@asynccontextmanager
async def open_run(plan: CrashPlan, folder: Path) -> AsyncIterator[CrashRun]:
    """Postgres and Valkey in the folder, a server that is pointed at them, and the users."""
    with open_stores(folder, durable=plan.durable, durable_valkey=plan.durable) as stores:
        async with open_server(folder / "server", stores.environ) as server, open_http(500) as http:
            run = CrashRun(plan, stores, server, http)
            await run.populate()
            yield run


async def crash(plan: CrashPlan, folder: Path) -> CrashFindings:
    """The whole test in a folder of its own, from the main thread."""
    async with open_run(plan, folder) as run:
        await run.run()
        await run.judge()
        return run.findings


async def run_crash(plan: CrashPlan) -> CrashFindings:
    """The whole test in a folder that is deleted afterwards."""
    with tempfile.TemporaryDirectory(prefix="mall-crash-") as folder:
        return await crash(plan, Path(folder))


def main(arguments: Sequence[str] | None = None) -> int:
    """Crash, print the report; 1 on any violation."""
    parser = make_parser("loadtests.faults.crash", __doc__, json=False)
    add_options(parser, CrashPlan)
    return run_tool(run_crash(CrashPlan(**vars(parser.parse_args(arguments)))))


if __name__ == "__main__":
    sys.exit(main())
