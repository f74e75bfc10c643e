"""A clock for tests that wait for nothing."""

from __future__ import annotations


class HandClock:
    """Moves when it is told to; all its readings are one."""

    def __init__(self, now: float) -> None:
        self.now = now

    def monotonic(self) -> float:
        return self.now

    def boot(self) -> float:
        return self.now

    def wall(self) -> float:
        return self.now

    def anchor(self, wall_s: float) -> None:
        self.now = wall_s
