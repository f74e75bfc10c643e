"""Liveness: whether a driver that is online can be reached.

A driver is unreachable if its socket has closed and not returned within a grace period, or if two offers in a row
expired without being shown. Any sign of life ends this state.
"""

from __future__ import annotations

from dataclasses import replace

from actors.values import frozen

# Grace period: a phone that changes networks reconnects within it.
GRACE_MS = 20_000
UNSEEN_MAX = 2
# Enough for a driver's offers at one time, and some that have just ended.
SEEN_KEPT = 32


@frozen
class Liveness:
    """Recent signs of life of a driver; volatile.

    Attributes:
        gone_ms: end of its last session, if it has none now.
        unseen: number of consecutive offers that expired without being shown.
        seen: offers that its app has shown, newest last.
    """

    gone_ms: int | None = None
    unseen: int = 0
    seen: tuple[str, ...] = ()

    def looked_at(self, offer_id: str) -> Liveness:
        """Copy after the driver's app has shown or answered this offer."""
        return replace(self, unseen=0, seen=(*self.seen, offer_id)[-SEEN_KEPT:])

    def passed(self, offer_id: str) -> Liveness:
        """Copy after an offer expired."""
        if offer_id in self.seen:
            return replace(self, seen=tuple(x for x in self.seen if x != offer_id))
        return replace(self, unseen=self.unseen + 1)

    def grace_left_ms(self, now_ms: int) -> int | None:
        """Milliseconds until a driver without a session is unreachable; 0 if it is, None with a session."""
        if self.gone_ms is None:
            return None
        since = now_ms - self.gone_ms
        return GRACE_MS - since if 0 <= since < GRACE_MS else 0
