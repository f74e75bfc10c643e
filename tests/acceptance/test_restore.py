"""A backup, taken while the server works, is restored into an empty Postgres: what that gives back, and what not.

Between the backup and the loss of the database there are orders and payments that the restored one knows nothing of.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, NamedTuple

import asyncpg
import pytest

from loadtests.kit.client import Mall, Phone, open_http
from loadtests.kit.fixtures import number_of
from loadtests.kit.server import ServerProcess, open_server
from loadtests.kit.waiting import until
from storage.embedded import EmbeddedPostgres, EmbeddedValkey
from storage.embedded.binaries import find_postgres
from tests.acceptance.running_mall import MallZone, RunningMall
from tests.support.program import run

LIMIT_S = 120.0
pytestmark = pytest.mark.timeout(300)


async def client_program(name: str, *arguments: str) -> tuple[int, str]:
    """A program of Postgres: pg_dump, pg_restore, psql."""
    process = await asyncio.create_subprocess_exec(
        str(find_postgres() / name),
        *arguments,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    async with asyncio.timeout(LIMIT_S):
        said, _ = await process.communicate()
    return process.returncode or 0, said.decode()


async def back_up(database_url: str, path: Path) -> None:
    """As UPGRADING.md says it."""
    code, said = await client_program("pg_dump", "--format=custom", f"--file={path}", database_url)
    assert code == 0, said


async def restore(path: Path, database_url: str) -> None:
    """As UPGRADING.md says it: the role first, then the rest."""
    code, said = await client_program("psql", "-d", database_url, "-c", "CREATE ROLE mall_app NOLOGIN")
    assert code == 0, said
    code, said = await client_program(
        "pg_restore",
        "--no-owner",
        "--exit-on-error",
        "--single-transaction",
        f"--dbname={database_url}",
        str(path),
    )
    assert code == 0, said


class Before(NamedTuple):
    """What people know from the time before."""

    kept: str
    lost: str
    epoch: str | None
    seq: int | None


@asynccontextmanager
async def serving(
    folder: Path, database_url: str, valkey: EmbeddedValkey
) -> AsyncIterator[tuple[ServerProcess, RunningMall]]:
    environ = {
        "DATABASE_URL": database_url,
        "REDIS_URL": valkey.redis_url,
        "MALL_GATEWAY_URL": "sandbox",
        "MALL_WORK": "on",
    }
    async with open_server(folder, environ) as process, open_http() as http:
        [admin] = await process.mint("admin", 1, "--prefix", folder.name)
        mall = RunningMall(process, http, {"admin": admin["access_token"], "customer": "", "other": ""})
        yield process, mall


def order_of(product: str, payment: str = "card") -> Mapping[str, Any]:
    return {
        "items": [{"product_id": product, "quantity": 1}],
        "dropoff": {"lat": 1.01, "lon": 2.01, "address": "Door 1"},
        "payment": payment,
    }


async def placed(mall: Mall, product: str, key: str, payment: str = "cash") -> str:
    answer = await mall.do("POST", "/api/v2/orders", order_of(product, payment), key=key)
    return str(answer["id"])


async def test_restored_database_is_whole_and_gives_nothing_twice(
    database_url: str, valkey: EmbeddedValkey, short_tmp_path: Path
) -> None:
    dump = short_tmp_path / "mall.dump"
    async with serving(short_tmp_path / "before", database_url, valkey) as (process, mall):
        [person] = await process.mint("customer", 1, "--prefix", "restore")
        customer = mall.anybody.as_(person["access_token"])
        zone: MallZone = await mall.zone()
        [rider] = await process.mint("driver", 1, "--prefix", "restore-driver", "--zone", zone.id)
        kept = await placed(customer, zone.product_id, "key-of-a-kept-order")
        phone = Phone(mall.anybody.as_(rider["access_token"]))
        async with phone.connected():
            await phone.ask({"t": "availability", "status": "online", "key": "restore-online-1"})
            await logged(database_url)
            await back_up(database_url, dump)
            lost = await placed(customer, zone.product_id, "key-of-a-lost-order")
        before = Before(kept, lost, phone.position.epoch, phone.position.seq)
    numbers = await numbers_of(database_url)
    with EmbeddedPostgres(short_tmp_path / "after", durable=False) as empty:
        await restore(dump, empty.database_url)
        code, said = await run("restored", DATABASE_URL=empty.database_url)
        assert code == 0, said
        renewed = await numbers_of(empty.database_url)
        assert [name for name, last in numbers.items() if renewed[name] <= last + 1_000_000] == []
        async with serving(short_tmp_path / "again", empty.database_url, valkey) as (_, mall):
            await compare(mall, before, person, rider, zone.product_id)
            await logged(empty.database_url)
        code, said = await run("verify", DATABASE_URL=empty.database_url)
        assert code == 0, said


async def numbers_of(database_url: str) -> dict[str, int]:
    """The last number of each sequence, and the last place of the event log."""
    connection = await asyncpg.connect(database_url)
    try:
        rows = await connection.fetch(
            "SELECT c.relname AS name, coalesce(pg_sequence_last_value(c.oid), 0) AS last FROM pg_class c"
            " WHERE c.relkind = 'S' UNION ALL SELECT 'places', pos FROM event_log_end"
        )
    finally:
        await connection.close()
    return {row["name"]: row["last"] for row in rows}


async def logged(database_url: str) -> None:
    """Wait for an event in the log."""

    async def some() -> bool:
        connection = await asyncpg.connect(database_url)
        try:
            return bool(await connection.fetchval("SELECT count(*) FROM event_log"))
        finally:
            await connection.close()

    assert await until(some, LIMIT_S)


async def compare(
    mall: RunningMall, before: Before, person: dict[str, Any], rider: dict[str, Any], product: str
) -> None:
    """Idempotency, numbers and feeds after the restore."""
    customer = mall.anybody.as_(person["access_token"])
    assert await placed(customer, product, "key-of-a-kept-order") == before.kept
    again = await placed(customer, product, "key-of-a-lost-order")
    assert number_of(again) > number_of(before.lost) + 1_000_000
    phone = Phone(mall.anybody.as_(rider["access_token"]))
    phone.position.epoch, phone.position.seq = before.epoch, before.seq
    async with phone.connected():
        assert phone.position.epoch != before.epoch
        assert phone.position.snapshots == 1
        assert phone.position.faults == []


async def test_command_refuses_while_an_instance_works_on_the_database(
    database_url: str, valkey: EmbeddedValkey, short_tmp_path: Path
) -> None:
    async with serving(short_tmp_path / "living", database_url, valkey):
        code, said = await run("restored", DATABASE_URL=database_url)
    assert code == 1
    assert "stop them first" in said
