"""The present text of the schema (storage/postgres/schema.sql, functions/) makes the database that migrations make."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import asyncpg
import pytest

from storage.embedded import EmbeddedPostgres
from storage.postgres import migrate as migrations
from storage.postgres.audit import audit
from storage.postgres.migrate import migrate, newest_file, newest_revision
from tests.conftest import with_database
from tests.integration.test_verify import LAW
from tests.support.database_shape import Connection, Shape, differences, shape_of

HOME = Path(migrations.__file__).parent
TEXTS = [HOME / "schema.sql", *sorted((HOME / "functions").glob("*.sql"))]
PRESENT, MIGRATED = "present text", "migrations"


@asynccontextmanager
async def _connected(url: str) -> AsyncIterator[Connection]:
    connection = await asyncpg.connect(url)
    try:
        yield connection
    finally:
        await connection.close()


async def _empty(server_url: str, name: str) -> str:
    async with _connected(server_url) as owner:
        await owner.execute(f"CREATE DATABASE {name}")
    return with_database(server_url, name)


async def fill_from_text(url: str) -> None:
    """Make everything in an empty database, as the present text says."""
    async with _connected(url) as owner, owner.transaction():
        for path in TEXTS:
            await owner.execute(path.read_text())
        # As each migration does at its end.
        await owner.execute("SELECT record_schema(version_num) FROM alembic_version")


async def by_alembic(url: str) -> None:
    """Make everything in an empty database by all migrations, one after the other."""
    assert await migrate(url, newest_file()) == newest_file()


async def _shape(url: str, *, postgis: bool = False) -> Shape:
    async with _connected(url) as owner:
        body = await owner.fetchval("SELECT choose_stores_near($1)", postgis)
        if postgis and body != "postgis":
            pytest.skip("needs PostGIS in this Postgres")
        return await shape_of(owner)


@pytest.fixture(params=["template_server", pytest.param("template_server_15", marks=pytest.mark.long)])
def server_url(request: pytest.FixtureRequest) -> str:
    """A Postgres that has a migrated database to be copied."""
    return str(request.getfixturevalue(request.param))


@pytest.mark.parametrize("body", ["box", "postgis"])
async def test_present_text_makes_the_database_that_the_migrations_make(server_url: str, body: str) -> None:
    by_migrations = await _empty(server_url, f"from_migrations_{body}")
    await by_alembic(by_migrations)
    migrated = await _shape(by_migrations, postgis=body == "postgis")
    url = await _empty(server_url, f"from_text_{body}")
    await fill_from_text(url)
    found = differences(await _shape(url, postgis=body == "postgis"), migrated, (PRESENT, MIGRATED))
    assert not found, "\n\n".join(
        ["storage/postgres/README.md says how a change is made; differs:", *found.values()]
    )


_ROLE = """SELECT r.rolsuper, r.rolinherit, r.rolcreaterole, r.rolcreatedb, r.rolcanlogin, r.rolreplication,
       r.rolbypassrls, r.rolconnlimit, r.rolconfig, pg_has_role(current_user, r.oid, 'MEMBER') AS owner_is_member,
       ARRAY(SELECT m.roleid::regrole::text FROM pg_auth_members m WHERE m.member = r.oid) AS member_of
  FROM pg_roles r WHERE r.rolname = 'mall_app'"""


async def test_present_text_makes_the_role_on_a_server_that_has_none(short_tmp_path: Path) -> None:
    made = []
    with EmbeddedPostgres(short_tmp_path / "pg-without-role", durable=False) as server:
        for make in (fill_from_text, by_alembic):
            url = await _empty(server.database_url, "of_role")
            await make(url)
            async with _connected(url) as owner:
                made.append(await owner.fetchrow(_ROLE))
                await owner.execute("DROP OWNED BY mall_app; DROP ROLE mall_app")
            async with _connected(server.database_url) as owner:
                await owner.execute("DROP DATABASE of_role")
    assert made[0] is not None
    assert made[0] == made[1]


async def test_start_and_verify_find_nothing_to_do_in_a_database_from_the_present_text(
    template_server: str,
) -> None:
    url = await _empty(template_server, "from_text_started")
    await fill_from_text(url)
    before = await _shape(url)
    assert await migrate(url) == newest_revision()[0]
    assert differences(before, await _shape(url), ("before the start", "after it")) == {}
    report = await audit(url, LAW)
    assert report.holds, report.text()


@pytest.fixture(scope="module")
async def text_url(template_server: str) -> str:
    url = await _empty(template_server, "from_text_planted")
    await fill_from_text(url)
    return url


@pytest.fixture(scope="module")
async def text_shape(text_url: str) -> Shape:
    return await _shape(text_url)


_CHANGED_BODY = """DO $$ BEGIN
    EXECUTE replace(pg_get_functiondef('flush_drivers(jsonb)'::regprocedure), 'd.version = i.version AND', '');
