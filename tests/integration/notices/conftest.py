"""The world of notices, made anew for each test."""

from __future__ import annotations

from collections.abc import AsyncIterator

import asyncpg
import pytest

from storage.postgres.database import open_database
from tests.integration.notices.notice_world import FOUNDATION, NoticeWorld


@pytest.fixture
async def world(database_url: str) -> AsyncIterator[NoticeWorld]:
    owner = await asyncpg.connect(database_url)
    await owner.execute(FOUNDATION)
    async with open_database(database_url, size_max=4) as database:
        yield NoticeWorld(owner, database)
    await owner.close()
