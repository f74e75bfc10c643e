"""Servers that tests share: one Postgres and one Valkey for each worker, a fresh database for each test that asks."""

from __future__ import annotations

import asyncio
import base64
import itertools
import os
import signal
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import asyncpg
import pytest

from storage.embedded import EmbeddedPostgres, EmbeddedValkey
from storage.postgres.migrate import migrate

# A worker process beside each server would cost a second of each start. Tests of background work switch it on.
os.environ.setdefault("MALL_WORK", "off")
# Servers with a database of their own can seal secrets of webhooks.
os.environ.setdefault("MALL_SECRETS_KEY", base64.b64encode(b"a key of tests, 32 bytes in all.").decode())


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip what stock aiohttp cannot do, where the servers of the tests run on it."""
    if os.environ.get("MALL_FAST_PATH") != "off":
        return
    for item in items:
        for mark in item.iter_markers("fast_path"):
            item.add_marker(pytest.mark.skip(reason=f"stock aiohttp: {mark.args[0]}"))


POSTGRES_15 = Path("/usr/lib/postgresql/15/bin")
_numbers = itertools.count(1)


@pytest.fixture(scope="session")
def short_tmp_path() -> Iterator[Path]:
    """A temporary folder whose path is short enough for Unix sockets."""
    with tempfile.TemporaryDirectory(prefix="mall-test-") as name:
        Path(name).chmod(0o755)
        yield Path(name)


@pytest.fixture(scope="session")
def postgres(short_tmp_path: Path) -> Iterator[EmbeddedPostgres]:
    """The Postgres of the wheel."""
    with EmbeddedPostgres(short_tmp_path / "pg", durable=False) as server:
        yield server


@pytest.fixture(scope="session")
def postgres_15(short_tmp_path: Path) -> Iterator[EmbeddedPostgres]:
    """Debian's Postgres 15, where it is installed."""
    if not (POSTGRES_15 / "initdb").exists():
        pytest.skip("needs Debian's postgresql-15 (apt-get install postgresql-15)")
    with EmbeddedPostgres(short_tmp_path / "pg15", POSTGRES_15, durable=False) as server:
        yield server


@pytest.fixture(scope="session")
def redis_url(short_tmp_path: Path) -> Iterator[str]:
    """A real Valkey."""
    server = EmbeddedValkey(short_tmp_path / "valkey", durable=False)
    server.start()
    try:
        yield server.redis_url
    finally:
        server.stop()


@pytest.fixture
def valkey(short_tmp_path: Path) -> Iterator[EmbeddedValkey]:
    """A Valkey of this test alone, which it may stop or freeze."""
    server = EmbeddedValkey(short_tmp_path / f"valkey-{next(_numbers)}", durable=False)
    server.start()
    try:
        yield server
    finally:
        if server.pid is not None:
            os.kill(server.pid, signal.SIGCONT)
        server.stop()


def with_database(url: str, name: str) -> str:
    """The same server, another database."""
    return urlunsplit(urlsplit(url)._replace(path=f"/{name}"))


@pytest.fixture(scope="session")
def template_server(postgres: EmbeddedPostgres) -> str:
    """Address of a server with a migrated database `template_mall`, to be copied."""
    return asyncio.run(make_template(postgres.database_url))


@pytest.fixture(scope="session")
def template_server_15(postgres_15: EmbeddedPostgres) -> str:
    """The same on Postgres 15."""
    return asyncio.run(make_template(postgres_15.database_url))


async def make_template(url: str) -> str:
    """Migrate a database that others are copied from; returns the server's address."""
    owner = await asyncpg.connect(url)
    await owner.execute("CREATE DATABASE template_mall")
    await owner.close()
    await migrate(with_database(url, "template_mall"))
    return url


async def copy_database(server_url: str) -> str:
    """A fresh copy of the template; returns its address."""
    name = f"mall_{next(_numbers)}"
    owner = await asyncpg.connect(server_url)
    await owner.execute(f"CREATE DATABASE {name} TEMPLATE template_mall")
    await owner.close()
    return with_database(server_url, name)


@asynccontextmanager
async def copied_database(server_url: str) -> AsyncIterator[str]:
    """A fresh copy of the template, until the block ends: thousands that stay are gigabytes."""
    url = await copy_database(server_url)
    yield url
    owner = await asyncpg.connect(server_url)
    await owner.execute(f"DROP DATABASE {urlsplit(url).path[1:]} WITH (FORCE)")
    await owner.close()


@pytest.fixture
async def database_url(template_server: str) -> AsyncIterator[str]:
    """A fresh, migrated database."""
    async with copied_database(template_server) as url:
        yield url
