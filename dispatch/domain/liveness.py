"""Signs of life: whether a driver who says that it is online can be asked at all.

A driver is unreachable when its socket is gone and did not come back within the grace, or when it let two offers in
a row pass without having shown them. Any sign of life ends that.
"""

from __future__ import annotations

from dataclasses import replace

from actors.values import frozen

# A phone that changes networks is back by then.
GRACE_MS = 20_000
UNSEEN_MAX = 2
# Offers that a driver can have at once, and some that have just ended.
SEEN_KEPT = 32


@frozen
class Liveness:
    """What was heard of a driver lately; volatile.

    Attributes:
        gone_ms: since when it has no session, if it had one.
        unseen: so many offers in a row have passed without a look at them.
        seen: offers that its app has shown, the newest last.
    """

    gone_ms: int | None = None
    unseen: int = 0
    seen: tuple[str, ...] = ()

    def looked_at(self, offer_id: str) -> Liveness:
        """The driver's app shows this offer, or has answered it."""
        return replace(self, unseen=0, seen=(*self.seen, offer_id)[-SEEN_KEPT:])

    def passed(self, offer_id: str) -> Liveness:
        """An offer's time was up."""
        if offer_id in self.seen:
            return replace(self, seen=tuple(x for x in self.seen if x != offer_id))
        return replace(self, unseen=self.unseen + 1)

    def grace_left_ms(self, now_ms: int) -> int | None:
        """Until a driver without a session counts as unreachable; 0 when it is time, None when it has one."""
        if self.gone_ms is None:
            return None
        since = now_ms - self.gone_ms
        return GRACE_MS - since if 0 <= since < GRACE_MS else 0
