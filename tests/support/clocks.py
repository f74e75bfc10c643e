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

    def anchor(self, wall_s: float) -> None:
        del wall_s
