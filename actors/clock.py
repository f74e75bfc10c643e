"""Ports for time and randomness.

`actors` and `dispatch` read clocks and draw random numbers through these ports only. So a simulator controls both, and
replays a run from its seed.
"""

from __future__ import annotations

import asyncio
import random
import secrets
import time
from collections import deque
from collections.abc import Callable
from typing import Protocol

# A reading that is off by more than this, apart from the time of its round trip, means that the journal's clock was
# set.
STEP_S = 0.5
STEPS_KEPT = 16
# A date that is further ahead than this was written before the clock was set back.
AHEAD_S = 5.0
SLEW_S = 0.001


class Clock(Protocol):
    """Three clocks that are never mixed: `monotonic` for durations, `boot` for leases, `wall` for dates."""

    def monotonic(self) -> float:
        """Seconds that never go back, from an arbitrary start."""
        ...

    def boot(self) -> float:
        """Seconds that never go back and include the machine's sleep; for leases."""
        ...

    def wall(self) -> float:
        """UTC seconds since 1970, by the clock of the journal, not of this machine."""
        ...

    def steady(self) -> float:
        """`wall` without the steps of the clock since the start; for decisions that must outlive a step."""
        ...

    def shift_of(self, wall_s: float) -> float:
        """Seconds to add to a date, because the clock was set after it was written."""
        ...

    def anchor(self, wall_s: float, took_s: float = 0.0) -> float:
        """Take in a reading of the journal's clock. Returns its step if somebody has set it, else 0.

        `took_s`: how long the reading's query took.
        """
        ...


def now_ms_of(clock: Clock) -> int:
    """Time of the journal's clock in milliseconds."""
    return int(clock.wall() * 1000)


def boot_clock() -> float:
    """The machine's clock that runs during sleep, where there is one (Linux)."""
    return time.clock_gettime(getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC))


class LoopClock:
    """The clock of an event loop, anchored to the journal's wall time.

    Instances never compare their machines' clocks: each adds its monotonic progress to the last reading of the
    journal's clock. Under a simulated loop this class shows virtual time.

    Args:
        boot: see `Clock.boot`; the loop's own time unless given.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        wall_s: float | None = None,
        boot: Callable[[], float] | None = None,
    ) -> None:
        self._loop = loop
        self.boot = boot or loop.time
        self._offset_s = (time.time() if wall_s is None else wall_s) - loop.time()
        self._is_anchored = wall_s is not None
        self._stepped_s = 0.0
        # Wall times before and after each step, the newest step last.
        self._steps: deque[tuple[float, float]] = deque(maxlen=STEPS_KEPT)

    def monotonic(self) -> float:
        return self._loop.time()

    def wall(self) -> float:
        return self._loop.time() + self._offset_s

    def steady(self) -> float:
        return self._loop.time() + self._offset_s - self._stepped_s

    def shift_of(self, wall_s: float) -> float:
        """Seconds to add to a date, because the clock was set after it was written.

        A date in the future was written before the clock was set back. A date of before a step ahead is known by its
        age.
        """
        shift_s = 0.0
        for before_s, after_s in self._steps:
            ahead = wall_s + shift_s > self.wall() + AHEAD_S
            if ahead if after_s < before_s else wall_s + shift_s <= before_s:
                shift_s += after_s - before_s
        return shift_s

    def anchor(self, wall_s: float, took_s: float = 0.0) -> float:
        """Take in a reading of the journal's clock.

        A reading is late by its way back, so the highest offset is the best one. A lower offset is approached by a
        millisecond per reading. So `wall` never runs backwards, and a timer that fired is still due in its turn. An
        offset that is lower by more than the round trip means that the clock was set back.
        """
        offset_s = wall_s - self._loop.time()
        step_s = offset_s - self._offset_s
        if not self._is_anchored:
            self._is_anchored, self._offset_s = True, offset_s
            return 0.0
        if -(STEP_S + took_s) <= step_s <= STEP_S:
            self._offset_s = max(offset_s, self._offset_s - SLEW_S)
            return 0.0
        before_s, self._offset_s = self.wall(), offset_s
        self._stepped_s += step_s
        self._steps.append((before_s, self.wall()))
        return step_s


class Randomness(Protocol):
    """Random numbers: secret ids, ids that need only be unique, and jitter."""

    def token(self) -> str:
        """32 hexadecimal digits that cannot be guessed."""
        ...

    def trace(self) -> str:
        """32 hexadecimal digits that do not repeat. They are not secret."""
        ...

    def random(self) -> float:
        """A number in [0, 1)."""
        ...


class SystemRandomness:
    """Randomness of the operating system."""

    def __init__(self) -> None:
        # Seeded once from the operating system, which saves a system call per request.
        self._traces = random.Random(secrets.randbits(256))  # noqa: S311 - no secrets

    def token(self) -> str:
        return secrets.token_hex(16)

    def trace(self) -> str:
        return f"{self._traces.getrandbits(128):032x}"

    def random(self) -> float:
        return secrets.randbelow(1 << 53) / (1 << 53)
