"""Coroutines that run without a task."""

from __future__ import annotations

import asyncio

from api.transport.taskless import Taskless
from tests.support.waiting import turn


class Ear:
    """Hears how it ended."""

    def __init__(self) -> None:
        self.results: list[object] = []
        self.errors: list[BaseException] = []

    def begin(self, work: object) -> None:
        Taskless(work, self.errors.append, self.results.append).step()  # type: ignore[arg-type]


async def test_what_need_not_wait_is_done_at_once() -> None:
    async def work() -> int:
        return 7

    ear = Ear()
    ear.begin(work())
    assert ear.results == [7]


async def test_it_goes_on_when_its_future_is_done() -> None:
    future: asyncio.Future[int] = asyncio.get_running_loop().create_future()

    async def work() -> int:
        return await future + await future

    ear = Ear()
    ear.begin(work())
    assert not ear.results
    future.set_result(4)
    await turn()
    assert ear.results == [8]


async def test_it_lets_others_go_first_when_it_sleeps_for_no_time() -> None:
    async def work() -> str:
        await asyncio.sleep(0)
        return "woken"

    ear = Ear()
    ear.begin(work())
    assert not ear.results
    await turn()
    assert ear.results == ["woken"]


async def test_error_of_its_future_is_raised_inside_and_told() -> None:
    future: asyncio.Future[int] = asyncio.get_running_loop().create_future()
    seen: list[str] = []

    async def work() -> None:
        try:
            await future
        except ValueError as error:
            seen.append(str(error))
            raise

    ear = Ear()
    ear.begin(work())
    future.set_exception(ValueError("inner"))
    await turn()
    assert (seen, [str(error) for error in ear.errors], ear.results) == (["inner"], ["inner"], [])


async def test_cancelled_future_is_told_like_an_error() -> None:
    future: asyncio.Future[int] = asyncio.get_running_loop().create_future()

    async def work() -> int:
        return await future

    ear = Ear()
    ear.begin(work())
    future.cancel()
    await turn()
    assert [type(error) for error in ear.errors] == [asyncio.CancelledError]
