"""Preflight checks of a Postgres server, without changes."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from urllib.parse import unquote, urlsplit

import asyncpg

from config.findings import Finding, fault, ok, warning
from storage.postgres.database import Connection
from storage.postgres.migrate import newest_revision

ROLE = "mall_app"
CONNECT_S = 5.0
OLDEST, NEWEST = 15, 18
# The transaction is read-only: Postgres itself refuses changes.
_READER = {
    "default_transaction_read_only": "on",
    "statement_timeout": "5000",
    "application_name": "mall check",
}
_GENERAL = """SELECT current_setting('server_version_num')::int / 10000 AS major,
    current_setting('server_encoding') AS encoding, pg_is_in_recovery() AS standby,
    current_setting('max_connections')::int AS connections_max,
    (SELECT count(*)::int FROM pg_stat_activity WHERE backend_type = 'client backend') AS connections,
    current_database() AS database, current_user AS me, current_schema() AS home,
    to_regclass('public.alembic_version') IS NOT NULL AS founded"""
# The right to SET ROLE: since Postgres 16 a separate one, which a role's creator does not have.
_RIGHTS = """SELECT r.rolsuper OR r.rolcreaterole AS creates_roles, r.rolsuper AS super,
    EXISTS (SELECT FROM pg_roles WHERE rolname = $1) AS role_exists,
    COALESCE((SELECT pg_has_role(current_user, oid, $2) FROM pg_roles WHERE rolname = $1), false) AS may_become,
    COALESCE((SELECT pg_has_role(current_user, oid, $3) FROM pg_roles WHERE rolname = $1), false) AS may_grant,
    has_schema_privilege(current_user, 'public', 'CREATE') AS creates_tables
  FROM pg_roles r WHERE r.rolname = current_user"""
_STRANGE_OWNERS = """SELECT array_agg(DISTINCT o.rolname::text) FROM pg_class c JOIN pg_roles o ON o.oid = c.relowner
 WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p', 'v') AND c.relname = ANY ($1)
   AND NOT pg_has_role(current_user, o.oid, 'USAGE')"""
_TABLES = ["cluster_meta", "shard", "orders", "drivers", "users", "payments", "outbox"]


def address_of(url: str) -> str:
    """Address of a URL, without its password."""
    parts = urlsplit(url)
    where = parts.netloc.rpartition("@")[2] or unquote(parts.query.partition("host=")[2])
    user = f"{unquote(parts.username)} at " if parts.username else ""
    return f"{user}{where}{parts.path}"


async def look_at_postgres(url: str, pool_size: int, shards: tuple[int, str]) -> list[Finding]:
    """Check everything that a start needs of a database.

    Args:
        url: its address.
        pool_size: connections that one instance uses.
        shards: their number and function; a database is made for one of each.
    """
    findings: list[Finding] = []
    try:
        async with _reading(url) as connection:
            await _look(connection, findings, pool_size, shards)
    except (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError, ValueError) as error:
        findings.append(refusal(url, error))
    return findings


@asynccontextmanager
async def _reading(url: str) -> AsyncIterator[Connection]:
    connection = await asyncpg.connect(url, timeout=CONNECT_S, server_settings=_READER)
    try:
        yield connection
    finally:
        connection.terminate()


def refusal(url: str, error: Exception) -> Finding:
    """Finding for a refused connection, with a remedy, without the error's text, which may have secrets."""
    where, parts = address_of(url), urlsplit(url)
    user, database = unquote(parts.username or ""), unquote(parts.path.lstrip("/"))
    if isinstance(error, asyncpg.InvalidPasswordError):
        return fault(f"Postgres refuses the password of {where}", "correct the password in DATABASE_URL")
    if isinstance(error, asyncpg.InvalidCatalogNameError):
        made = f'CREATE DATABASE "{database}" OWNER "{user}";'
        return fault(f"Postgres has no database for {where}", f"let an administrator of it run: {made}")
    if isinstance(error, asyncpg.InvalidAuthorizationSpecificationError):
        return fault(
            f"Postgres does not let in {where}: {error}", "correct DATABASE_URL, or the server's pg_hba.conf"
        )
    if isinstance(error, asyncpg.TooManyConnectionsError):
        return fault(
            f"Postgres has no connection left for {where}", "raise max_connections, or end what holds them"
        )
    if isinstance(error, asyncpg.CannotConnectNowError):
        return fault(f"Postgres at {where} is starting or stopping", "try again when it is up")
    kind = type(error).__name__
    if isinstance(error, asyncpg.PostgresError):
        return fault(
            f"Postgres at {where} refuses a look: {error}", "let its administrator look into its log"
        )
    return fault(f"Cannot reach Postgres of {where}: {kind}", "start it, or correct DATABASE_URL")


