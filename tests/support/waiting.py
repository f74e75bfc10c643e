"""Waiting for a condition without sleeping: the loop turns until it holds, or whoever changes it says so."""

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


class Arrivals:
    """Wakes those who wait for something that comes from outside, such as requests or mails."""

    def __init__(self) -> None:
        self._next = asyncio.Event()

    def tell(self) -> None:
        """Something has come."""
        self._next.set()
        self._next = asyncio.Event()

    async def until(self, holds: Callable[[], object], limit_s: float = LIMIT_S) -> None:
        """Return as soon as `holds()` is true. It is asked at once, and whenever something has come.

        Raises:
            TimeoutError: it did not become true within `limit_s`.
        """
        async with asyncio.timeout(limit_s):
            while not holds():
                await self._next.wait()


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
