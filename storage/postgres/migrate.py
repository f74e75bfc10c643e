"""Migrations: plain SQL files, with alembic's revisions. A new database is made from the present text instead.

A revision's file has many statements and function bodies, which the extended protocol refuses in one call. So it runs
through the simple protocol of the raw asyncpg connection. Several instances may migrate at once: the first takes an
advisory lock, and the others find nothing to do.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, TypeAlias
from urllib.parse import urlsplit, urlunsplit

import asyncpg

from config.errors import CannotStart

Connection: TypeAlias = "asyncpg.Connection[asyncpg.Record]"
_ROOM = Path(__file__).parent / "migrations"
# When a machine boots, Postgres may start after this program.
BOOT_S = 30.0
# Any number that no other program uses in this database.
_LOCK = 7_061_944_301
# Since Postgres 16 a role's creator may grant it to others, but must grant it to himself before he can work as it.
_ENTER = """DO $$ BEGIN
    IF NOT pg_has_role(current_user, 'mall_app',
                       CASE WHEN current_setting('server_version_num')::int >= 160000 THEN 'SET' ELSE 'MEMBER' END) THEN
        EXECUTE format('GRANT mall_app TO %I', current_user);
    END IF;
END $$"""
# No tables, views or sequences but those of extensions.
_IS_EMPTY = """SELECT NOT EXISTS (
    SELECT FROM pg_class c
     WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p', 'v', 'm', 'S')
       AND NOT EXISTS (SELECT FROM pg_depend d
                        WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.deptype = 'e'))"""
# Without effect for a role that does not own the function.
_CHOOSE = """SELECT choose_stores_near() FROM pg_proc p
 WHERE p.oid = 'choose_stores_near(boolean)'::regprocedure AND pg_has_role(current_user, p.proowner, 'USAGE')"""

# Record the schema that this revision has made, so that `verify` finds changes by hand. Older revisions have no record.
_RECORD = """DO $$ BEGIN
    IF EXISTS (SELECT FROM pg_proc p WHERE p.oid = to_regprocedure('record_schema(text)')
                  AND pg_has_role(current_user, p.proowner, 'USAGE')) THEN
        PERFORM record_schema('{}');
    END IF;
