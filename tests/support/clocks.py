"""A clock for tests."""

from __future__ import annotations


class Hands:
    """A clock whose hands the test moves. Implements actors.clock.Clock."""

    def __init__(self, now: float = 100.0) -> None:
        self.now = now

    def monotonic(self) -> float:
        return self.now

    def boot(self) -> float:
        return self.now

    def wall(self) -> float:
        return self.now

    def steady(self) -> float:
        return self.now

    def shift_of(self, wall_s: float) -> float:
        del wall_s
        return 0.0

    def anchor(self, wall_s: float, took_s: float = 0.0) -> float:
        del wall_s, took_s
        return 0.0
