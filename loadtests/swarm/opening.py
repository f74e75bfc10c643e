"""Opening many lines: so many at once, or spread over a time."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Sequence
from random import Random
from time import perf_counter

from loadtests.swarm.line import Crew, Line

# Connects in flight: enough to keep the server busy, not enough to fill its backlog.
IN_FLIGHT = 200
# A loopback address has some 28,000 ports to connect from; beyond this many lines the next one is used.
LINES_PER_ADDRESS = 20_000
SETTLE_S = 60.0
LOOK_S = 0.05


def source_of(index: int, count: int) -> tuple[str, int] | None:
    """The address that a line of so many connects from; None leaves it to the system."""
    return None if count <= LINES_PER_ADDRESS else (f"127.0.0.{1 + index // LINES_PER_ADDRESS}", 0)


async def open_all(lines: Sequence[Line], in_flight: int = IN_FLIGHT) -> float:
    """Open every line, so many at once; returns the seconds that took."""
    began = perf_counter()
    queue = iter(enumerate(lines))

    async def work(waiting: Iterator[tuple[int, Line]]) -> None:
        for index, line in waiting:
            await line.open(source=source_of(index, len(lines)))

    async with asyncio.TaskGroup() as tasks:
        for _ in range(min(in_flight, len(lines))):
            tasks.create_task(work(queue))
    return perf_counter() - began


async def open_spread(lines: Sequence[Line], over_s: float, chance: Random) -> None:
    """Open every line at a random moment of the time given, however many are in flight then."""

    async def one(index: int, line: Line, at_s: float) -> None:
        await asyncio.sleep(at_s)
        await line.open(source=source_of(index, len(lines)))

    async with asyncio.TaskGroup() as tasks:
        for index, line in enumerate(lines):
            tasks.create_task(one(index, line, chance.uniform(0.0, over_s)))


async def go_online(lines: Sequence[Line], chance: Random, at: tuple[float, float], per_s: float) -> None:
    """Everybody goes online and says where it is, at a rate that the database carries easily."""
    began = perf_counter()
    for index, line in enumerate(lines):
        line.ask("availability", status="online")
        line.locate(at[0] + chance.uniform(-0.02, 0.02), at[1] + chance.uniform(-0.02, 0.02))
        await asyncio.sleep(max(0.0, began + index / per_s - perf_counter()))
    await all_answered(lines)


async def until(holds: Callable[[], bool], within_s: float) -> bool:
    """Wait until this holds, so long at most; returns whether it does."""
    for _ in range(int(within_s / LOOK_S)):
        if holds():
            return True
        await asyncio.sleep(LOOK_S)
    return holds()


async def all_answered(lines: Sequence[Line], within_s: float = SETTLE_S) -> None:
    """Wait until no command is on its way; what is then still unanswered is an error each."""
    await until(lambda: not any(line.asked for line in lines), within_s)
    for line in lines:
        for asked in line.asked.values():
            line.crew.report.failed(asked.name, "no answer")
        line.asked.clear()


async def close_all(crew: Crew, lines: Sequence[Line]) -> None:
    """The end: hang up, a few hundred at a time, so that the server's farewell does not block the loop."""
    crew.over = True
    for index, line in enumerate(lines):
        line.cut()
        if index % 500 == 499:
            await asyncio.sleep(0)
