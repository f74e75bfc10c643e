"""The world of the services, made anew for each test."""

from __future__ import annotations

from collections.abc import AsyncIterator

import asyncpg
import pytest

from storage.postgres.database import open_database
from tests.integration.services.world import World


@pytest.fixture
async def world(database_url: str) -> AsyncIterator[World]:
    owner = await asyncpg.connect(database_url)
    await owner.execute(
        "INSERT INTO zones (id, name) VALUES (1, 'Z'), (2, 'Y');"
        "INSERT INTO stores (id, zone_id, name, lat, lon) VALUES (1, 1, 'S', 1, 2);"
        "INSERT INTO users (id, email, role, name) VALUES (9, 'a@mall.example', 'admin', 'A');"
        "SELECT setval(name, 100) FROM unnest(ARRAY['users_id_seq', 'zones_id_seq', 'stores_id_seq']) name"
    )
    async with open_database(database_url, size_max=4) as database:
        yield World(database_url, owner, database)
    await owner.close()
