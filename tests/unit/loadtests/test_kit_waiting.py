"""Waiting that ends with what it waits for, or with the time."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from loadtests.kit.waiting import each, until
from tests.simulation.loop import simulated


def after(looks: int) -> Callable[[], bool]:
    """Holds from the look of this number on."""
    seen = iter(range(1, 1_000_000))
    return lambda: next(seen) >= looks


def test_waiting_ends_as_soon_as_it_holds() -> None:
    with simulated(1) as loop:
        began = loop.time()
        assert loop.run_until_complete(until(after(3), 60.0))
        assert loop.time() - began < 1.0


def test_waiting_ends_with_the_time_and_says_that_it_does_not_hold() -> None:
    with simulated(1) as loop:
        began = loop.time()
        assert not loop.run_until_complete(until(lambda: False, 2.0))
        assert 2.0 <= loop.time() - began < 2.2


def test_question_may_have_to_be_waited_for() -> None:
    holds = after(2)

    async def ask() -> bool:
        await asyncio.sleep(0.01)
        return holds()

    with simulated(1) as loop:
        assert loop.run_until_complete(until(ask, 5.0))


def test_everything_is_worked_on_with_a_few_at_once() -> None:
    done, at_work, most = [], 0, 0

    async def work(number: int) -> None:
        nonlocal at_work, most
        at_work += 1
        most = max(most, at_work)
        await asyncio.sleep(0.1)
        at_work -= 1
        done.append(number)

    with simulated(1) as loop:
        loop.run_until_complete(each(range(10), work, at_once=3))
    assert sorted(done) == list(range(10))
    assert most == 3
