"""Which positions are believed.

A phone that knows nothing reports 0,0; one indoors is wrong by kilometres; one that was deceived jumps. Such a fix is
kept apart: the driver stays where it was.
"""

from __future__ import annotations

from actors.values import frozen
from dispatch.domain.geo import Place, distance_m

# Nobody delivers within a hundred metres of 0,0, in the Gulf of Guinea.
NOWHERE_DEG = 0.001
INACCURATE_M = 5_000.0
# Faster than any vehicle with goods, and what two fixes may differ by that a phone sends at once after a silence.
SPEED_MAX_MPS = 70.0
JUMP_FREE_M = 1_000.0
# After so many jumps in a row, over so long, it is the known place that is wrong.
JUMPS_MAX = 3
JUMPS_OVER_MS = 15_000

NOWHERE, INACCURATE, JUMP = "nowhere", "inaccurate", "jump"
DOUBTS = (NOWHERE, INACCURATE, JUMP)


@frozen
class Track:
    """What is known of the fixes of a driver; volatile.

    Attributes:
        at_ms: when the place that is believed was reported; None for one that was read from the row.
        apart: the newest fix that is kept apart.
        jumps, since_ms: so many in a row disagree with the known place, and since when.
    """

    at_ms: int | None = None
    apart: Place | None = None
    jumps: int = 0
    since_ms: int = 0

    def judge(
        self, known: Place | None, place: Place, accuracy_m: float | None, now_ms: int
    ) -> tuple[Track, str | None]:
        """The track with this fix, and why it is not believed, or None."""
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
    """True when a fix makes an older one, on which nobody has decided, worthless: it will be believed if that one is.

    A fix that may be doubted must not displace the last good one.
    """
    return _doubt(place, accuracy_m) is None and _possible(unread, place, 0)


def _doubt(place: Place, accuracy_m: float | None) -> str | None:
    """Why a fix is not believed, wherever the driver was before; None for one that can be."""
    if abs(place.lat) < NOWHERE_DEG and abs(place.lon) < NOWHERE_DEG:
        return NOWHERE
    if accuracy_m is not None and accuracy_m > INACCURATE_M:
        return INACCURATE
    return None


def _possible(known: Place, place: Place, after_ms: int) -> bool:
    """True when a vehicle can have come so far."""
    return distance_m(known, place) <= JUMP_FREE_M + SPEED_MAX_MPS * max(0, after_ms) / 1000
