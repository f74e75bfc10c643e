"""Postgres and Valkey of a tool's own, in a folder: they survive the servers that use them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

import asyncpg

from storage.embedded import EmbeddedPostgres, EmbeddedValkey

Connection: TypeAlias = "asyncpg.Connection[asyncpg.Record]"


@dataclass(frozen=True, slots=True)
class Stores:
    """Both, running."""

    postgres: EmbeddedPostgres
    valkey: EmbeddedValkey

    @property
    def environ(self) -> dict[str, str]:
        """The settings that point a server at them."""
        return {"DATABASE_URL": self.postgres.database_url, "REDIS_URL": self.valkey.redis_url}


@contextmanager
def open_stores(folder: Path, *, durable: bool = True, durable_valkey: bool = False) -> Iterator[Stores]:
    """Both for the length of a block. From the main thread only."""
    # Postgres runs under an account of its own where we are root.
    folder.mkdir(parents=True, exist_ok=True)
    folder.chmod(0o755)
    with EmbeddedPostgres(folder / "pg", durable=durable) as postgres:
        valkey = EmbeddedValkey(folder / "valkey", durable=durable_valkey)
        valkey.start()
        try:
            yield Stores(postgres, valkey)
        finally:
            valkey.stop()


@asynccontextmanager
async def connect(database_url: str) -> AsyncIterator[Connection]:
    """A connection as the database's owner, for the length of a block."""
    connection: Connection = await asyncpg.connect(database_url)
    try:
        yield connection
    finally:
        await connection.close()
