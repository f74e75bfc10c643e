"""Whether the entries of a driver's feed came one after another, each once; kept apart from the phone's own count."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(slots=True)
class Positions:
    """The positions that one driver was sent.

    Attributes:
        last: the newest, 0 before the first.
        gaps: positions that were passed over.
        duplicates: positions that came again.
        snapshots: how often everything was replaced instead.
    """

    last: int = 0
    gaps: int = 0
    duplicates: int = 0
    snapshots: int = 0

    def start(self, seq: int) -> None:
        """A snapshot that is true as of `seq`."""
        self.last = seq
        self.snapshots += 1

    def take(self, seq: int) -> None:
        """The next entry."""
        if seq <= self.last:
            self.duplicates += 1
            return
        self.gaps += seq - self.last - 1
        self.last = seq
