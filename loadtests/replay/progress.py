"""How far a replay has come: one line that stays, or on anything but a terminal a line now and then."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from loadtests.replay.day import Day, DayClock
from loadtests.replay.record import DayRecord

# Between two looks, in seconds.
TERMINAL_S = 0.25
PLAIN_S = 10.0


def status_line(day: Day, clock: DayClock, record: DayRecord) -> str:
    """The time of the day, and how many orders have come how far."""
    hour, minute = divmod(max(0, clock.minute()), 60)
    counts = record.counts
    return (
        f"{hour:02}:{minute:02}  placed {len(record.acknowledged)}/{len(day.orders)}  "
        f"assigned {counts['assigned'] - counts['handed_back']}  picked up {counts['picked_up']}  "
        f"delivered {len(record.rides)}"
    )


@asynccontextmanager
async def progress(day: Day, clock: DayClock, record: DayRecord, *, quiet: bool) -> AsyncIterator[None]:
    """Show the progress until the block ends."""
    if quiet:
        yield
        return
    work = _bar if sys.stdout.isatty() else _lines
    async with asyncio.TaskGroup() as tasks:
        showing = tasks.create_task(work(lambda: (status_line(day, clock, record), len(record.rides)), day))
        try:
            yield
        finally:
            showing.cancel()


async def _lines(look: Callable[[], tuple[str, int]], day: Day) -> None:
    del day
    while True:
        await asyncio.sleep(PLAIN_S)
        print(look()[0], flush=True)


async def _bar(look: Callable[[], tuple[str, int]], day: Day) -> None:
    # Only a terminal needs it, so only a terminal's environment must have it.
    from rich.progress import BarColumn, Progress, TextColumn

    with Progress(TextColumn("{task.description}"), BarColumn()) as bar:
        task = bar.add_task("", total=len(day.orders))
        while True:
            line, delivered = look()
            bar.update(task, description=line, completed=delivered)
            await asyncio.sleep(TERMINAL_S)
