"""Audit: checks all invariants of a database.

One read-only transaction has one snapshot, also of a database in use, and neither waits for writers nor blocks them.
The checks are the blocks of sql/audit.sql. Large tables are read in slices, so that a statement's time and memory do
not grow with the database.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from contextlib import asynccontextmanager
from time import perf_counter
from typing import Any, Literal, TypeAlias

import asyncpg
import orjson

from actors.dedup import RING_SIZE
from actors.messages import ActorId
from actors.shards import SHARD_COUNT, shard_of
from actors.values import frozen
from storage.errors import StorageError, Unreachable
from storage.postgres.database import CONNECT_S, Connection
from storage.postgres.migrate import MigrationError
from storage.postgres.queries import BLOCKS

# Rows shown of each check; the others are counted.
ROWS_SHOWN = 10
# Rows per slice. A driver's feed of a week has some hundred entries, an order's history some ten.
SLICE_ROWS = {
    "orders": 20_000,
    "drivers": 1_000,
    "users": 20_000,
    "products": 50_000,
    "event_log": 20_000,
    "jobs": 20_000,
    "job_runs": 50_000,
    "notices": 20_000,
}
# Bounds of bigint: ids outside the legal range are checked too.
ID_MIN, ID_MAX = -(1 << 63), (1 << 63) - 1

SETTINGS = {
    "application_name": "mall verify",
    # A slice takes about a second. Ten minutes mean a problem of the plan or the disk.
    "statement_timeout": "600000",
    # Only a migration locks the tables against reads.
    "lock_timeout": "10000",
    "idle_in_transaction_session_timeout": "60000",
    # Each slice is planned for its own bounds.
    "plan_cache_mode": "force_custom_plan",
    # A table that was not analysed looks small to the planner, and a nested loop over it is quadratic. A hash join of a
    # slice is not.
    "enable_nestloop": "off",
    "jit": "off",
    "timezone": "UTC",
}

Scope: TypeAlias = Literal[
    "orders", "drivers", "users", "products", "event_log", "jobs", "job_runs", "notices", "whole"
]
Bounds: TypeAlias = "tuple[int, int]"


@frozen
class Law:
    """Rules of the domain that the database does not have.

    Attributes:
        transitions: the transition table: (status, event) to next status.
        carried: statuses in which a driver has the order.
        feed_days: days for which feed entries are kept.
        event_types: events of an order's history that go to the event log, and their types there.
        run_days: days for which attempts of jobs are kept.

    Raises:
        ValueError: an event leads to two statuses, so that a history is ambiguous.
    """

    transitions: Mapping[tuple[str, str], str]
    carried: Collection[str]
    feed_days: int
    event_types: Mapping[str, str]
    run_days: int

    def __post_init__(self) -> None:
        if len({(event, after) for (_, event), after in self.transitions.items()}) != len(
            {event for _, event in self.transitions}
        ):
            raise ValueError("an event leads to two statuses")

    @property
    def terminal(self) -> frozenset[str]:
        """Statuses without a transition to another one."""
        return frozenset(self.transitions.values()) - {before for before, _ in self.transitions}

    def arguments(self, name: str) -> tuple[Any, ...]:
        """Parameters of checks besides bounds, by the name in `Check.takes`."""
        befores, events = zip(*self.transitions, strict=True)
        moves = (list(befores), list(events), list(self.transitions.values()))
        ends = (sorted(self.terminal),)
        given: dict[str, tuple[Any, ...]] = {
            "": (),
            "carried": (sorted(self.carried),),
            "moves": moves,
            "moves and ends": (*moves, *ends),
            "ends": ends,
            "days": (self.feed_days,),
            "event types": (list(self.event_types), list(self.event_types.values())),
            "run days": (self.run_days,),
            "ring": (RING_SIZE,),
            "shards": (SHARD_COUNT,),
        }
        return given[name]


@frozen
class Check:
    """Check of an invariant: block `audit_<name>` finds violations.

    Attributes:
        scope: the table whose ids are sliced.
        takes: parameters of the block besides the bounds of a slice; see `Law.arguments`.
        kind: the block returns (id, shard) of these actors, and the shard is checked here: Postgres before 18 has no
            crc32.
    """

    name: str
    scope: Scope
    promise: str
    takes: str = ""
    kind: str = ""


CHECKS = (
    Check(
        "assignments", "orders", "an order is held by one driver while it is carried, else by none", "carried"
    ),
    Check("carriers", "orders", "the assignment names the order's driver and the moment it was won"),
    Check("slots", "drivers", "a driver's orders are in slots of its own, no more than it may carry"),
    Check("slot_order", "drivers", "an order is in the lowest slot that was free when it was won"),
    Check("history", "orders", "an order's events are numbered from 1 to its version, its creation first"),
    Check("moves", "orders", "every change of status is one of the transition table", "moves"),
    Check(
        "outcomes", "orders", "an order's status, driver and last change are what its history says",
        "moves and ends",
    ),
    Check("winners", "orders", "one driver wins an order, and the next only after a release"),
    Check("timers", "orders", "what waits for payment or for an answer to an offer has its timer"),
    Check("horizons", "orders", "no timer stands further ahead than anything waits"),
    Check("searches", "orders", "what an order remembers of its search has its form"),
    Check("offers", "orders", "an order has had as many offers as its history tells"),
    Check("rounds", "orders", "each release begins a new round"),
    Check("ends", "orders", "what has ended has no timer, and only confirmed orders are on offer", "ends"),
    Check("totals", "orders", "an order costs what its lines cost"),
    Check("currencies", "orders", "an order and its payment are in one currency"),
    Check(
        "payments", "orders", "money is held for orders on their way, taken for what was delivered, else let go"
    ),
    Check("gateway", "orders", "a payment has a reference at the gateway, and shares it with none"),
    Check("payment_steps", "orders", "a payment has a version for each of its steps"),
    Check("references", "orders", "zones, stores, products, customers and drivers of orders exist"),
    Check("listings", "orders", "lists find every order by its own customer, zone, store and time"),
    Check("order_shards", "orders", "an order's shard follows from its number", kind="order"),
    Check("driver_shards", "drivers", "a driver's shard follows from its number", kind="driver"),
    Check("order_memories", "orders", "an order remembers a command once, and not too many", "ring"),
    Check("driver_memories", "drivers", "a driver remembers a command once, and not too many", "ring"),
    Check("roles", "drivers", "drivers are users of that role, and the other way round"),
    Check("feed_bounds", "drivers", "a feed has no entry outside 1 to feed_seq"),
    Check("feed_gaps", "drivers", "a feed has no gap but what was trimmed", "days"),
    Check("feed_sources", "drivers", "every entry of a feed tells of an event that was"),
    Check("feed_once", "drivers", "a feed tells of nothing twice"),
    Check("feed_order", "drivers", "a feed tells of an order in the order of its changes"),
    Check("feed_contents", "drivers", "an entry says of its order what is so", "moves"),
    Check("feed_offers", "orders", "offers, and what changes for a carrier, are in the feed", "days"),
    Check("feed_news", "orders", "what happened to a carrier's order is in its feed", "days"),
    Check("keys", "users", "an idempotency key leads to the one order that was made under it"),
    Check("payment_keys", "users", "a payment's key leads to what became of it"),
    Check("stock", "products", "a stock, with what orders have of it, is what was set"),
    Check("returns", "orders", "what a cancelled order had taken is back in the stock, and nothing else"),
    Check("pickups", "orders", "an order is fetched from its stores, and every line from one of them"),
    Check("store_numbers", "whole", "a store's orders are numbered without a gap"),
    Check("prices", "products", "prices are not negative, in an ISO 4217 currency"),
    Check(
        "relayed", "orders", "what others want to know of an order is in the outbox or in the log, once",
        "event types",
    ),
    Check("payment_events", "orders", "what became of a payment is in the outbox or in the log, once"),
    Check("places", "event_log", "the log has one event at each place, without a gap, and it says so itself"),
    Check("log_end", "whole", "the log ends where its end says"),
    Check("jobs", "jobs", "a job in work has a lease, and a dead one an attempt that ended it", "run days"),
    Check("turns", "jobs", "of a key, only the oldest job that is not dead is in work"),
    Check("runs", "job_runs", "a job is done once, and then it is gone"),
    Check("cursors", "whole", "an endpoint's cursor is in the log, and who sends to it has a lease"),
    Check("deliveries", "event_log", "an endpoint got what it wants up to its cursor, or gave it up; more wakes it"),
    Check("notices", "notices", "a notice is sent by a job, was sent, or says why not"),
    Check("cluster", "whole", "the database was made for this program's shards", "shards"),
    Check("epochs", "whole", "every shard has its epoch", "shards"),
    Check("schema", "whole", "tables, keys, triggers, functions and rights are as the migrations made them"),
    Check("numbers", "whole", "the sequence of order numbers is ahead of the orders"),
)  # fmt: skip


@frozen
class Violation:
    """Violations found by a check: their number, and key and problem of the first ones."""

    check: Check
    broken: int
    rows: tuple[tuple[str, str], ...]


@frozen
class AuditReport:
    """Result of an audit. `took_s` is the snapshot's duration."""

    findings: tuple[Violation, ...]
    took_s: float

    @property
    def holds(self) -> bool:
        """True if no invariant is broken."""
        return not any(finding.broken for finding in self.findings)

    def text(self, *, as_json: bool = False) -> str:
        """Report for people, with a line per invariant and the rows of violations; or JSON."""
        if as_json:
            return orjson.dumps(self._shown(), option=orjson.OPT_INDENT_2).decode()
        lines = []
        for finding in self.findings:
            count = f"BROKEN {finding.broken}" if finding.broken else "ok"
            lines.append(f"{count:<14} {finding.check.name:<15} {finding.check.promise}")
            lines += [f"    {key}: {why}" for key, why in finding.rows]
        broken = sum(finding.broken > 0 for finding in self.findings)
        verdict = f"{broken} are broken" if broken else "all hold"
        return "\n".join([*lines, f"{len(self.findings)} invariants in {self.took_s:.1f} s: {verdict}"])

    def _shown(self) -> dict[str, Any]:
        return {
            "holds": self.holds,
            "took_s": round(self.took_s, 3),
            "invariants": [
                {
                    "name": finding.check.name,
                    "promise": finding.check.promise,
                    "holds": not finding.broken,
                    "broken": finding.broken,
                    "rows": [{"key": key, "why": why} for key, why in finding.rows],
                }
                for finding in self.findings
            ],
        }