async def _look(
    connection: Connection, findings: list[Finding], pool_size: int, shards: tuple[int, str]
) -> None:
    general = await connection.fetchrow(_GENERAL)
    assert general is not None
    major = general["major"]
    findings.append(_version(major))
    if general["standby"]:
        findings.append(
            fault("Postgres is a standby: nothing can be written", "point DATABASE_URL at the primary")
        )
    if general["encoding"] != "UTF8":
        findings.append(
            fault(f"the database is encoded in {general['encoding']}", "make it anew with ENCODING 'UTF8'")
        )
    findings += _connections(general, pool_size)
    revision = None
    if general["founded"]:
        revision = await connection.fetchval("SELECT version_num FROM public.alembic_version")
    newest, known = newest_revision()
    findings.append(_schema(revision, newest, known))
    rights = await connection.fetchrow(
        _RIGHTS, ROLE, "SET" if major >= 16 else "MEMBER", "USAGE WITH ADMIN OPTION"
    )
    assert rights is not None
    findings += _role(rights, general["me"], newer=major >= 16)
    if revision is not None and revision not in known:
        return
    if revision != newest:
        findings += await _may_migrate(connection, rights, general["me"], fresh=revision is None)
    if revision is not None:
        findings += await _plan(connection, shards)


def _version(major: int) -> Finding:
    if major < OLDEST:
        return fault(f"Postgres {major} is too old", f"use Postgres {OLDEST} to {NEWEST}")
    if major > NEWEST:
        return warning(f"Postgres {major} is newer than any this version was tried with")
    return ok(f"Postgres {major}")


def _connections(general: asyncpg.Record, pool_size: int) -> list[Finding]:
    # Besides the pool: the commit lane, the creations' connection, and a migration.
    wanted, left = pool_size + 3, general["connections_max"] - general["connections"]
    if wanted <= left:
        return []
    return [
        warning(
            f"an instance takes up to {wanted} connections, of {general['connections_max']} are {left} left",
            "raise max_connections, or lower MALL_POOL_SIZE",
        )
    ]


def _schema(revision: str | None, newest: str, known: frozenset[str]) -> Finding:
    if revision is None:
        return ok(f"the database is empty; the first start makes revision {newest}")
    if revision == newest:
        return ok(f"the schema is at revision {newest}")
    if revision in known:
        return ok(f"the schema is at revision {revision}; the next start brings it to {newest}")
    return fault(
        f"the schema is at revision {revision}, which this version does not know",
        "start the version that made it, or a newer one",
    )


def _role(rights: asyncpg.Record, me: str, *, newer: bool) -> list[Finding]:
    """Check that the server can work as its role, or that a start can create it."""
    create, grant = f"CREATE ROLE {ROLE} NOLOGIN;", f'GRANT {ROLE} TO "{me}";'
    if not rights["role_exists"]:
        if rights["creates_roles"]:
            return [ok(f"the role {ROLE} will be made")]
        return [
            fault(
                f"the role {ROLE}, as which the server works, is missing, and {me} may not create roles",
                f"let an administrator of the database server run these two:\n{create}\n{grant}",
            )
        ]
    may_grant = rights["super"] or rights["may_grant"] or (rights["creates_roles"] and not newer)
    if rights["may_become"] or may_grant:
        return [ok(f"the server can work as the role {ROLE}")]
    return [
        fault(
            f"{me} may not work as the role {ROLE}",
            f"let an administrator of the database server run: {grant}",
        )
    ]


async def _may_migrate(
    connection: Connection, rights: asyncpg.Record, me: str, *, fresh: bool
) -> list[Finding]:
    findings = []
    if not rights["creates_tables"]:
        findings.append(
            fault(
                f"{me} may not create tables in the schema public",
                f'let the owner of the database run: GRANT CREATE, USAGE ON SCHEMA public TO "{me}";',
            )
        )
    owners = None if fresh else await connection.fetchval(_STRANGE_OWNERS, _TABLES)
    if owners:
        findings.append(
            fault(
                f"{me} may not change tables of {', '.join(owners)}",
                f"run `python run.py migrate` as {owners[0]}, or let an administrator run: "
                f'GRANT "{owners[0]}" TO "{me}";',
            )
        )
    return findings


async def _plan(connection: Connection, shards: tuple[int, str]) -> list[Finding]:
    try:
        row = await connection.fetchrow("SELECT shards, shard_fn FROM public.cluster_meta")
    except asyncpg.PostgresError as error:
        return [fault(f"the database cannot be read: {error}", "run as the role that migrated it")]
    if row is None or (row["shards"], row["shard_fn"]) != shards:
        return [
            fault(
                "this database was made for another number of shards or another way to count them",
                "start the program that made it",
            )
        ]
    return []
