"""A position in a driver's feed, and whether what arrives continues it.

Every tool that reads a feed checks it with this class. It imports nothing, so that locust's processes can use it.
"""

from __future__ import annotations

import sys
from typing import Any

GAP, REPEAT = "gap", "repeated"
RESUMED_ELSEWHERE, SNAPSHOT_OF_THE_PAST = "resumed elsewhere", "snapshot of the past"


class FeedPosition:
    """The last entry applied; it survives reconnects.

    Attributes:
        epoch, seq: None before the first welcome.
        gaps: entries that were passed over.
        repeats: entries that came again.
        resumed, snapshots: welcomes that continued the position, and those that replaced it.
        faults: one sentence each; must stay empty.
    """

    __slots__ = ("epoch", "faults", "gaps", "repeats", "resumed", "seq", "snapshots")

    def __init__(self) -> None:
        self.epoch: str | None = None
        self.seq: int | None = None
        self.gaps = self.repeats = self.resumed = self.snapshots = 0
        self.faults: list[str] = []

    @property
    def last(self) -> int:
        """The last entry applied, 0 before the first."""
        return self.seq or 0

    def resume(self) -> dict[str, Any] | None:
        """What `hello` says of the position; None for a phone without one."""
        return None if self.epoch is None else {"epoch": self.epoch, "seq": self.seq}

    def forget(self) -> None:
        """Have the next welcome bring a snapshot, as for a new phone."""
        self.epoch = self.seq = None

    def welcome(self, frame: dict[str, Any]) -> str:
        """Begin where the welcome says; returns the kind of fault, or ""."""
        epoch, seq = (
            sys.intern(frame["epoch"]),
            int(frame["seq"]),
        )  # ten thousand phones share one epoch's text
        if frame["resumed"]:
            self.resumed += 1
            fault = self._want((epoch, seq) == (self.epoch, self.seq), RESUMED_ELSEWHERE, seq)
            self.epoch, self.seq = epoch, seq
            return fault
        if epoch != self.epoch:
            self.forget()
        fault = self.snapshot(seq)
        self.epoch = epoch
        return fault

    def snapshot(self, seq: int) -> str:
        """Continue from a snapshot that is true as of `seq`; returns the kind of fault, or ""."""
        self.snapshots += 1
        fault = self._want(self.seq is None or seq >= self.seq, SNAPSHOT_OF_THE_PAST, seq)
        self.seq = seq
        return fault

    def entry(self, seq: int) -> str:
        """Apply an entry; returns GAP, REPEAT or "". A repeated entry does not move the position."""
        if self.seq is not None and seq <= self.seq:
            self.repeats += 1
            return self._want(False, REPEAT, seq)
        passed_over = seq - self.last - 1
        self.gaps += passed_over
        fault = self._want(self.seq is not None and not passed_over, GAP, seq)
        self.seq = seq
        return fault

    def _want(self, holds: bool, fault: str, seq: int) -> str:
        if holds:
            return ""
        self.faults.append(f"{fault}: {self.seq} then {seq}")
        return fault
