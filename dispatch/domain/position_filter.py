"""Filter of implausible positions.

A phone without a fix reports 0,0. Indoors a fix may be wrong by kilometres, and a spoofed one jumps. An implausible fix
is set aside, and the driver keeps its last place.
"""

from __future__ import annotations

from actors.values import frozen
from dispatch.domain.geo import Place, distance_m

# There are no deliveries near 0,0, in the Gulf of Guinea.
NOWHERE_DEG = 0.001
INACCURATE_M = 5_000.0
# Greatest plausible speed, and the distance by which two fixes may differ that a phone sends together after a silence.
SPEED_MAX_MPS = 70.0
JUMP_FREE_M = 1_000.0
# After this many jumps in a row, over this time, the known place is considered wrong.
JUMPS_MAX = 3
JUMPS_OVER_MS = 15_000

NOWHERE, INACCURATE, JUMP = "nowhere", "inaccurate", "jump"
DOUBTS = (NOWHERE, INACCURATE, JUMP)


@frozen
class Track:
    """Recent fixes of a driver; volatile.

    Attributes:
        at_ms: time when the accepted place was reported; None if it was read from the row.
        apart: the newest fix that was set aside.
        jumps, since_ms: number of consecutive fixes that disagree with the known place, and the time of the first.
    """

    at_ms: int | None = None
    apart: Place | None = None
    jumps: int = 0
    since_ms: int = 0

    def judge(
        self, known: Place | None, place: Place, accuracy_m: float | None, now_ms: int
    ) -> tuple[Track, str | None]:
        """The track with this fix, and the reason to reject the fix, or None."""
        doubt = _doubt(place, accuracy_m)
        if doubt is not None:
            return Track(self.at_ms, place, self.jumps, self.since_ms), doubt
        if known is None or self.at_ms is None or _possible(known, place, now_ms - self.at_ms):
            return Track(now_ms), None
        since_ms = now_ms if self.jumps == 0 else self.since_ms
        if self.jumps + 1 >= JUMPS_MAX and abs(now_ms - since_ms) >= JUMPS_OVER_MS:
            return Track(now_ms), None
        return Track(self.at_ms, place, self.jumps + 1, since_ms), JUMP


def supersedes(place: Place, accuracy_m: float | None, unread: Place) -> bool:
    """True if a fix may replace an older unread one, because it is accepted whenever that one is.

    An implausible fix must not replace the last good one.
    """
    return _doubt(place, accuracy_m) is None and _possible(unread, place, 0)


def _doubt(place: Place, accuracy_m: float | None) -> str | None:
    """Reason to reject a fix independently of the last place, or None."""
    if abs(place.lat) < NOWHERE_DEG and abs(place.lon) < NOWHERE_DEG:
        return NOWHERE
    if accuracy_m is not None and accuracy_m > INACCURATE_M:
        return INACCURATE
    return None


def _possible(known: Place, place: Place, after_ms: int) -> bool:
    """True if a vehicle can have covered this distance."""
    return distance_m(known, place) <= JUMP_FREE_M + SPEED_MAX_MPS * max(0, after_ms) / 1000
