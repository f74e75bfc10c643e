"""What an instance depends on: one line when it is lost, one when it is back with the time between, none meanwhile.

A store is looked at once a second (`look`). What fails because a store is away (`absorb`) waits for a moment: if the
store is lost, its one line stands for all of them; if it was a single failure, that is written. Peers are lost and
found by their lines (`lose`, `find`), without a look.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import structlog

log = structlog.get_logger()

# One failed look may be a busy moment.
FAILED_LOOKS = 2
# One good look may be luck.
GOOD_LOOKS = 2
# A store that is away is known to be lost by then.
HOLD_S = 4.0
# What all instances stand on.
STORES = frozenset({"postgres", "redis", "disk"})
# More consequences than this are not held back for each store.
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
    """What is lost at the moment.

    Args:
        clock: monotonic seconds.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:  # noqa: TID251 - of lines, not of decisions
        self._clock = clock
        self._states: dict[str, _State] = {}

    def is_lost(self, what: str) -> bool:
        """True between its two lines."""
        state = self._states.get(what)
        return state is not None and state.lost

    # -- stores -------------------------------------------------------------------------------

    def look(self, what: str, reason: str | None) -> None:
        """What a look has found: None when all is well, else what is wrong."""
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
        """Something has failed because of it; `write` says so, if nothing greater explains it."""
        state = self._states.setdefault(what, _State())
        if state.lost:
            state.absorbed += 1
        elif len(state.held) < HELD_MAX:
            state.held.append((self._clock(), write))
        else:
            write()

    def release(self) -> None:
        """Write what is held back: nobody will look any more."""
        for state in self._states.values():
            while state.held:
                state.held.popleft()[1]()

    # -- peers --------------------------------------------------------------------------------

    def lose(self, what: str, reason: str, **about: Any) -> None:
        """It is lost, if it was not already."""
        state = self._states.setdefault(what, _State())
        if state.lost:
            state.absorbed += 1
            return
        state.since = self._clock()
        self._say_lost(what, state, reason, **about)

    def find(self, what: str, **about: Any) -> None:
        """It is there; that is worth a line if it was lost."""
        state = self._states.get(what)
        if state is not None and state.lost:
            self._say_back(what, state, self._clock(), **about)
            del self._states[what]

    # -- lines --------------------------------------------------------------------------------

    def _say_lost(self, what: str, state: _State, reason: str, **about: Any) -> None:
        state.lost, state.good = True, 0
        # A peer that is gone is taken over from; these have nobody to do it.
        say = log.error if what in STORES else log.warning
        say("lost", what=what, reason=reason, **about)

    def _say_back(self, what: str, state: _State, at: float, **about: Any) -> None:
        log.warning("back", what=what, away_s=round(at - state.since, 1), absorbed=state.absorbed, **about)
        state.lost, state.failed, state.good, state.absorbed = False, 0, 0, 0


# One for a process, as metrics are.
OUTAGES = Outages()
