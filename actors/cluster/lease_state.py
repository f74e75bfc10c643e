"""Lease state: how long an instance may rely on its leases.

LEASED until VALID_S after the last good renewal was *sent*; then UNSURE: the leases may be held or lost. UNSURE ends
after a successful renewal and a comparison of all held epochs with the journal: another owner may have come and gone
meanwhile.
"""

from __future__ import annotations

from actors.clock import Clock
from actors.cluster.leases import VALID_S

LEASED, UNSURE = "leased", "unsure"


class LeaseState:
    """Lease state of one instance, for all its shards."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._renewed_at: float | None = None
        self._checked = True
        self.gaps = 0

    def renewed(self, sent_at: float) -> None:
        """Note a successful renewal, by the time when it was sent."""
        if self._renewed_at is not None and sent_at >= self._renewed_at + VALID_S:
            self._checked = False
            self.gaps += 1
        if self._renewed_at is None or sent_at > self._renewed_at:
            self._renewed_at = sent_at

    @property
    def must_check(self) -> bool:
        """True if epochs must be compared before the leases count again."""
        return not self._checked

    def checked(self) -> None:
        """Note that all held epochs are the journal's; others were given up."""
        self._checked = True

    @property
    def margin_s(self) -> float:
        """Seconds for which the leases are still valid; negative afterwards."""
        return -1.0 if self._renewed_at is None else self._renewed_at + VALID_S - self._clock.boot()

    def sure(self) -> bool:
        """True while replies from memory need no check with the journal."""
        return (
            self._checked and self._renewed_at is not None and self._clock.boot() < self._renewed_at + VALID_S
        )

    @property
    def state(self) -> str:
        return LEASED if self.sure() else UNSURE
