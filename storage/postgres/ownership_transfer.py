"""What an embedded database is given away to: a role that owns it and is no superuser.

The first role of a Postgres is its superuser for ever. The server does not work as that: whoever gets a statement
past it would read files and start programs.
"""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import asyncpg

_HAND_OVER = (Path(__file__).parent / "ownership_transfer.sql").read_text()
HAND_OVER_S = 60.0


def hand_over(superuser_url: str, role: str) -> None:
    """Make the role, and have it own the database and everything of ours in it; harmless when it does already.

    Raises:
        PostgresError, OSError: Postgres refuses.
    """

    async def work() -> None:
        connection = await asyncpg.connect(superuser_url, timeout=HAND_OVER_S)
        try:
            await connection.execute(_HAND_OVER.replace("{role}", role), timeout=HAND_OVER_S)
        finally:
            await connection.close()

    # In a thread: the caller may have a loop.
    with ThreadPoolExecutor(1) as pool:
        pool.submit(asyncio.run, work()).result()
