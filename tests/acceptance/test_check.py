"""`run.py check`: it looks at everything, changes nothing, and ends with 1 when something stands in the way."""

from __future__ import annotations

import hashlib
import signal
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import asyncpg
import pytest

from api.operator.preflight import look_at_everything
from config.findings import report
from config.settings import load_settings
from loadtests.kit.server import ServerProcess, free_run
from storage.embedded import EmbeddedPostgres, EmbeddedValkey
from storage.postgres.migrate import migrate
from tests.conftest import with_database
from tests.support.program import run

ADMIN = {"MALL_ADMIN_PASSWORD": "a password for tests"}
# Everything in a database that a migration, or a careless look, would leave behind.
TRACES = """SELECT (SELECT count(*) FROM pg_class), (SELECT count(*) FROM pg_proc), (SELECT count(*) FROM pg_roles),
    (SELECT count(*) FROM pg_auth_members), (SELECT count(*) FROM pg_extension),
    (SELECT array_agg(datacl::text ORDER BY oid) FROM pg_database)"""


def as_user(url: str, user: str) -> str:
    """The same database for somebody else."""
    parts = urlsplit(url)
    return urlunsplit(parts._replace(netloc=f"{user}@{parts.netloc.rpartition('@')[2]}"))


def ports() -> dict[str, str]:
    first = free_run(2)
    return {"MALL_PORT": str(first), "MALL_OPS_PORT": str(first + 1)}


@asynccontextmanager
async def owner_of(url: str) -> AsyncIterator[asyncpg.Connection[asyncpg.Record]]:
    connection = await asyncpg.connect(url)
    try:
        yield connection
    finally:
        await connection.close()


@contextmanager
def own_postgres(folder: Path, name: str) -> Iterator[EmbeddedPostgres]:
    """A Postgres without the role of the server: roles are the whole server's, so it cannot be shared."""
    with EmbeddedPostgres(folder / name, durable=False) as server:
        yield server


async def make(server: EmbeddedPostgres, user: str, *, rights: str = "") -> str:
    """An ordinary user with an empty database of its own; returns its address."""
    async with owner_of(server.database_url) as owner:
        await owner.execute(f"CREATE ROLE {user} LOGIN {rights}")
        await owner.execute(f"CREATE DATABASE {user} OWNER {user}")
    return as_user(with_database(server.database_url, user), user)


def leftovers(folder: Path) -> dict[str, str]:
    """Every file and what is in it."""
    return {
        str(path): hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else ""
        for path in sorted(folder.rglob("*"))
        if path.is_file() or path.is_dir()
    }


async def check(url: str, redis_url: str, **environ: str) -> tuple[int, str]:
    """What the command would end with and say, without the time that a process takes."""
    settings = load_settings({"DATABASE_URL": url, "REDIS_URL": redis_url, **ADMIN, **ports(), **environ})
    findings = await look_at_everything(settings)
    text, code = report(findings)
    return code, text


async def test_empty_database_is_as_empty_as_before(short_tmp_path: Path, valkey: EmbeddedValkey) -> None:
    with own_postgres(short_tmp_path, "check-empty") as server:
        async with owner_of(server.database_url) as owner:
            before = await owner.fetchrow(TRACES)
            code, said = await run(
                "check", DATABASE_URL=server.database_url, REDIS_URL=valkey.redis_url, **ADMIN, **ports()
            )
            assert code == 0, said
            assert "the first start makes revision" in said
            assert await owner.fetchrow(TRACES) == before


async def test_database_of_an_older_version_stays_at_its_revision(database_url: str, redis_url: str) -> None:
    async with owner_of(database_url) as owner:
        await owner.execute("UPDATE alembic_version SET version_num = '0011_order_listing'")
        code, said = await check(database_url, redis_url)
        assert code == 0, said
        assert "0011_order_listing; the next start brings it to" in said
        assert await owner.fetchval("SELECT version_num FROM alembic_version") == "0011_order_listing"


async def test_database_of_a_newer_version_is_a_fault(database_url: str, redis_url: str) -> None:
    async with owner_of(database_url) as owner:
        await owner.execute("UPDATE alembic_version SET version_num = '9999_future'")
    code, said = await check(database_url, redis_url)
    assert code == 1
    assert "9999_future" in said


