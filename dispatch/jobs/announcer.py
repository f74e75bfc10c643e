"""Announcer: tells workers that a commit may have written to the outbox.

A notification takes a lock of the whole server, so it is no part of these commits: one is sent after them, for all that
came within a short time.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from dispatch.jobs.stored import JobQueries
from storage.errors import StorageError

# Between two notifications; the relay gathers for as long.
GAP_S = 0.02


class Announcer:
    """Announcer of one instance."""

    def __init__(self, queries: JobQueries, failed: Callable[[StorageError], None] = lambda _: None) -> None:
        self._queries = queries
        self._failed = failed
        self._due = asyncio.Event()

    def wrote(self) -> None:
        """Note that a commit may have written to the outbox. Does not block."""
        self._due.set()

    async def run(self) -> None:
        """Notify until cancelled. A notification that fails is not repeated: workers poll."""
        while True:
            await self._due.wait()
            self._due.clear()
            try:
                await self._queries.value("announce_outbox")
            except StorageError as error:
                self._failed(error)
            await asyncio.sleep(GAP_S)
