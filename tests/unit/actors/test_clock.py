"""Wall time never runs backwards by late readings."""

from __future__ import annotations

import asyncio
from typing import cast

from actors.clock import LoopClock


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
