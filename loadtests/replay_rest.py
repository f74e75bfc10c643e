"""REST for a replay: requests that wait for their turn, a few at once."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from typing import Any, TypeVar

import aiohttp

from loadtests.client import Mall, Refused

# Between two tries of a request to a server that is away, in seconds.
PAUSE_S = 0.2
# Requests at once while a mall is built and audited.
WORKERS = 8

T = TypeVar("T")


async def insist(mall: Mall, method: str, path: str, body: Any = None, tries: int = 50) -> dict[str, Any]:
    """One request that may wait for a rate limit or a server that is away, and must succeed in the end.

    Raises:
        Refused: it never will.
        aiohttp.ClientError: the server stays away.
    """
    for left in reversed(range(tries)):
        try:
            status, answer, headers = await mall.call(method, path, body)
        except (aiohttp.ClientError, OSError, TimeoutError):
            if not left:
                raise
            await asyncio.sleep(PAUSE_S)
            continue
        if status < 400:
            return answer
        if not left or status not in (429, 503):
            raise Refused(status, answer)
        await asyncio.sleep(float(headers.get("Retry-After", PAUSE_S)))
    raise AssertionError(tries)


async def each(things: Iterable[T], work: Callable[[T], Awaitable[None]]) -> None:
    """Work on all of them, a few at once."""
    waiting = iter(things)

    async def worker() -> None:
        for thing in waiting:
            await work(thing)

    async with asyncio.TaskGroup() as tasks:
        for _ in range(WORKERS):
            tasks.create_task(worker())
