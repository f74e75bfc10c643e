"""Kills the server, restarts Postgres, and checks what was promised.

    python -m loadtests.crash [--kills 20] [--restarts 5] [--seed 1] [--seconds-between 3]

Postgres and Valkey belong to this tool and live in a folder of their own, so that they survive the
server. Under load from customers, drivers and an administrator, phase A kills the server with SIGKILL at
random moments and starts it again; phase B stops Postgres at once, waits a while, and starts it again,
while the server must live on. In the end everything begun is finished, every phone reconnects, and a
checker compares what everybody was told with what the database holds.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import sys
import tempfile
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from time import time

import aiohttp
import asyncpg

from loadtests.client import Mall, open_http
from loadtests.courier import Courier
from loadtests.crowd import Crowd, Customer, Overseer, Speaker
from loadtests.history import check
from loadtests.record import Connection, read_record
from loadtests.scene import Zone, mint_people, number_of, open_zone
from loadtests.server import ServerProcess, open_server
from loadtests.testimony import NOT_PROCESSED, History, Intent, Record, Violation
from storage.embedded import EmbeddedPostgres, EmbeddedValkey

# For how many seconds Postgres stays away, one restart after the other.
AWAY_S = (1.0, 0.0, 4.0, 0.0, 2.0)
# Goal: the first write is answered within this time after Postgres, or the server, is ready again.
RECOVERY_S = 2.0
# How long things may take to come to rest after the last fault. Feeds that lost a hint are swept every 10 s.
REST_S, FEED_REST_S = 40.0, 20.0
STOCK = 1_000_000
CAPACITIES = (2, 4)
VIOLATIONS_SHOWN = 30
_UNFINISHED = (
    "SELECT id, status, driver_id FROM orders WHERE status IN ('confirmed', 'assigned', 'picked_up')"
)


@dataclass(frozen=True, slots=True)
class Plan:
    """What to do. `seconds_between`: mean time between two faults; drivers and customers per zone."""

    kills: int = 20
    restarts: int = 5
    seed: int = 1
    seconds_between: float = 3.0
    drivers: int = 10
    customers: int = 6
    durable: bool = True


@dataclass(slots=True)
class Fault:
    """A fault, in wall seconds: when it was down, started, ready again, and answered its first write."""

    down_s: float
    up_s: float
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
class Findings:
    """What came out."""

    plan: Plan
    history: History
    record: Record = field(default_factory=Record)
    loaded_s: float = 0.0
    kills: list[Fault] = field(default_factory=list)
    outages: list[Fault] = field(default_factory=list)
    couriers: list[Courier] = field(default_factory=list)
    errors: Counter[str] = field(default_factory=Counter)
    violations: list[Violation] = field(default_factory=list)

    def lines(self) -> list[str]:
        """For people."""
        plan, shown = self.plan, self.violations[:VIOLATIONS_SHOWN]
        return [
            f"plan        seed {plan.seed}, {plan.kills} kills, {plan.restarts} Postgres restarts,"
            f" {len(self.couriers)} drivers, load for {self.loaded_s:.1f} s",
            *self._said(),
            f"orders      {len(self.record.orders)}"
            f" ({counts(Counter(row.status for row in self.record.orders.values()))})",
            f"feeds       {sum(len(c.log.steps) for c in self.couriers)} entries and snapshots applied over"
            f" {sum(c.connections for c in self.couriers)} connections,"
            f" {sum(c.resumed for c in self.couriers)} resumed,"
            f" {sum(c.unwelcomed for c in self.couriers)} without a welcome in time",
            f"kill -9     {len(self.kills)} times,"
            f" ready again after {_spread(kill.ready_s - kill.down_s for kill in self.kills)}",
            *(f"Postgres    {outage}" for outage in self.outages),
            f"server log  {counts(self.errors)}",
            f"violations  {len(self.violations)} ({counts(Counter(v.kind for v in self.violations))})",
            *(f"  {violation}"[:600] for violation in shown),
        ]

    def _said(self) -> list[str]:
        answers = [answer for intent in self.history.intents for answer in intent.answers]
        intents, rate = len(self.history.intents), len(answers) / max(0.001, self.loaded_s)
        doubtful = Counter(a.code for a in answers if a.outcome in ("unknown", "not_processed"))
        return [
            f"commands    {intents}, {len(answers)} attempts ({rate:.0f}/s), {len(self.history.reads)} reads",
            f"  kinds     {counts(Counter(intent.kind for intent in self.history.intents))}",
            f"  answers   {counts(Counter(answer.outcome for answer in answers))}",
            f"  in doubt  {counts(doubtful)}",
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


async def _within(seconds: float, condition: Callable[[], Awaitable[bool]]) -> bool:
    """Ask until it is so; False when it was not so in time."""
    until_s = time() + seconds
    while not await condition():
        if time() > until_s:
            return False
        await asyncio.sleep(0.1)
    return True


class Stage:
    """The servers, the people, and the faults that befall them."""

    def __init__(
        self, plan: Plan, postgres: EmbeddedPostgres, server: ServerProcess, http: aiohttp.ClientSession
    ) -> None:
        self.plan = plan
        self.postgres = postgres
        self.server = server
        self.mall = Mall(http, server.url)
        self.crowd = Crowd()
        self.findings = Findings(plan, self.crowd.history)
        self.chance = random.Random(f"{plan.seed}/faults")
        self.people: list[Speaker] = []
        self.stock: dict[str, int] = {}

    # -- people -------------------------------------------------------------------------------

    async def populate(self) -> None:
        """Two zones, and everybody in them."""
        plan, seed = self.plan, str(self.plan.seed)
        admin = (await mint_people(self.server, "admin", 1, "crash-admin"))[0]
        as_admin = self.mall.as_(admin.token)
        customers = await mint_people(self.server, "customer", 2 * plan.customers, "crash-customer")
        for number, mode in enumerate(("open", "waves")):
            settings = {"wave_size": 3, "offer_ttl_s": 2} if mode == "waves" else {}
            zone = await open_zone(as_admin, mode, mode, stock=STOCK, **settings)
            self.stock |= {f"{mode} bread": STOCK, f"{mode} soup": STOCK}
            self.crowd.live[zone.number] = set()
            for person in customers[number::2]:
                mall, who = self.mall.as_(person.token), f"usr_{person.number}"
                self.people.append(Customer(self.crowd, mall, who, seed, zone))
            await self._couriers(as_admin, zone)
        store = (await as_admin.do("GET", "/api/v2/stores"))["items"][0]["id"]
        self.people.append(Overseer(self.crowd, as_admin, f"usr_{admin.number}", seed, store))

    async def _couriers(self, admin: Mall, zone: Zone) -> None:
        """Drivers of a zone, online, of either capacity."""
        minted = await mint_people(
            self.server, "driver", self.plan.drivers, f"crash-{zone.id}", zone=zone, capacity=CAPACITIES[0]
        )
        for number, person in enumerate(minted):
            mall, capacity = self.mall.as_(person.token), CAPACITIES[number % len(CAPACITIES)]
            await admin.do("PATCH", f"/api/v2/users/usr_{person.number}", {"capacity": capacity})
            await mall.do("PUT", "/api/v2/drivers/me/availability", {"status": "online"})
            courier = Courier(self.crowd, mall, person.number, str(self.plan.seed), zone.number, capacity)
            self.findings.couriers.append(courier)
            self.people.append(courier)

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
            self.findings.kills.append(Fault(killed_s, killed_s, time()))

    async def restart_postgres(self) -> None:
        """Phase B: Postgres stops at once and comes back after a while; the server stays."""
        for number in range(self.plan.restarts):
            await self._wait()
            pid = self.server.pid
            await asyncio.to_thread(self.postgres.stop, "immediate")
            down_s = time()
            await asyncio.sleep(AWAY_S[number % len(AWAY_S)])
            up_s = time()
            self.postgres.launch()
            await asyncio.to_thread(self.postgres.wait_ready)
            outage = Fault(down_s, up_s, time())
            self.findings.outages.append(outage)
            self.crowd.history.outages.append((down_s, up_s))
            if not self.server.running or self.server.pid != pid:
                self._violation("server_ended", "the server did not survive a restart of Postgres")

    def _violation(self, kind: str, detail: str) -> None:
        self.findings.violations.append(Violation(kind, detail))

    # -- the end ------------------------------------------------------------------------------

    async def run(self) -> None:
        """Load, faults, rest; then everybody goes home."""
        began_s = time()
        async with asyncio.TaskGroup() as tasks:
            for person in self.people:
                tasks.create_task(person.run(), name=person.who)
            await self.kill_server()
            await self.restart_postgres()
            await self._wait()
            self.findings.loaded_s = time() - began_s
            self.crowd.closing, self.crowd.late_s = True, time() + REST_S
            connection: Connection = await asyncpg.connect(self.postgres.database_url)
            try:
                await self._settle(connection)
            finally:
                self.crowd.over = True
                await connection.close()

    async def _settle(self, connection: Connection) -> None:
        """Let everything begun be finished, and every feed be read to its end."""

        async def finished() -> bool:
            return not await connection.fetch(_UNFINISHED)

        async def at_rest() -> bool:
            return await self._at_rest(connection)

        await _within(REST_S, finished)
        for row in await connection.fetch(_UNFINISHED):
            self._violation("stuck", f"order {row['id']} is still {row['status']} by {row['driver_id']}")
        for courier in self.findings.couriers:
            courier.generation += 1
        await _within(FEED_REST_S, at_rest)

    async def _at_rest(self, connection: Connection) -> bool:
        """True when every phone is at the end of its log and the server has forgotten no delivery."""
        rows = await connection.fetch("SELECT id, feed_seq FROM drivers")
        ends = {row["id"]: row["feed_seq"] for row in rows}
        behind = [c for c in self.findings.couriers if not c.online or c.phone.seq != ends[c.number]]
        return not behind and not any((await self.believed()).values())

    async def believed(self) -> dict[int, frozenset[int]]:
        """By driver, the orders that the server says it carries."""
        found = {}
        for courier in self.findings.couriers:
            me = await courier.mall.do("GET", "/api/v2/drivers/me")
            found[courier.number] = frozenset(number_of(order) for order in me["orders"])
        return found

    async def judge(self) -> None:
        """Read the record and compare."""
        connection: Connection = await asyncpg.connect(self.postgres.database_url)
        try:
            believed = await self.believed()
            record = await read_record(connection, stock=self.stock, believed=believed)
        finally:
            await connection.close()
        self.findings.record = record
        self.findings.violations += check(self.crowd.history, record)
        self.findings.errors = logged_errors(self.server.log_path)
        for outage in (*self.findings.kills, *self.findings.outages):
            outage.written_s = first_write(self.crowd.history.intents, outage.down_s)
            if outage.recovery_s is None or outage.recovery_s > RECOVERY_S:
                self._violation("slow_recovery", str(outage))
        for courier in self.findings.couriers:
            if courier.unwelcomed:
                self._violation("no_welcome", f"{courier.who}, {courier.unwelcomed} times")


def logged_errors(log: Path) -> Counter[str]:
    """What the server has logged at level error, by event."""
    found: Counter[str] = Counter()
    for line in log.read_text(errors="replace").splitlines():
        entry = json.loads(line) if line.startswith("{") else {}
        if entry.get("level") in ("error", "critical"):
            found[f"{entry.get('event')} {entry.get('error_code') or ''}".strip()] += 1
    return found


@asynccontextmanager
async def open_stage(plan: Plan, folder: Path) -> AsyncIterator[Stage]:
    """Postgres and Valkey in the folder, a server that is pointed at them, and the people."""
    postgres = EmbeddedPostgres(folder / "pg", durable=plan.durable)
    valkey = EmbeddedValkey(folder / "valkey", durable=plan.durable)
    async with AsyncExitStack() as stack:
        stack.callback(valkey.stop)
        valkey.start()
        stack.callback(postgres.stop)
        postgres.start()
        addresses = {"DATABASE_URL": postgres.database_url, "REDIS_URL": valkey.redis_url}
        server = await stack.enter_async_context(open_server(folder / "server", addresses))
        http = await stack.enter_async_context(open_http(500))
        stage = Stage(plan, postgres, server, http)
        await stage.populate()
        yield stage


async def crash(plan: Plan, folder: Path) -> Findings:
    """The whole test in a folder of its own, from the main thread."""
    async with open_stage(plan, folder) as stage:
        await stage.run()
        await stage.judge()
        return stage.findings


def main(arguments: Sequence[str] | None = None) -> int:
    """Crash, print the report; 1 on any violation."""
    parser = argparse.ArgumentParser(prog="python -m loadtests.crash", description=__doc__.partition("\n")[0])
    parser.add_argument("--kills", type=int, default=20, help="how often the server is killed")
    parser.add_argument("--restarts", type=int, default=5, help="how often Postgres is restarted")
    parser.add_argument("--seed", type=int, default=1, help="of all that is left to chance here")
    parser.add_argument("--seconds-between", type=float, default=3.0, help="mean time between two faults")
    given = parser.parse_args(arguments)
    plan = Plan(given.kills, given.restarts, given.seed, given.seconds_between)
    with tempfile.TemporaryDirectory(prefix="mall-crash-") as folder:
        findings = asyncio.run(crash(plan, Path(folder)))
    print("\n".join(findings.lines()))
    return 1 if findings.violations else 0


if __name__ == "__main__":
    sys.exit(main())
