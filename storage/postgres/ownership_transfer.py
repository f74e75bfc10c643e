"""Ownership transfer: gives an embedded database to a role that is not a superuser.

The first role of a Postgres is always a superuser. The server does not work as this role, because an injected statement
could read files and start programs.
"""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import asyncpg

_HAND_OVER = (Path(__file__).parent / "ownership_transfer.sql").read_text()
HAND_OVER_S = 60.0


def hand_over(superuser_url: str, role: str) -> None:
    """Create the role, and make it the owner of the database and its objects. Idempotent.

    Raises:
        PostgresError, OSError: Postgres refuses.
    """

    async def work() -> None:
        connection = await asyncpg.connect(superuser_url, timeout=HAND_OVER_S)
        try:
            await connection.execute(_HAND_OVER.replace("{role}", role), timeout=HAND_OVER_S)
        finally:
            await connection.close()

    # In a thread, because the caller may have a running loop.
    with ThreadPoolExecutor(1) as pool:
        pool.submit(asyncio.run, work()).result()