END $$"""


class MigrationError(CannotStart):
    """The database cannot be migrated to this version. The message says what to do."""


def run_sql(name: str) -> None:
    """Run a revision's SQL file on the migration's connection."""

    async def work(connection: Connection) -> None:
        await connection.execute((_ROOM / "sql" / name).read_text())

    run(work)


def run(work: Callable[[Connection], Awaitable[None]]) -> None:
    """Run a revision's function on the migration's connection."""
    from alembic import op
    from sqlalchemy.util import await_only

    # Open the transaction that alembic shares: all of a revision or nothing.
    op.get_bind().exec_driver_sql("SELECT 1")
    raw = op.get_bind().connection.driver_connection
    assert raw is not None
    await_only(work(raw))


async def migrate(database_url: str, to: str = "head") -> str:
    """Migrate the database to the newest revision, or to an older one. Returns its name.

    Raises:
        MigrationError: the database is newer than this program, or refuses.
    """
    if to == "head" and await _is_newest(database_url):
        return newest_file()
    # Imported here because the import takes half a second of each start, and 30 MB.
    from sqlalchemy.exc import DBAPIError
    from sqlalchemy.ext.asyncio import create_async_engine
    from sqlalchemy.pool import NullPool

    engine = create_async_engine(_sqlalchemy_url(database_url), poolclass=NullPool)
    try:
        async with engine.connect() as connection:
            # The lock outlives alembic's transactions. The end of the connection releases it.
            await connection.exec_driver_sql(f"SELECT pg_advisory_lock({_LOCK})")
            await connection.commit()
            try:
                revision = await connection.run_sync(_upgrade, to)
                for statement in _settling(revision):
                    await connection.exec_driver_sql(statement)
            except (asyncpg.PostgresError, DBAPIError) as error:
                raise MigrationError(_refused(error)) from error
            await connection.commit()
            await connection.exec_driver_sql(f"SELECT pg_advisory_unlock({_LOCK})")
            return revision
    finally:
        await engine.dispose()


async def _is_newest(database_url: str) -> bool:
    """True for a database of the newest revision, after what is done at each start; an empty one becomes one.

    False: alembic must look at it.
    """
    try:
        connection = await asyncpg.connect(database_url)
        try:
            # The end of the connection releases it.
            await connection.execute(f"SELECT pg_advisory_lock({_LOCK})")
            if await connection.fetchval(_IS_EMPTY):
                await _make(connection)
            present = await connection.fetchval("SELECT version_num FROM alembic_version")
            if present != newest_file():
                return False
            for statement in _settling(present):
                await connection.execute(statement)
        finally:
            await connection.close()
    except (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError):
        return False  # the long way meets it again, and says it
    return True


async def _make(connection: Connection) -> None:
    """Make everything, as schema.sql and functions/ say; all or nothing. A test compares it with the migrations."""
    home = Path(__file__).parent
    async with connection.transaction():
        for path in (home / "schema.sql", *sorted((home / "functions").glob("*.sql"))):
            await connection.execute(path.read_text())


def _settling(revision: str) -> tuple[str, ...]:
    """What is done at each start: PostGIS, for one, may have been added or removed."""
    return _ENTER, _CHOOSE, _RECORD.format(revision)


async def wait_for(database_url: str, limit_s: float = BOOT_S) -> None:
    """Wait until Postgres accepts connections. When a machine boots, it may start after this program.

    Raises:
        MigrationError: it did not within the limit, or it refuses for good.
    """
    loop = asyncio.get_running_loop()
    until = loop.time() + limit_s
    while True:
        try:
            connection = await asyncpg.connect(database_url, timeout=5)
            await connection.close()
            return
        except (
            OSError,
            TimeoutError,
            asyncpg.CannotConnectNowError,
            asyncpg.TooManyConnectionsError,
            asyncpg.PostgresConnectionError,
            asyncpg.InterfaceError,
        ) as error:
            if loop.time() >= until:
                raise MigrationError(f"Cannot reach the database: {type(error).__name__}") from None
            await asyncio.sleep(0.25)
        except asyncpg.PostgresError as error:
            raise MigrationError(f"Postgres refuses: {error}") from None


def _refused(error: Exception) -> str:
    """Error text in one line: SQLAlchemy's text also has the statement and a link."""
    said = str(getattr(error, "orig", None) or error).partition("\n")[0]
    if "permission denied" in said or "must be owner" in said:
        said += "; `python run.py check` says what is missing and who can give it"
    return f"Postgres refuses: {said}"


def _config() -> Any:
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(_ROOM))
    return config


def newest_file() -> str:
    """The newest revision by the names of the files, without alembic."""
    return max(path.stem for path in (_ROOM / "versions").glob("[0-9]*.py"))


def newest_revision() -> tuple[str, frozenset[str]]:
    """The newest revision of this version, and all revisions that it knows."""
    from alembic.script import ScriptDirectory

    scripts = ScriptDirectory.from_config(_config())
    return str(scripts.get_current_head()), frozenset(s.revision for s in scripts.walk_revisions())


def _upgrade(connection: Any, to: str) -> str:
    from alembic import command
    from alembic.runtime.migration import MigrationContext

    config = _config()
    config.attributes["connection"] = connection
    _, known = newest_revision()
    present = MigrationContext.configure(connection).get_current_revision()
    connection.commit()
    if present is not None and present not in known:
        raise MigrationError(
            f"the database is at revision {present}, which this version does not know; "
            "start the version that made it, or a newer one"
        )
    command.upgrade(config, to)
    return str(MigrationContext.configure(connection).get_current_revision())


def _sqlalchemy_url(database_url: str) -> str:
    parts = urlsplit(database_url)
    return urlunsplit(parts._replace(scheme="postgresql+asyncpg"))
