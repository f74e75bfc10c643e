"""How long an instance may believe in its leases.

LEASED until VALID_S after the last good renewal was *sent*; then UNSURE: nothing proves that the leases are
lost, and nothing that they are held. UNSURE ends when a renewal succeeds and afterwards the epochs of
everything held have been compared with the journal: somebody may have come and gone meanwhile.
"""

from __future__ import annotations

from actors.clock import Clock
from actors.cluster.leases import VALID_S

LEASED, UNSURE = "leased", "unsure"


class LeaseState:
    """The lease state of an instance as a whole."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._renewed_at: float | None = None
        self._checked = True
        self.gaps = 0

    def renewed(self, sent_at: float) -> None:
        """A renewal that was sent then has succeeded."""
        if self._renewed_at is not None and sent_at >= self._renewed_at + VALID_S:
            self._checked = False
            self.gaps += 1
        if self._renewed_at is None or sent_at > self._renewed_at:
            self._renewed_at = sent_at

    @property
    def must_check(self) -> bool:
        """True when the epochs must be compared before the leases are believed again."""
        return not self._checked

    def checked(self) -> None:
        """The epochs of everything held are the journal's, or were given up."""
        self._checked = True

    @property
    def margin_s(self) -> float:
        """Seconds for which the leases are still good; negative when they are not."""
        return -1.0 if self._renewed_at is None else self._renewed_at + VALID_S - self._clock.boot()

    def sure(self) -> bool:
        """True while what is held may be believed without asking the journal."""
        return (
            self._checked and self._renewed_at is not None and self._clock.boot() < self._renewed_at + VALID_S
        )

    @property
    def state(self) -> str:
        return LEASED if self.sure() else UNSURE
