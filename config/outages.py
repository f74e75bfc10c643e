"""Outages of dependencies: one log line when one is lost, one when it is back with the duration, none between.

A store is checked once a second (`look`). A failure because of a store (`absorb`) is held back for a moment: if the
store is lost, its line stands for all failures; a single failure is written. Peers are lost and found by their links
(`lose`, `find`).
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import structlog

log = structlog.get_logger()

# One failed check may be a busy moment.
FAILED_LOOKS = 2
# One successful check may be chance.
GOOD_LOOKS = 2
# Failures are held back for this long; a store that is away is known as lost by then.
HOLD_S = 4.0
# Dependencies that all instances share.
STORES = frozenset({"postgres", "redis", "disk"})
# Limit of failures held back per store.
HELD_MAX = 50

Write = Callable[[], None]


@dataclass(slots=True)
class _State:
    since: float = 0.0
    failed: int = 0
    good: int = 0
    good_since: float = 0.0
    lost: bool = False
    absorbed: int = 0
    held: deque[tuple[float, Write]] = field(default_factory=deque)


class Outages:
    """Dependencies that are lost now.

    Args:
        clock: monotonic seconds.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:  # noqa: TID251 - of lines, not of decisions
        self._clock = clock
        self._states: dict[str, _State] = {}

    def is_lost(self, what: str) -> bool:
        """True while a dependency is lost."""
        state = self._states.get(what)
        return state is not None and state.lost

    # -- stores -------------------------------------------------------------------------------

    def look(self, what: str, reason: str | None) -> None:
        """Take in a check of a store: None if it is well, else the problem."""
        state, now = self._states.setdefault(what, _State()), self._clock()
        if reason is None:
            self._well(what, state, now)
            return
        state.good = 0
        if not state.failed:
            state.since = now
        state.failed += 1
        if state.failed >= FAILED_LOOKS and not state.lost:
            state.absorbed += len(state.held)
            state.held.clear()
            self._say_lost(what, state, reason)

    def _well(self, what: str, state: _State, now: float) -> None:
        if state.lost:
            state.good_since = state.good_since if state.good else now
            state.good += 1
            if state.good >= GOOD_LOOKS:
                self._say_back(what, state, state.good_since)
            return
        state.failed = 0
        while state.held and now - state.held[0][0] >= HOLD_S:
            state.held.popleft()[1]()

    def absorb(self, what: str, write: Write) -> None:
        """Hold back a failure because of a store. `write` logs it, unless the store's outage explains it."""
        state = self._states.setdefault(what, _State())
        if state.lost:
            state.absorbed += 1
        elif len(state.held) < HELD_MAX:
            state.held.append((self._clock(), write))
        else:
            write()

    def release(self) -> None:
        """Write all failures that are held back, at the end of the checks."""
        for state in self._states.values():
            while state.held:
                state.held.popleft()[1]()

    # -- peers --------------------------------------------------------------------------------

    def lose(self, what: str, reason: str, **about: Any) -> None:
        """Note that a peer is lost."""
        state = self._states.setdefault(what, _State())
        if state.lost:
            state.absorbed += 1
            return
        state.since = self._clock()
        self._say_lost(what, state, reason, **about)

    def find(self, what: str, **about: Any) -> None:
        """Note that a peer is there, with a line if it was lost."""
        state = self._states.get(what)
        if state is not None and state.lost:
            self._say_back(what, state, self._clock(), **about)
            del self._states[what]

    # -- lines --------------------------------------------------------------------------------

    def _say_lost(self, what: str, state: _State, reason: str, **about: Any) -> None:
        state.lost, state.good = True, 0
        # A lost peer is taken over; a lost store has no replacement.
        say = log.error if what in STORES else log.warning
        say("lost", what=what, reason=reason, **about)

    def _say_back(self, what: str, state: _State, at: float, **about: Any) -> None:
        log.warning("back", what=what, away_s=round(at - state.since, 1), absorbed=state.absorbed, **about)
        state.lost, state.failed, state.good, state.absorbed = False, 0, 0, 0


# One for a process, as metrics are.
OUTAGES = Outages()
