"""Migrations on a real server."""

from __future__ import annotations

import asyncio
import re
import sys
from pathlib import Path

import asyncpg
import pytest

from dispatch.domain.order import STATUSES, TRANSITIONS
from loadtests.kit.server import ROOT
from storage.email_addresses import normal_form
from storage.embedded import EmbeddedPostgres
from storage.memory.guards import LEGAL_MOVES
from storage.postgres import migrate as migrations
from storage.postgres.migrate import MigrationError, migrate, newest_file, newest_revision
from storage.postgres.queries import BLOCKS
from tests.conftest import with_database

REVISIONS = Path(migrations.__file__).parent / "migrations" / "versions"
NEWEST = max(path.stem for path in REVISIONS.glob("[0-9]*.py"))


async def _empty(server: EmbeddedPostgres, name: str) -> str:
    owner = await asyncpg.connect(server.database_url)
    await owner.execute(f"CREATE DATABASE {name}")
    await owner.close()
    return with_database(server.database_url, name)


async def test_many_instances_may_migrate_at_once(postgres: EmbeddedPostgres) -> None:
    url = await _empty(postgres, "at_once")
    async with asyncio.TaskGroup() as tasks:
        done = [tasks.create_task(migrate(url)) for _ in range(4)]
    assert {task.result() for task in done} == {NEWEST}


async def libraries_of_a_start(url: str) -> list[str]:
    """The revision after a start in a process of its own, and the libraries of migrations that it has loaded."""
    code = (
        "import asyncio, sys; from storage.postgres.migrate import migrate\n"
        "print(asyncio.run(migrate(sys.argv[1])), *({'alembic', 'sqlalchemy'} & sys.modules.keys()))"
    )
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", code, url, cwd=ROOT, stdout=asyncio.subprocess.PIPE
    )
    said, _ = await process.communicate()
    return said.decode().split()


async def test_start_on_a_new_database_or_one_that_is_up_to_date_loads_no_migration_library(
    postgres: EmbeddedPostgres,
) -> None:
    url = await _empty(postgres, "made_at_once")
    for _ in range(2):
        assert await libraries_of_a_start(url) == [NEWEST]


async def test_database_with_anything_in_it_is_migrated_and_not_made(postgres: EmbeddedPostgres) -> None:
    url = await _empty(postgres, "of_somebody")
    owner = await asyncpg.connect(url)
    await owner.execute("CREATE TABLE of_somebody_else (id integer)")
    assert await libraries_of_a_start(url) != [NEWEST]
    assert await owner.fetchval("SELECT version_num FROM alembic_version") == NEWEST
    await owner.close()


async def test_database_that_cannot_be_made_stays_empty(postgres: EmbeddedPostgres) -> None:
    url = await _empty(postgres, "unmade")
    owner = await asyncpg.connect(url)
    await owner.execute(
        "CREATE FUNCTION way_s(jsonb, double precision) RETURNS integer LANGUAGE sql RETURN 1"
    )
    with pytest.raises(MigrationError):
        await migrate(url)
    assert await owner.fetchval("SELECT to_regclass('orders') IS NULL AND to_regclass('zones') IS NULL")
    await owner.close()


def test_newest_file_is_the_end_of_the_chain_of_revisions() -> None:
    newest, known = newest_revision()
    assert newest_file() == newest == max(known)


async def test_every_start_chooses_the_search_for_stores_anew(database_url: str) -> None:
    owner = await asyncpg.connect(database_url)
    of_search = "obj_description('stores_near(float8,float8,float8,integer)'::regprocedure, 'pg_proc')"
    before = await owner.fetchval(f"SELECT {of_search}")
    await owner.execute("COMMENT ON FUNCTION stores_near(float8, float8, float8, integer) IS 'of yesterday'")
    await migrate(database_url)
    assert await owner.fetchval(f"SELECT {of_search}") == before
    await owner.close()


async def test_database_of_a_newer_version_is_refused_untouched(database_url: str) -> None:
    owner = await asyncpg.connect(database_url)
    await owner.execute("UPDATE alembic_version SET version_num = '9999_future'")
    with pytest.raises(MigrationError, match="9999_future"):
        await migrate(database_url)
    assert await owner.fetchval("SELECT version_num FROM alembic_version") == "9999_future"
    await owner.close()


