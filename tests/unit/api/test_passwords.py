"""Who waits for Argon2: places are kept for those who have been here before, and nobody waits for ever."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from actors.errors import Overloaded
from api.auth.passwords import FAMILIAR_RANK, LAST_TURN, NEIGHBOUR_RANK, STRANGER_RANK, WAITING_MAX, Passwords


class Thread:
    """Stands for Argon2's thread: what it is given ends when the test says so."""

    def __init__(self) -> None:
        self.done: list[str] = []
        self.next = asyncio.Semaphore(0)

    async def work(self, passwords: Passwords, rank: int, name: str) -> str:
        async def run() -> None:
            await self.next.acquire()
            self.done.append(name)

        loop = asyncio.get_running_loop()

        def in_thread() -> str:
            asyncio.run_coroutine_threadsafe(run(), loop).result(10)
            return name

        return await passwords._run(rank, in_thread)


@pytest.fixture
async def passwords() -> AsyncIterator[Passwords]:
    made = Passwords()
    yield made
    made.close()


async def settle() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


async def test_crowd_of_strangers_takes_no_place_from_those_who_have_been_here(passwords: Passwords) -> None:
    thread = Thread()
    async with asyncio.TaskGroup() as tasks:
        for number in range(1 + WAITING_MAX):
            tasks.create_task(thread.work(passwords, STRANGER_RANK, f"stranger {number}"))
        await settle()
        with pytest.raises(Overloaded):
            await thread.work(passwords, STRANGER_RANK, "one too many")
        for rank, name in ((NEIGHBOUR_RANK, "neighbour"), (FAMILIAR_RANK, "familiar")):
            tasks.create_task(thread.work(passwords, rank, name))
        await settle()
        for _ in range(WAITING_MAX + 3):
            thread.next.release()
    assert thread.done[:3] == ["stranger 0", "familiar", "neighbour"]
    assert len(thread.done) == WAITING_MAX + 3


async def test_stranger_gets_each_fourth_turn_of_a_rush_of_others(passwords: Passwords) -> None:
    thread = Thread()
    async with asyncio.TaskGroup() as tasks:
        for number in range(1 + WAITING_MAX):
            tasks.create_task(thread.work(passwords, FAMILIAR_RANK, f"familiar {number}"))
            await settle()
        tasks.create_task(thread.work(passwords, STRANGER_RANK, "stranger"))
        await settle()
        for _ in range(WAITING_MAX + 2):
            thread.next.release()
    assert thread.done.index("stranger") == LAST_TURN


async def test_who_goes_away_leaves_his_turn_to_the_next(passwords: Passwords) -> None:
    thread = Thread()
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(thread.work(passwords, STRANGER_RANK, "first"))
        await settle()
        leaving = [tasks.create_task(thread.work(passwords, STRANGER_RANK, "gone")) for _ in range(3)]
        await settle()
        tasks.create_task(thread.work(passwords, STRANGER_RANK, "last"))
        await settle()
        for task in leaving:
            task.cancel()
        for _ in range(2):
            thread.next.release()
    assert thread.done == ["first", "last"]
    assert not passwords._busy
