"""Ports for time and randomness.

Nothing else in `actors` and `dispatch` reads a clock or draws a random number, so that a simulator can
own both and a run can be replayed from its seed.
"""

from __future__ import annotations

import asyncio
import random
import secrets
import time
from collections import deque
from collections.abc import Callable
from typing import Protocol

# A reading that is this far off, beside the time that its answer took, is no late one: somebody has set the clock of
# the journal.
STEP_S = 0.5
STEPS_KEPT = 16
# A date so far ahead was written by a clock that has been set back since.
AHEAD_S = 5.0
SLEW_S = 0.001


class Clock(Protocol):
    """Readings that are never mixed: durations by `monotonic`, leases by `boot`, dates by `wall`."""

    def monotonic(self) -> float:
        """Seconds that only rise, from an arbitrary start."""
        ...

    def boot(self) -> float:
        """Seconds that only rise, the time in which the machine slept included; for leases."""
        ...

    def wall(self) -> float:
        """UTC seconds since 1970, by the clock of the journal, not of this machine."""
        ...

    def steady(self) -> float:
        """`wall` without its steps since the start: for what was judged once and goes on being so."""
        ...

    def shift_of(self, wall_s: float) -> float:
        """What to add to a date of the wall clock, because the clock was set since it was written."""
        ...

    def anchor(self, wall_s: float, took_s: float = 0.0) -> float:
        """Say what the journal's clock showed, as an answer that took so long; returns the step, if somebody has
        set that clock, else 0.
        """
        ...


def now_ms_of(clock: Clock) -> int:
    """The journal's wall time in milliseconds."""
    return int(clock.wall() * 1000)


def boot_clock() -> float:
    """The machine's clock that goes on while the machine sleeps, where it has one (Linux)."""
    return time.clock_gettime(getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC))


class LoopClock:
    """The clock of an event loop, anchored to the journal's wall time.

    Two instances never compare their own clocks: each adds its monotonic progress to the last reading
    of the journal's clock. Under a simulated loop the same class shows virtual time.

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
        # What the wall clock showed before and after each step, the newest last.
        self._steps: deque[tuple[float, float]] = deque(maxlen=STEPS_KEPT)

    def monotonic(self) -> float:
        return self._loop.time()

    def wall(self) -> float:
        return self._loop.time() + self._offset_s

    def steady(self) -> float:
        return self._loop.time() + self._offset_s - self._stepped_s

    def shift_of(self, wall_s: float) -> float:
        """A date that lies ahead was written before the clock was set back; one from before the clock was set ahead
        tells it by its age.
        """
        shift_s = 0.0
        for before_s, after_s in self._steps:
            ahead = wall_s + shift_s > self.wall() + AHEAD_S
            if ahead if after_s < before_s else wall_s + shift_s <= before_s:
                shift_s += after_s - before_s
        return shift_s

    def anchor(self, wall_s: float, took_s: float = 0.0) -> float:
        """Take a reading over.

        A reading is late by its way back, so the highest offset seen is the best one. A lower one is
        followed by a millisecond a reading, which keeps `wall` from running backwards: a timer that fired
        must not find that it is not due yet. What is further behind than the answer took was set back.
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
    """Chance: ids that nobody can guess, ids that only must not repeat, and jitter."""

    def token(self) -> str:
        """32 hexadecimal digits that nobody can guess."""
        ...

    def trace(self) -> str:
        """32 hexadecimal digits that do not repeat; nothing may depend on their being secret."""
        ...

    def random(self) -> float:
        """A number in [0, 1)."""
        ...


class SystemRandomness:
    """The operating system's randomness."""

    def __init__(self) -> None:
        # Seeded from the operating system; asking it each time costs a system call per request.
        self._traces = random.Random(secrets.randbits(256))  # noqa: S311 - no secrets

    def token(self) -> str:
        return secrets.token_hex(16)

    def trace(self) -> str:
        return f"{self._traces.getrandbits(128):032x}"

    def random(self) -> float:
        return secrets.randbelow(1 << 53) / (1 << 53)