async def test_revision_that_fails_leaves_nothing_behind(postgres: EmbeddedPostgres) -> None:
    url = await _empty(postgres, "half_done")
    owner = await asyncpg.connect(url)
    await owner.execute("CREATE TABLE outbox (id integer)")  # the first revision ends at its own outbox
    with pytest.raises(MigrationError):
        await migrate(url)
    assert await owner.fetchval("SELECT to_regclass('orders')") is None
    await owner.execute("DROP TABLE outbox")
    assert await migrate(url) == NEWEST
    await owner.close()


async def test_accounts_of_before_are_found_by_the_form_of_their_address(postgres: EmbeddedPostgres) -> None:
    url = await _empty(postgres, "addresses")
    assert await migrate(url, "0012_slots") == "0012_slots"
    owner = await asyncpg.connect(url)
    written = ["Ann@X.org", "\u00c4nne@x.org", "\u0130van@x.org", "stra\u00dfe@x.org", "strasse@x.org"]
    for email in written:
        await owner.execute("INSERT INTO users (email, role, name) VALUES ($1, 'customer', 'N')", email)
    await migrate(url)
    keys = [row[0] for row in await owner.fetch("SELECT email_key FROM users ORDER BY id")]
    assert keys[:3] == [normal_form(email) for email in written[:3]]
    assert sorted(keys[3:]) == ["strasse@x.org", "strasse@x.org usr_4"], "plain addresses keep theirs"
    by_hand = (
        "INSERT INTO users (email, role, name) VALUES ('By@Hand.org', 'customer', 'N') RETURNING email_key"
    )
    assert await owner.fetchval(by_hand) == "by@hand.org"
    changed = "UPDATE users SET email = 'Other@Hand.org' WHERE email = 'By@Hand.org' RETURNING email_key"
    assert await owner.fetchval(changed) == "other@hand.org"
    await owner.close()


async def test_every_named_block_prepares(database_url: str) -> None:
    owner = await asyncpg.connect(database_url)
    await owner.execute("SET ROLE mall_app")
    for name, block in BLOCKS.items():
        try:
            await owner.prepare(block)
        except asyncpg.PostgresError as error:
            pytest.fail(f"{name}: {error}")
    await owner.close()


async def test_three_tables_of_legal_moves_agree(database_url: str) -> None:
    """The pure table, the function that guards the rows, and the twin."""
    pure = {(a, b) for (a, _), b in TRANSITIONS.items()}
    owner = await asyncpg.connect(database_url)
    guarded = {
        (a, b)
        for a in STATUSES
        for b in STATUSES
        if a != b and await owner.fetchval("SELECT order_move_legal($1, $2)", a, b)
    }
    await owner.close()
    paid = {("awaiting_payment", "confirmed")}
    assert pure == guarded == set(LEGAL_MOVES)
    assert paid <= pure


async def test_every_foreign_key_has_an_index(database_url: str) -> None:
    owner = await asyncpg.connect(database_url)
    bare = await owner.fetch(
        """SELECT c.conrelid::regclass AS place, c.conname FROM pg_constraint c
            WHERE c.contype = 'f' AND NOT EXISTS (
                SELECT FROM pg_index i WHERE i.indrelid = c.conrelid AND i.indkey[0] = c.conkey[1])"""
    )
    await owner.close()
    assert [tuple(row) for row in bare] == []


# Tables of a few rows, which are read whole on purpose.
SMALL = {
    "cluster_meta",
    "signing_key",
    "zones",
    "shard",
    "event_log_end",
    "webhook_endpoints",
    "job_schedules",
    "outbox",
    "report_cursor",
}


async def test_every_query_can_be_answered_by_an_index(database_url: str) -> None:
    """With sequential scans priced out, a plan that still has one has no index to use."""
    owner = await asyncpg.connect(database_url)
    await owner.execute("SET enable_seqscan = off; SET plan_cache_mode = force_generic_plan")
    bare = []
    for name, block in BLOCKS.items():
        await owner.execute(f"PREPARE {name} AS {block}")
        count = max((int(n) for n in re.findall(r"\$([0-9]+)", block)), default=0)
        given = f"({', '.join(['NULL'] * count)})" if count else ""
        plan = await owner.fetch(f"EXPLAIN EXECUTE {name}{given}")
        scans = [row[0].split("Seq Scan on ")[1].split()[0] for row in plan if "Seq Scan on " in row[0]]
        # A total of version 1 counts them all, and a restored database begins with an empty log.
        whole = name.endswith("_total") or name == "empty_log"
        bare += [f"{name}: {table}" for table in scans if table not in SMALL and not whole]
    await owner.close()
    assert bare == []
