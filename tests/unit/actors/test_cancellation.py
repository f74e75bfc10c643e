"""A loop that was told to end, ends."""

from __future__ import annotations

import asyncio

from actors.cancellation import end


async def test_task_that_loses_a_cancellation_is_cancelled_again() -> None:
    lost = 0

    async def forgetful() -> None:
        nonlocal lost
        while True:
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                lost += 1
                if lost > 1:
                    raise

    async with asyncio.TaskGroup() as tasks:
        task = tasks.create_task(forgetful())
        begun: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        asyncio.get_running_loop().call_soon(begun.set_result, None)
        await begun
        async with asyncio.timeout(5):
            await end([task])
    assert task.cancelled()
    assert lost == 2


async def test_task_that_has_ended_is_left_alone() -> None:
    async with asyncio.TaskGroup() as tasks:
        done = asyncio.Event()
        task = tasks.create_task(done.wait())
        done.set()
        await task
        await end([task])
    assert task.result() is True
