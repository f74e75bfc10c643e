"""Waiting for a condition without sleeping: the loop turns until it holds."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable

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


async def seconds_until(holds: Callable[[], Awaitable[bool]], limit_s: float = 10.0) -> float:
    """How long it takes until something that is asked over the network holds.

    Raises:
        TimeoutError: it did not within `limit_s`.
    """
    began = time.perf_counter()
    async with asyncio.timeout(limit_s):
        while not await holds():
            pass
    return time.perf_counter() - began
