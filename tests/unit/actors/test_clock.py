"""Wall time never runs backwards by late readings."""

from __future__ import annotations

import asyncio
from typing import cast

import pytest

from actors.clock import STEPS_KEPT, LoopClock


class Stopped:
    """A loop whose time is set by hand."""

    now = 100.0

    def time(self) -> float:
        return self.now


def test_late_reading_does_not_turn_the_clock_back() -> None:
    loop = Stopped()
    clock = LoopClock(cast("asyncio.AbstractEventLoop", loop), 1_000.0)
    clock.anchor(999.8)
    assert clock.wall() > 999.99
    loop.now += 1
    assert clock.wall() > 1_000.99


def test_earlier_reading_is_followed_and_a_step_is_believed() -> None:
    loop = Stopped()
    clock = LoopClock(cast("asyncio.AbstractEventLoop", loop), 1_000.0)
    clock.anchor(1_000.2)
    assert clock.wall() == 1_000.2
    clock.anchor(900.0)
    assert clock.wall() == 900.0


def _clock(wall_s: float = 10_000.0) -> tuple[Stopped, LoopClock]:
    loop = Stopped()
    return loop, LoopClock(cast("asyncio.AbstractEventLoop", loop), wall_s)


def test_answer_that_took_long_is_no_step() -> None:
    _, clock = _clock()
    assert clock.anchor(9_999.4, took_s=0.7) == 0.0
    assert clock.wall() > 9_999.99


def test_first_reading_is_no_step_however_wrong_the_machine_is() -> None:
    clock = LoopClock(cast("asyncio.AbstractEventLoop", Stopped()))
    assert clock.anchor(1_000.0) == 0.0
    assert clock.wall() == clock.steady() == 1_000.0


@pytest.mark.parametrize("step_s", [-3_600.0, 3_600.0])
def test_step_is_told_and_steady_time_goes_on(step_s: float) -> None:
    loop, clock = _clock()
    loop.now += 5
    assert clock.anchor(10_005.0 + step_s) == step_s
    assert clock.wall() == 10_005.0 + step_s
    loop.now += 5
    assert clock.steady() == 10_010.0


def test_dates_from_before_a_step_are_shifted_and_dates_from_after_it_are_not() -> None:
    loop, clock = _clock()
    clock.anchor(13_600.0)
    assert clock.shift_of(9_990.0) == 3_600.0
    assert clock.shift_of(13_601.0) == 0.0
    loop.now += 60
    ahead = clock.wall()
    clock.anchor(10_060.0)
    assert clock.shift_of(ahead - 10) == -3_600.0, "written while the clock was ahead"
    assert clock.shift_of(9_990.0) == 0.0, "written before: both steps"
    assert clock.shift_of(10_059.0) == 0.0, "written after: neither"


def test_steps_that_are_remembered_are_few() -> None:
    _, clock = _clock()
    for _ in range(STEPS_KEPT * 10):
        clock.anchor(clock.wall() + 10)
    assert len(clock._steps) == STEPS_KEPT