async def test_database_of_another_plan_is_a_fault(database_url: str, redis_url: str) -> None:
    async with owner_of(database_url) as owner:
        await owner.execute("ALTER TABLE cluster_meta DISABLE TRIGGER ALL")
        await owner.execute("UPDATE cluster_meta SET shard_fn = 'md5/kind'")
    code, said = await check(database_url, redis_url)
    assert code == 1
    assert "another number of shards" in said


async def test_user_who_may_not_create_roles_gets_the_two_statements_and_they_are_enough(
    short_tmp_path: Path, redis_url: str
) -> None:
    with own_postgres(short_tmp_path, "check-poor") as server:
        url = await make(server, "poor")
        code, said = await check(url, redis_url)
        assert code == 1
        statements = [line.strip() for line in said.splitlines() if line.strip().endswith(";")]
        assert statements == ["CREATE ROLE mall_app NOLOGIN;", 'GRANT mall_app TO "poor";']
        code, told = await run("migrate", DATABASE_URL=url, **ADMIN)
        assert (code, "run.py check" in told, "Traceback" in told) == (2, True, False), told
        async with owner_of(server.database_url) as owner:
            for statement in statements:
                await owner.execute(statement)
        assert (await check(url, redis_url))[0] == 0
        await migrate(url)
        code, said = await check(url, redis_url)
        assert code == 0, said


async def test_role_that_exists_and_is_not_ours_takes_one_statement(
    short_tmp_path: Path, redis_url: str
) -> None:
    with own_postgres(short_tmp_path, "check-grant") as server:
        url = await make(server, "poor")
        async with owner_of(server.database_url) as owner:
            await owner.execute("CREATE ROLE mall_app NOLOGIN")
        code, said = await check(url, redis_url)
        assert code == 1
        assert 'GRANT mall_app TO "poor";' in said
        assert "CREATE ROLE" not in said


async def test_user_who_may_create_roles_and_is_no_superuser_can_start(
    short_tmp_path: Path, redis_url: str
) -> None:
    """From Postgres 16 on creating a role does not include working as it."""
    with own_postgres(short_tmp_path, "check-able") as server:
        url = await make(server, "able", rights="CREATEROLE")
        code, said = await check(url, redis_url)
        assert code == 0, said
        await migrate(url)
        async with owner_of(url) as connection:
            await connection.execute("SET ROLE mall_app")
            assert await connection.fetchval("SELECT shards FROM cluster_meta") > 0


async def test_schema_in_which_no_table_can_be_made_is_a_fault(short_tmp_path: Path, redis_url: str) -> None:
    with own_postgres(short_tmp_path, "check-schema") as server:
        url = await make(server, "guest", rights="CREATEROLE")
        async with owner_of(with_database(server.database_url, "guest")) as owner:
            await owner.execute("ALTER DATABASE guest OWNER TO mall")
        code, said = await check(url, redis_url)
        assert code == 1
        assert 'GRANT CREATE, USAGE ON SCHEMA public TO "guest";' in said


async def test_tables_of_somebody_else_are_a_fault_when_they_must_change(
    short_tmp_path: Path, redis_url: str
) -> None:
    with own_postgres(short_tmp_path, "check-owner") as server:
        await migrate(server.database_url)
        async with owner_of(server.database_url) as owner:
            await owner.execute("CREATE ROLE late LOGIN CREATEROLE")
            await owner.execute("GRANT mall_app TO late")
            await owner.execute("GRANT CREATE ON SCHEMA public TO late")
            await owner.execute("GRANT SELECT ON alembic_version TO late")
            await owner.execute("UPDATE alembic_version SET version_num = '0011_order_listing'")
        code, said = await check(as_user(server.database_url, "late"), redis_url)
        assert code == 1
        assert "late may not change tables of mall" in said


async def test_wrong_password_of_redis_is_named_and_not_shown(
    database_url: str, valkey: EmbeddedValkey
) -> None:
    await _require(valkey, "the right one")
    url = valkey.redis_url.replace("unix://", "unix://:the-wrong-one@")
    code, said = await check(database_url, url)
    assert code == 1
    assert "it refuses the user or the password" in said
    assert "REDIS_URL" in said
    assert "the-wrong-one" not in said
    code, said = await check(database_url, valkey.redis_url)
    assert code == 1
    assert "it asks for a password" in said


