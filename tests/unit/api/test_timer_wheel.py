"""Sockets are looked at in the second in which they are due."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from api.subscriptions.timer_wheel import SLOTS, TimerWheel


def socket(address: str = "fed_1") -> Any:
    return SimpleNamespace(address=address, slot=0)


@pytest.mark.parametrize(("in_s", "turns"), [(0.0, 1), (-5.0, 1), (1.0, 1), (1.2, 2), (12.5, 13), (25.0, 25)])
def test_socket_is_due_after_so_many_seconds_and_once(in_s: float, turns: int) -> None:
    timer_wheel, one = TimerWheel(), socket()
    timer_wheel.turn()
    timer_wheel.put(one, in_s)
    assert [len(timer_wheel.turn()) for _ in range(2 * SLOTS)] == [
        int(n == turns) for n in range(1, 2 * SLOTS + 1)
    ]


def test_nobody_is_left_alone_for_longer_than_the_wheel_turns() -> None:
    timer_wheel = TimerWheel()
    timer_wheel.put(socket(), 600.0)
    assert [len(timer_wheel.turn()) for _ in range(SLOTS)].index(1) == SLOTS - 2


def test_socket_that_has_ended_is_not_looked_at() -> None:
    timer_wheel, one, two = TimerWheel(), socket(), socket("fed_2")
    timer_wheel.put(one, 3.0)
    timer_wheel.put(two, 3.0)
    timer_wheel.drop(one)
    assert [s for _ in range(SLOTS) for s in timer_wheel.turn()] == [two]
