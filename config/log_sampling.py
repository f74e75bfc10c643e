"""Sampling of log lines that clients can cause: some of each kind are written, and the next one counts the others."""

from __future__ import annotations

import time
from collections.abc import Callable

# Lines of one kind per window of time.
BURST = 10
WINDOW_S = 10.0
# Kinds are codes of this program. The limit bounds memory in any case.
KINDS_MAX = 500


class Sampler:
    """Decides which lines are written.

    Args:
        clock: monotonic seconds.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:  # noqa: TID251 - of lines, not of decisions
        self._clock = clock
        # By kind: when its window began, lines written in it, lines left out since the last one written.
        self._kinds: dict[str, tuple[float, int, int]] = {}

    def take(self, kind: str) -> int | None:
        """Number of lines of this kind left out before this one; None if this one is left out too."""
        now = self._clock()
        began, written, left_out = self._kinds.get(kind, (now, 0, 0))
        if now - began >= WINDOW_S:
            began, written = now, 0
        if written >= BURST:
            self._kinds[kind] = (began, written, left_out + 1)
            return None
        if kind not in self._kinds and len(self._kinds) >= KINDS_MAX:
            del self._kinds[next(iter(self._kinds))]
        self._kinds[kind] = (began, written + 1, 0)
        return left_out


# One per process, like metrics.
STRANGERS = Sampler()