async def audit(database_url: str, law: Law) -> AuditReport:
    """Run all checks on one snapshot of a database. Needs SELECT on all tables, and writes nothing.

    The snapshot lasts as long as the audit. Meanwhile vacuum removes no younger rows, and a migration waits.

    Raises:
        Unreachable: the server does not answer.
        MigrationError: it does not have the tables of this version.
        StorageError: the server refuses: no such database, no right to read, a statement took too long.
    """
    async with _snapshot(database_url) as connection:
        return await examine(connection, law)


async def examine(connection: Connection, law: Law) -> AuditReport:
    """Run all checks on a connection. For one snapshot it must be in a transaction."""
    began = perf_counter()
    slices: dict[str, list[Bounds]] = {
        table: [x async for x in _slices(connection, table, rows)] for table, rows in SLICE_ROWS.items()
    }
    findings = [await _examine(connection, check, law, slices) for check in CHECKS]
    return AuditReport(tuple(findings), perf_counter() - began)


@asynccontextmanager
async def _snapshot(database_url: str) -> AsyncIterator[Connection]:
    """Connection with one read-only snapshot. Raises StorageError for the driver's errors."""
    try:
        connection: Connection = await asyncpg.connect(
            database_url, timeout=CONNECT_S, server_settings=SETTINGS
        )
        try:
            async with connection.transaction(isolation="repeatable_read", readonly=True):
                yield connection
        finally:
            await connection.close(timeout=CONNECT_S)
    except (asyncpg.UndefinedTableError, asyncpg.UndefinedColumnError):
        raise MigrationError(
            "the database is not at this version; `run.py migrate` brings it there"
        ) from None
    except (
        OSError,
        TimeoutError,
        asyncpg.InterfaceError,
        asyncpg.PostgresConnectionError,
        asyncpg.CannotConnectNowError,
        asyncpg.AdminShutdownError,
        asyncpg.CrashShutdownError,
    ) as error:
        raise Unreachable(type(error).__name__) from None
    except asyncpg.PostgresError as error:
        raise StorageError(f"{type(error).__name__} {error.sqlstate}") from None


