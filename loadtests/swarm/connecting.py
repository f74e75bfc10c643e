"""Connecting many phones: a number at once, or spread over a time."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from random import Random
from time import perf_counter

from loadtests.kit.waiting import sleep_until, until
from loadtests.swarm.phone import PhoneGroup, SwarmPhone

# Connects in flight: enough to keep the server busy, not enough to fill its backlog.
IN_FLIGHT = 200
# A loopback address has some 28,000 ports to connect from; beyond this many lines the next one is used.
PHONES_PER_ADDRESS = 20_000
SETTLE_S = 60.0


def source_of(index: int, count: int) -> tuple[str, int] | None:
    """The address that the phone with this index connects from; None leaves it to the system."""
    return None if count <= PHONES_PER_ADDRESS else (f"127.0.0.{1 + index // PHONES_PER_ADDRESS}", 0)


async def open_all(phones: Sequence[SwarmPhone], in_flight: int = IN_FLIGHT) -> float:
    """Connect every phone, `in_flight` at once; returns the seconds that took."""
    began = perf_counter()
    queue = iter(enumerate(phones))

    async def work(waiting: Iterator[tuple[int, SwarmPhone]]) -> None:
        for index, phone in waiting:
            await phone.open(source=source_of(index, len(phones)))

    async with asyncio.TaskGroup() as tasks:
        for _ in range(min(in_flight, len(phones))):
            tasks.create_task(work(queue))
    return perf_counter() - began


async def open_spread(phones: Sequence[SwarmPhone], over_s: float, chance: Random) -> None:
    """Connect every phone at a random moment of the time given, however many are in flight then."""

    async def one(index: int, phone: SwarmPhone, at_s: float) -> None:
        await asyncio.sleep(at_s)
        await phone.open(source=source_of(index, len(phones)))

    async with asyncio.TaskGroup() as tasks:
        for index, phone in enumerate(phones):
            tasks.create_task(one(index, phone, chance.uniform(0.0, over_s)))


async def go_online(
    phones: Sequence[SwarmPhone], chance: Random, at: tuple[float, float], per_s: float
) -> None:
    """All drivers go online and send a location, at a rate that the database carries easily."""
    began = perf_counter()
    for index, phone in enumerate(phones):
        phone.ask("availability", status="online")
        phone.locate(at[0] + chance.uniform(-0.02, 0.02), at[1] + chance.uniform(-0.02, 0.02))
        await sleep_until(began + index / per_s)
    await all_answered(phones)


async def all_answered(phones: Sequence[SwarmPhone], within_s: float = SETTLE_S) -> None:
    """Wait until no command is on its way; what is then still unanswered is an error each."""
    await until(lambda: not any(phone.asked for phone in phones), within_s)
    for phone in phones:
        for asked in phone.asked.values():
            phone.group.report.failed(asked.name, "no answer")
        phone.asked.clear()


async def close_all(group: PhoneGroup, phones: Sequence[SwarmPhone]) -> None:
    """The end: disconnect, a few hundred at a time, so that closing does not block the loop."""
    group.over = True
    for index, phone in enumerate(phones):
        phone.cut()
        if index % 500 == 499:
            await asyncio.sleep(0)
