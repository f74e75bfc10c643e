"""Slow queries and slow waits for a connection: whose they are, and the shape of the plan where the server tells it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Any

import asyncpg
import orjson
import pytest
from structlog.testing import capture_logs

from actors.tracing import RUNNING_TRACE
from api.http.observers import tell_slow_query, tell_slow_wait
from loadtests.kit.server import ROOT
from storage.postgres.database import Database, SlowQuery, open_database
from storage.postgres.plans import shape_of
from storage.postgres.queries import BLOCKS
from tests.support.waiting import until

TRACE = "0af7651916cd43dd8448eb211c80319c"
# It has the statements that a superuser runs.
DEPLOYMENT = ROOT / "config" / "deploy" / "README.md"
CONTEXT = f"{TRACE}-b7ad6b7169203331"
SECRET = "ada@example.org"
SLOW = "SELECT u.id, pg_sleep(0.12) FROM (VALUES (1)) v (n) LEFT JOIN users u ON u.email = $1"


@pytest.fixture(autouse=True)
def slow_block() -> Iterator[None]:
    BLOCKS["slow"] = SLOW
    BLOCKS["slow_items"] = "SELECT pg_sleep(0.12), $1::jsonb"
    yield
    del BLOCKS["slow"], BLOCKS["slow_items"]


@asynccontextmanager
async def told(url: str, **options: Any) -> AsyncIterator[tuple[Database, list[SlowQuery]]]:
    """A database, and the slow queries that it tells of."""
    queries: list[SlowQuery] = []
    async with open_database(url, size_max=1, slow=queries.append, **options) as database:
        yield database, queries


@pytest.fixture
def running() -> Iterator[str]:
    """A recorded trace that this task runs for."""
    token = RUNNING_TRACE.set(CONTEXT)
    yield CONTEXT
    RUNNING_TRACE.reset(token)


async def test_slow_query_says_for_which_request_it_was(database_url: str) -> None:
    RUNNING_TRACE.set(TRACE)
    async with told(database_url) as (database, queries):
        await database.rows("slow", SECRET)
        async with database.transaction() as transaction:
            await transaction.rows("slow", SECRET)
    assert [(query.name, query.traces) for query in queries] == [("slow", [TRACE])] * 2


async def test_slow_query_of_a_batch_names_the_traces_of_its_items(database_url: str) -> None:
    RUNNING_TRACE.set("")
    other = "f" * 32
    async with told(database_url) as (database, queries):
        await database.rows("slow_items", [{"trace": TRACE}, {"trace": other}, {"trace": TRACE}, {}])
    [query] = queries
    assert query.traces == [TRACE, other]
    with capture_logs() as lines:
        tell_slow_query(query)
    assert lines[0]["trace_ids"] == [TRACE, other]


async def test_slow_query_of_a_recorded_trace_has_its_plan_without_any_value(
    database_url: str, running: str
) -> None:
    async with told(database_url, explains=True) as (database, queries):
        await database.rows("slow", SECRET)
        assert await database.rows("ping"), "it still works as the restricted role"
        assert await database.pool.fetchval("SELECT current_user") == "mall_app"
    [query] = queries
    with capture_logs() as lines:
        tell_slow_query(query)
    [line] = lines
    assert line["trace_id"] == running
    [plan] = line["plans"]
    assert {"users"} == {node["table"] for node in plan["nodes"] if "table" in node}
    assert plan["nodes"][0]["depth"] == 0
    text = orjson.dumps(line, default=str).decode()
    assert SECRET not in text
    assert "email" not in text, "conditions are not kept"


async def test_slow_query_of_any_other_trace_has_no_plan(database_url: str) -> None:
    RUNNING_TRACE.set(TRACE)
    async with told(database_url, explains=True) as (database, queries):
        await database.rows("slow", SECRET)
    assert [query.plans for query in queries] == [()]


async def url_of_user(database_url: str, name: str, *statements: str) -> str:
    """The URL of a user who is no superuser."""
    owner = await asyncpg.connect(database_url)
    await owner.execute(f"CREATE ROLE {name} LOGIN IN ROLE mall_app")
    for statement in statements:
        await owner.execute(statement)
    await owner.close()
    changed = database_url.replace("//mall@", f"//{name}@")
    assert changed != database_url
    return changed


async def test_user_who_may_not_load_the_module_works_without_plans(database_url: str, running: str) -> None:
    plain = await url_of_user(database_url, "plain_user")
    async with told(plain, explains=True) as (database, queries):
        await database.rows("slow", SECRET)
        assert await database.pool.fetchval("SELECT current_user") == "mall_app"
    assert [(query.traces, query.plans) for query in queries] == [([running], ())]


async def test_user_has_plans_after_the_statements_of_a_superuser(database_url: str, running: str) -> None:
    statements = DEPLOYMENT.read_text().partition("```sql\n")[2].partition("```")[0]
    granted = await url_of_user(database_url, "granted_user", statements.replace(" mall", " granted_user"))
    async with told(granted, explains=True) as (database, queries):
        await database.rows("slow", SECRET)
    assert [(query.traces, len(query.plans)) for query in queries] == [([running], 1)]


async def test_slow_wait_for_a_connection_says_who_has_waited(database_url: str, running: str) -> None:
    waits: list[tuple[float, int, str]] = []

    def waited(seconds: float, waiting: int, trace: str) -> None:
        waits.append((seconds, waiting, trace))

    async with (
        open_database(database_url, size_max=1, waited=waited) as database,
        asyncio.TaskGroup() as tasks,
    ):
        first = tasks.create_task(database.rows("slow", SECRET))
        await until(lambda: database.sizes()["open"] and not database.sizes()["idle"])
        await database.rows("ping")
        await first
    [(seconds, waiting, trace)] = waits
    assert (seconds > 0.1, waiting, trace) == (True, 0, running)
    with capture_logs() as lines:
        tell_slow_wait(seconds, waiting, trace)
    assert (lines[0]["event"], lines[0]["trace_id"]) == ("waited_for_connection", running)


@pytest.mark.parametrize(
    "notice", ["", "plan:\n", "plan:\n{", "plan:\n[]", 'plan:\n{"Plan": 1}', "x plan: y"]
)
def test_any_other_notice_of_the_server_is_no_plan(notice: str) -> None:
    assert shape_of(notice) is None