async def _slices(connection: Connection, table: str, rows: int) -> AsyncIterator[Bounds]:
    """Bounds (above, up to) of slices, which together cover all numbers."""
    above = ID_MIN
    while (last := await connection.fetchval(BLOCKS[f"slice_of_{table}"], above, rows)) is not None:
        yield above, last
        above = last
    yield above, ID_MAX


async def _examine(
    connection: Connection, check: Check, law: Law, slices: Mapping[str, Sequence[Bounds]]
) -> Violation:
    """Run one check on all slices."""
    broken = 0
    shown: list[tuple[str, str]] = []
    for bounds in slices.get(check.scope, [()]):
        rows = await connection.fetch(BLOCKS[f"audit_{check.name}"], *bounds, *law.arguments(check.takes))
        found = _misplaced(check.kind, rows) if check.kind else [(row["key"], row["why"]) for row in rows]
        broken += len(found)
        shown += found[: ROWS_SHOWN - len(shown)]
    return Violation(check, broken, tuple(shown))


_PREFIX = {"order": "ord", "driver": "drv"}


def _misplaced(kind: str, rows: Sequence[asyncpg.Record]) -> list[tuple[str, str]]:
    """Find actors whose shard does not follow from their number."""
    found = []
    for row in rows:
        shard = shard_of(ActorId(kind, row["id"]))
        if shard != row["shard"]:
            found.append((f"{_PREFIX[kind]}_{row['id']}", f"in shard {row['shard']}, belongs to {shard}"))
    return found