END $$"""
# A change by hand, the objects that must be named, and what the report must say.
PLANTED = [
    (_CHANGED_BODY, ["function flush_drivers(jsonb)"], "d.version = i.version"),
    ("ALTER FUNCTION create_orders(jsonb) RESET enable_seqscan", ["function create_orders(jsonb)"], "seqscan"),
    ("ALTER FUNCTION blockers SECURITY INVOKER",
     ["function blockers(integer[],bigint[],bigint[],bigint[])"], "SECURITY DEFINER"),
    ("DROP FUNCTION trim_expired", ["function trim_expired(integer,integer)"], f"nothing in {MIGRATED}"),
    ("CREATE FUNCTION flush(integer) RETURNS integer LANGUAGE sql AS 'SELECT 1'", ["function flush(integer)"],
     f"nothing in {PRESENT}"),
    ("COMMENT ON FUNCTION stores_near IS 'postgis 1'",
     ["function stores_near(double precision,double precision,double precision,integer)"], "postgis 1"),
    ("COMMENT ON COLUMN orders.round IS 'of offers'", ["column orders.round"], "of offers"),
    ("GRANT EXECUTE ON FUNCTION flush_orders TO mall_app", ["function flush_orders(jsonb)"], "mall_app EXECUTE"),
    ("ALTER FUNCTION order_move_legal OWNER TO mall_app", ["function order_move_legal(text,text)"], "mall_app"),
    ("CREATE TABLE extra ()", ["table extra"], f"nothing in {PRESENT}"),
    ("ALTER TABLE shard SET (fillfactor = 90)", ["table shard"], "fillfactor=50"),
    ("ALTER TABLE drivers ENABLE ROW LEVEL SECURITY", ["table drivers"], "storage of"),
    ("GRANT UPDATE ON assignment TO mall_app", ["table assignment"], "mall_app UPDATE"),
    ("REVOKE SELECT ON idempotency FROM mall_app", ["table idempotency"], "mall_app SELECT"),
    ("GRANT SELECT ON users TO PUBLIC", ["table users"], "everybody SELECT"),
    ("ALTER TABLE outbox OWNER TO mall_app", ["sequence outbox_id_seq", "table outbox"], "mall_app"),
    ("ALTER TABLE zones ADD extra text GENERATED ALWAYS AS (upper(name)) STORED", ["column zones.extra"], "upper"),
    ("ALTER TABLE drivers DROP located_at",
     ["column drivers.located_at", "column drivers.shift_ends_at", "column drivers.unreachable_at"],
     f"nothing in {MIGRATED}"),
    ("ALTER TABLE sessions ALTER network SET DEFAULT ''", ["column sessions.network"], "DEFAULT"),
    ("ALTER TABLE sessions ALTER network SET NOT NULL",
     ["column sessions.network", "constraint sessions.sessions_network_not_null"], "NOT NULL"),
    ("ALTER TABLE products ALTER store_active DROP NOT NULL",
     ["column products.store_active", "constraint products.products_store_active_not_null"], "NOT NULL"),
    ("ALTER TABLE stores ALTER preparation_s TYPE bigint", ["column stores.preparation_s"], "bigint"),
    ("GRANT UPDATE (name) ON zones TO mall_app", ["column zones.name"], "mall_app=w"),
    ("ALTER TABLE assignment DROP CONSTRAINT assignment_driver_id_slot_key",
     ["constraint assignment.assignment_driver_id_slot_key", "index assignment_driver_id_slot_key"], "UNIQUE"),
    ("ALTER TABLE orders ADD CHECK (round > 0) NOT VALID", ["constraint orders.orders_round_check"], "NOT VALID"),
    ("DROP INDEX orders_due; CREATE INDEX orders_due ON orders (due_at)", ["index orders_due"], "shard"),
    ("DROP INDEX users_email_key", ["index users_email_key"], "UNIQUE INDEX"),
    ("ALTER TABLE orders DISABLE TRIGGER listed", ["trigger orders.listed"], "CREATE TRIGGER"),
    ("DROP TRIGGER stock_set ON products", ["trigger products.stock_set"], "CREATE TRIGGER"),
    ("CREATE RULE none AS ON DELETE TO orders DO INSTEAD NOTHING", ["rule orders.none"], "DO INSTEAD"),
    ("CREATE POLICY own ON orders USING (true)", ["policy orders.own"], "nothing in"),
    ("ALTER SEQUENCE order_id_seq INCREMENT 2", ["sequence order_id_seq"], "INCREMENT 2"),
    ("GRANT UPDATE ON SEQUENCE order_id_seq TO mall_app", ["sequence order_id_seq"], "mall_app UPDATE"),
    ("CREATE OR REPLACE VIEW zone_rows AS SELECT id, name, mode, wave_size, offer_ttl_s, 'x' AS writer,"
     " offer_distance_max_m, release_pause_s, give_up_after_s, plan, planning,"
     " NULL::float8 AS learned_speed_m_per_s, NULL::jsonb AS ready_spreads,"
     " queue_radius_m, NULL::float8 AS queue_lat, NULL::float8 AS queue_lon FROM zones", ["view zone_rows"], "'x'"),
    ("CREATE TYPE extra AS ENUM ('a')", ["type extra"], "nothing in"),
    ("CREATE EXTENSION pg_trgm", ["extension pg_trgm"], "nothing in"),
    ("CREATE SCHEMA extra", ["schema extra"], "nothing in"),
    ("CREATE STATISTICS extra ON zone_id, status FROM orders", ["statistics extra"], "nothing in"),
    ("REVOKE USAGE ON SCHEMA public FROM PUBLIC", ["schema public"], "everybody USAGE"),
    ("ALTER DEFAULT PRIVILEGES GRANT UPDATE ON TABLES TO mall_app", ["default privileges"], "mall_app=w"),
    ("DO $$ BEGIN EXECUTE 'ALTER DATABASE ' || current_database() || ' SET jit = off'; END $$",
     ["settings of the database"], "jit=off"),
    ("DELETE FROM shard WHERE id = 255", ["table shard"], "255"),
    ("UPDATE cluster_meta SET shard_fn = 'other'", ["table cluster_meta"], "other"),
    ("INSERT INTO zones (name) VALUES ('left behind')", ["table zones"], "left behind"),
    ("UPDATE alembic_version SET version_num = '0001_tables'", ["table alembic_version"], "0001_tables"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("planted", "named", "said"), PLANTED, ids=[planted[:60] for planted, _, _ in PLANTED]
)
async def test_difference_is_named_and_shown(
    planted: str, named: list[str], said: str, text_url: str, text_shape: Shape
) -> None:
    async with _connected(text_url) as owner:
        change = owner.transaction()
        await change.start()
        await owner.execute(planted)
        other = await shape_of(owner)
        await change.rollback()
    found = differences(text_shape, other, (PRESENT, MIGRATED))
    assert sorted(found) == sorted(differences(other, text_shape, (MIGRATED, PRESENT))), "both ways"
    assert len(found) == len(named)
    for name, expected in zip(sorted(found), sorted(named), strict=True):
        assert name.startswith(expected)
    assert said in "\n".join(found.values())
