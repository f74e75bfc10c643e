"""Waiting for a condition without sleeping: the loop turns until it holds."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

LIMIT_S = 10.0


async def turn() -> None:
    """Let the loop turn once."""
    loop = asyncio.get_running_loop()
    future: asyncio.Future[None] = loop.create_future()
    loop.call_soon(future.set_result, None)
    await future


async def until(holds: Callable[[], object]) -> None:
    """Return as soon as `holds()` is true.

    Raises:
        TimeoutError: it did not become true within LIMIT_S.
    """
    async with asyncio.timeout(LIMIT_S):
        while not holds():
            await turn()
