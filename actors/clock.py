"""Time and chance, as ports.

Nothing else in `actors` and `dispatch` reads a clock or draws a random number, so that a simulator can
own both and a run can be replayed from its seed.
"""

from __future__ import annotations

import asyncio
import random
import secrets
import time
from collections.abc import Callable
from typing import Protocol

# A reading that is this far behind is no late answer: somebody has set the clock of the journal.
STEP_S = 0.5
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

    def anchor(self, wall_s: float) -> None:
        """Say what the journal's clock showed just now."""
        ...


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

    def monotonic(self) -> float:
        return self._loop.time()

    def wall(self) -> float:
        return self._loop.time() + self._offset_s

    def anchor(self, wall_s: float) -> None:
        """Take a reading over.

        A reading is late by its way back, so the highest offset seen is the best one. A lower one is
        followed by a millisecond a reading, which keeps `wall` from running backwards: a timer that fired
        must not find that it is not due yet. A step of more than STEP_S is believed.
        """
        offset_s = wall_s - self._loop.time()
        behind_s = self._offset_s - offset_s
        if behind_s < 0 or behind_s > STEP_S:
            self._offset_s = offset_s
        else:
            self._offset_s -= min(behind_s, SLEW_S)


class Entropy(Protocol):
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


class SystemEntropy:
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