async def test_user_of_redis_without_scripts_is_a_fault(database_url: str, valkey: EmbeddedValkey) -> None:
    await _require(valkey, "", "ACL", "SETUSER", "reader", "on", ">reading-1", "~*", "+@read", "+ping")
    code, said = await check(database_url, valkey.redis_url.replace("unix://", "unix://reader:reading-1@"))
    assert code == 1
    assert "lacks a permission" in said


async def test_silence_is_a_fault_for_both_servers_at_once() -> None:
    [nobody] = [free_run(1)]
    url = f"postgresql://mall:very-hidden-1@127.0.0.1:{nobody}/mall"
    redis_url = f"redis://:very-hidden-2@127.0.0.1:{nobody}/0"
    code, said = await run("check", DATABASE_URL=url, REDIS_URL=redis_url, **ADMIN, **ports())
    assert code == 1
    assert f"Cannot reach Postgres of mall at 127.0.0.1:{nobody}/mall" in said
    assert f"Redis at 127.0.0.1:{nobody}/0: it cannot be reached" in said
    assert "2 faults" in said
    assert "very-hidden" not in said
    assert "Traceback" not in said


async def test_database_that_is_missing_is_named_with_the_statement_that_makes_it(
    postgres: EmbeddedPostgres, redis_url: str
) -> None:
    code, said = await check(with_database(postgres.database_url, "nowhere"), redis_url)
    assert code == 1
    assert 'CREATE DATABASE "nowhere" OWNER "mall";' in said


async def test_port_of_another_program_is_a_fault_and_one_of_ours_is_not(
    short_tmp_path: Path, database_url: str, redis_url: str
) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        code, said = await check(database_url, redis_url, MALL_PORT=str(taken.getsockname()[1]))
    assert code == 1
    assert "it is taken; set MALL_PORT" in said
    server = ServerProcess(short_tmp_path / "check-beside")
    await server.start()
    try:
        environ = {key: server.environ[key] for key in ("MALL_PORT", "MALL_OPS_PORT", "MALL_DATA_DIR")}
        code, said = await run("check", **environ)
        assert code == 0, said
        assert "embedded servers are running" in said
        assert "runs at 127.0.0.1" in said
    finally:
        await server.stop()


async def test_embedded_data_are_looked_at_and_not_touched(short_tmp_path: Path) -> None:
    fresh = short_tmp_path / "check-fresh"
    code, said = await run("check", MALL_DATA_DIR=str(fresh), **ports())
    assert code == 0, said
    assert "no data yet" in said
    assert not fresh.exists()
    server = ServerProcess(short_tmp_path / "check-used")
    await server.start()
    await server.stop(signal.SIGTERM)
    before = leftovers(server.data_dir)
    code, said = await run("check", MALL_DATA_DIR=str(server.data_dir), **ports())
    assert code == 0, said
    assert "data of Postgres" in said
    assert leftovers(server.data_dir) == before


async def test_what_a_killed_server_left_behind_is_not_taken_for_a_server(short_tmp_path: Path) -> None:
    server = ServerProcess(short_tmp_path / "check-killed")
    await server.start()
    await server.kill()
    assert (server.data_dir / "addresses.json").exists()
    [user] = await server.mint("driver", 1, "--zone", "zon_1")
    assert user["role"] == "driver"


async def test_wrong_setting_stands_in_the_way() -> None:
    code, said = await run("check", MALL_PORT="http")
    assert code == 1
    assert "MALL_PORT" in said
    assert "Traceback" not in said


@pytest.mark.parametrize(
    ("gateway", "expected"), [("", "orders by card are refused"), ("sandbox", "no money moves")]
)
async def test_missing_or_playing_gateway_is_a_warning(
    gateway: str, expected: str, database_url: str, redis_url: str
) -> None:
    code, said = await check(database_url, redis_url, MALL_GATEWAY_URL=gateway)
    assert code == 0, said
    assert expected in said


async def _require(valkey: EmbeddedValkey, password: str, *command: str) -> None:
    from redis.asyncio import Redis

    client: Any = Redis.from_url(valkey.redis_url)
    if command:
        await client.execute_command(*command)
    else:
        await client.config_set("requirepass", password)
    await client.aclose()
