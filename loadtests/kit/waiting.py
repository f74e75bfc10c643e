"""Waiting: until something holds, until a moment, and for many things with a few at once."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Awaitable, Callable, Iterable
from time import perf_counter
from typing import TypeVar

LOOK_S = 0.05
WORKERS = 8

T = TypeVar("T")


async def until(holds: Callable[[], bool | Awaitable[bool]], within_s: float) -> bool:
    """Look again and again until `holds()`, for `within_s` at most; returns whether it does."""
    loop = asyncio.get_running_loop()
    late_s = loop.time() + within_s
    while not (found := await _resolved(holds())) and loop.time() < late_s:  # noqa: ASYNC110 - it has no event
        await asyncio.sleep(LOOK_S)
    return found


async def _resolved(answer: bool | Awaitable[bool]) -> bool:
    return await answer if inspect.isawaitable(answer) else answer


async def sleep_until(due: float) -> None:
    """Sleep until a moment of `perf_counter`; returns after one turn of the loop when it is over."""
    await asyncio.sleep(max(0.0, due - perf_counter()))


async def each(things: Iterable[T], work: Callable[[T], Awaitable[None]], at_once: int = WORKERS) -> None:
    """Work on all of them, a few at once."""
    waiting = iter(things)

    async def worker() -> None:
        for thing in waiting:
            await work(thing)

    async with asyncio.TaskGroup() as tasks:
        for _ in range(at_once):
            tasks.create_task(worker())
