"""Pseudo-random numbers from a seed: a plan made again draws the same ones."""

from __future__ import annotations

# Knuth's multiplier and increment of a linear congruential generator modulo 2**64; the upper bits are used.
MULTIPLIER = 6_364_136_223_846_793_005
INCREMENT = 1_442_695_040_888_963_407
MASK = (1 << 64) - 1
UNIT = 2.0**-53
# Draws made in advance, and the most that are taken from them at once.
TABLE_SIZE, MANY_MAX = 4096, 1024


class Draws:
    """A sequence of draws. It is made for one step and thrown away with it."""

    __slots__ = ("_state",)

    def __init__(self, seed: int) -> None:
        self._state = (seed ^ 0x9E3779B97F4A7C15) & MASK
        for _ in range(4):  # seeds that lie close together part at once
            self.unit()

    def unit(self) -> float:
        """A number from 0 to 1, 1 excluded."""
        self._state = state = (self._state * MULTIPLIER + INCREMENT) & MASK
        return (state >> 11) * UNIT

    def below(self, limit: int) -> int:
        """A whole number from 0 to `limit`, which is excluded."""
        return int(self.unit() * limit)

    def many(self, count: int) -> tuple[float, ...]:
        """Several numbers from 0 to 1 at once: neighbours in a fixed table, from a place that is drawn."""
        if count > MANY_MAX:
            return tuple(self.unit() for _ in range(count))
        start = self.below(TABLE_SIZE - MANY_MAX)
        return TABLE[start : start + count]


def _table() -> tuple[float, ...]:
    draws = Draws(0)
    return tuple(draws.unit() for _ in range(TABLE_SIZE))


TABLE = _table()
