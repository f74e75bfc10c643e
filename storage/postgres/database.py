"""Connection pool with named statements, deadlines, and a log of slow queries."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from time import perf_counter
from typing import Any, TypeAlias

import asyncpg
import orjson

from actors.counters import Samples
from actors.tracing import RUNNING_TRACE
from actors.values import frozen
from storage.errors import NotDone, StorageError
from storage.postgres.errors import spoils_connection, storage_error
from storage.postgres.list_queries import After, list_statement
from storage.postgres.plans import Plans
from storage.postgres.queries import BLOCKS

# Statement timeout: a long statement holds locks. No statement here needs a tenth of it.
STATEMENT_TIMEOUT_MS = 2000
# Limit of a caller's wait for a connection.
ACQUIRE_S = 1.0
CONNECT_S = 2.0
# Of a command, which has nobody waiting behind it: a busy machine may take longer for a first connection.
COMMAND_CONNECT_S = 15.0
# The client's deadline: slightly more than the server's, so that the server's answer comes first.
COMMAND_S = 2.5
# Also in plans.py.
SLOW_S = 0.1

Connection: TypeAlias = "asyncpg.Connection[asyncpg.Record]"
Observe = Callable[[str, float], None]


@frozen
class SlowQuery:
    """A query that took long.

    Attributes:
        traces: of whoever it was for; several of a query that serves many.
        plans: of the statement and those inside of it, where the trace is recorded and the server may tell.
    """

    name: str
    seconds: float
    traces: Sequence[str]
    plans: Sequence[Mapping[str, Any]] = ()


def _nothing(name: str, seconds: float) -> None:
    del name, seconds


def _ignore_slow(query: SlowQuery) -> None:
    del query


def _ignore_wait(seconds: float, waiting: int, trace: str) -> None:
    del seconds, waiting, trace


def traces_of(args: Sequence[Any]) -> Sequence[str]:
    """Traces of what runs, or of the items of a batch."""
    running = RUNNING_TRACE.get()
    if running:
        return [running]
    items = (item for arg in args if isinstance(arg, list) for item in arg if isinstance(item, dict))
    return list(dict.fromkeys(trace for item in items if (trace := item.get("trace"))))


async def prepare_connection(connection: Connection) -> None:
    """Set up a connection: JSON as bytes, by orjson."""
    await connection.set_type_codec(
        "jsonb",
        schema="pg_catalog",
        encoder=lambda value: b"\x01" + orjson.dumps(value),
        decoder=lambda data: orjson.loads(data[1:]),
        format="binary",
    )


async def _no_reset(connection: object) -> None:
    """Nothing: session state is never changed, so a reset is not needed (saves 150 us per use)."""
    del connection


SERVER_SETTINGS = {
    "role": "mall_app",
    "statement_timeout": str(STATEMENT_TIMEOUT_MS),
    "lock_timeout": "1000",
    # Limit for the locks of a client that freezes inside a transaction.
    "idle_in_transaction_session_timeout": "2000",
    "application_name": "mall",
    "timezone": "UTC",
    "jit": "off",
}


@asynccontextmanager
async def _translated() -> AsyncIterator[None]:
    """Turn errors of the driver into StorageError."""
    try:
        yield
    except Exception as error:
        ours = storage_error(error)
        if ours is None:
            raise
        raise ours from None


class Database:
    """Runs named statements on a pool. Open it with `open_database`."""

    def __init__(
        self,
        url: str,
        pool: asyncpg.Pool[asyncpg.Record],
        observe: Observe,
        slow: Callable[[SlowQuery], None],
        waited: Callable[[float, int, str], None],
        plans: Plans | None,
    ) -> None:
        self.pool = pool
        self._url = url
        # Waits for a connection, callers that wait now, and waits that ended without one.
        self.waits_s = Samples()
        self.waiting = 0
        self.refused = 0
        self._observe = observe
        self._slow = slow
        self._waited = waited
        self._plans = plans

    @asynccontextmanager
    async def _connection(self) -> AsyncIterator[Any]:
        began = perf_counter()
        self.waiting += 1
        try:
            async with _translated():
                connection = await self.pool.acquire(timeout=ACQUIRE_S)
        except StorageError as error:
            self.refused += 1
            raise NotDone(str(error)) from None  # nothing was begun
        finally:
            self.waiting -= 1
            waited_s = perf_counter() - began
            self.waits_s.add(waited_s)
            if waited_s > SLOW_S:
                self._waited(waited_s, self.waiting, RUNNING_TRACE.get())
        # The release of a connection calls the server, and fails if it hangs.
        async with _translated():
            try:
                yield connection
            except Exception as error:
                if spoils_connection(error):
                    connection.terminate()
                raise
            finally:
                await self._give_back(connection)

    async def _give_back(self, connection: Any) -> None:
        """Return a connection to the pool.

        asyncpg 0.32 does so one loop iteration later. A connection that was lost in between has returned by itself by
        then, and asyncpg raises. That error replaced the one that had ended the block, and ended the instance (make
        chaos, seed 12: Postgres frozen, a probe at its deadline).
        """
        try:
            await self.pool.release(connection)
        except asyncpg.InternalClientError:
            if connection._con is not None:  # it is still in use: another error
                raise

    async def _run(self, connection: Any, name: str, text: str, args: Sequence[Any]) -> list[Any]:
        """Run a statement, and tell of it if it was slow."""
        heard = None if self._plans is None else self._plans.listen(connection, traces_of(args))
        began = perf_counter()
        try:
            return list(await connection.fetch(text, *args))
        finally:
            seconds = perf_counter() - began
            self._observe(name, seconds)
            if heard is not None:
                heard.close()
            if seconds > SLOW_S:
                self._slow(SlowQuery(name, seconds, traces_of(args), () if heard is None else heard.plans))

    async def rows(self, name: str, *args: Any) -> list[Any]:
        """All rows of a statement.

        Raises:
            Unreachable, Duplicate, MissingReference: see storage/errors.py.
        """
        return await self._fetch(name, BLOCKS[name], args)

    async def _fetch(self, name: str, text: str, args: Sequence[Any]) -> list[Any]:
        async with self._connection() as connection:
            return await self._run(connection, name, text, args)

    async def page(
        self, name: str, filters: Mapping[str, Any], sort: str, after: After | None, limit: int
    ) -> list[Any]:
        """At most `limit` rows of a list (see list_queries.py), each with its `sort_key`.

        Raises:
            KeyError: the list has no such filter or sort.
            Unreachable: see storage/errors.py.
        """
        names = tuple(sorted(filters))
        text = list_statement(name, names, sort, after is not None)
        behind = () if after is None else after.values(sort)
        return await self._fetch(name, text, (limit, *(filters[n] for n in names), *behind))

    async def row(self, name: str, *args: Any) -> Any:
        """The first row of a statement, or None."""
        found = await self.rows(name, *args)
        return found[0] if found else None

    async def value(self, name: str, *args: Any) -> Any:
        """The first column of the first row, or None."""
        found = await self.row(name, *args)
        return None if found is None else found[0]

    async def ping(self) -> None:
        """Ask the server for an answer; by a connection of its own while the pool is full, which is no outage.

        Raises:
            Unreachable: it does not answer.
        """
        if not self.waiting and (
            self.pool.get_idle_size() or self.pool.get_size() < self.pool.get_max_size()
        ):
            await self.rows("ping")
            return
        async with _translated():
            connection = await asyncpg.connect(self._url, timeout=CONNECT_S, server_settings=SERVER_SETTINGS)
            try:
                await connection.fetchval(BLOCKS["ping"])
            finally:
                connection.terminate()

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[Transaction]:
        """Transaction on one connection.

        For catalogue and accounts only: it holds locks between round trips, which actors never do.
        """
        async with self._connection() as connection, connection.transaction():
            yield Transaction(connection, self._run)

    def sizes(self) -> dict[str, int]:
        """Numbers of connections: open, idle, limit."""
        return {
            "open": self.pool.get_size(),
            "idle": self.pool.get_idle_size(),
            "max": self.pool.get_max_size(),
        }


class Transaction:
    """A connection inside a transaction."""

    def __init__(
        self, connection: Any, run: Callable[[Any, str, str, Sequence[Any]], Awaitable[list[Any]]]
    ) -> None:
        self._connection = connection
        self._run = run

    async def rows(self, name: str, *args: Any) -> list[Any]:
        """All rows of a statement."""
        return await self._run(self._connection, name, BLOCKS[name], args)

    async def row(self, name: str, *args: Any) -> Any:
        """The first row of a statement, or None."""
        found = await self.rows(name, *args)
        return found[0] if found else None


@asynccontextmanager
async def open_database(
    url: str,
    *,
    size_max: int = 10,
    observe: Observe = _nothing,
    slow: Callable[[SlowQuery], None] = _ignore_slow,
    waited: Callable[[float, int, str], None] = _ignore_wait,
    explains: bool = False,
    connect_s: float = CONNECT_S,
) -> AsyncIterator[Database]:
    """Open a pool that works as the restricted role.

    `slow` is called with each slow query, `waited` with each slow wait for a connection: seconds, callers that wait
    then, and the trace. `explains`: slow queries of recorded traces have their plans, where the server may tell.

    Raises:
        Unreachable: the server does not answer within `connect_s`.
    """
    plans = Plans() if explains else None

    async def prepare(connection: Connection) -> None:
        await prepare_connection(connection)
        if plans is not None:
            await plans.begin(connection)

    async with _translated():
        pool = await asyncpg.create_pool(
            url,
            min_size=min(2, size_max),
            max_size=size_max,
            init=prepare,
            reset=_no_reset,
            timeout=connect_s,
            command_timeout=COMMAND_S,
            server_settings=SERVER_SETTINGS,
        )
    try:
        yield Database(url, pool, observe, slow, waited, plans)
    finally:
        try:
            async with asyncio.timeout(2):
                await pool.close()
        except TimeoutError:
            pool.terminate()


# A batch touches few rows of large tables by their keys. By default the planner may assume that a table that was empty
# a minute ago is still empty, and scan it once per item.
#
# A batch waits for a lock only shortly, because other batches wait behind it. This program holds its own locks for the
# milliseconds of a call; a commit that needs a row locked by another program is set aside (actors/blocked_commits.py).
LANE_LOCK_TIMEOUT_MS = 100
LANE_SETTINGS = SERVER_SETTINGS | {
    "lock_timeout": str(LANE_LOCK_TIMEOUT_MS),
    "plan_cache_mode": "force_generic_plan",
    "enable_seqscan": "off",
    "enable_hashjoin": "off",
    "enable_mergejoin": "off",
}


async def connect_lane(url: str) -> Connection:
    """Open a connection for a commit lane."""
    connection: Connection = await asyncpg.connect(
        url, timeout=CONNECT_S, command_timeout=None, server_settings=LANE_SETTINGS
    )
    await prepare_connection(connection)
    return connection
