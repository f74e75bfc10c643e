"""Both journals, one after the other."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from storage.postgres.database import open_database
from storage.postgres.journal import PostgresJournal
from storage.postgres.order_creation import OrderPlacer
from tests.conftest import copied_database
from tests.contracts.world import JournalWorld, memory_world, seed


@pytest.fixture(
    params=["memory", "template_server", pytest.param("template_server_15", marks=pytest.mark.long)]
)
def server(request: pytest.FixtureRequest) -> str | None:
    """Address of a server with a template database; None for the twin in memory."""
    return None if request.param == "memory" else str(request.getfixturevalue(request.param))


@pytest.fixture
async def world(server: str | None) -> AsyncIterator[JournalWorld]:
    if server is None:
        world = memory_world()
        await world.claim()
        yield world
        return
    async with copied_database(server) as url:
        await seed(url)
        async with open_database(url, size_max=4) as database:
            journal = PostgresJournal(url, database, lambda *_: None)
            world = JournalWorld(journal, OrderPlacer(database), url)
            await world.claim()
            yield world
            await journal.close()
