"""The world of reports, made anew for each test."""

from __future__ import annotations

from collections.abc import AsyncIterator

import asyncpg
import pytest

from storage.postgres.database import open_database
from tests.integration.reports.world import SEED, ReportWorld


@pytest.fixture
async def world(database_url: str) -> AsyncIterator[ReportWorld]:
    owner = await asyncpg.connect(database_url)
    await owner.execute(SEED)
    async with open_database(database_url, size_max=2) as database:
        yield ReportWorld(database, owner)
    await owner.close()
