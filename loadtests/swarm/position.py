"""A place in a driver's log, and whether what arrives continues it."""

from __future__ import annotations

import sys
from typing import Any


class Position:
    """The last entry applied. `epoch` is empty before the first welcome."""

    __slots__ = ("epoch", "seq")

    def __init__(self) -> None:
        self.epoch = ""
        self.seq = 0

    @property
    def resume(self) -> dict[str, Any] | None:
        """What `hello` says of it; None before the first welcome."""
        return {"epoch": self.epoch, "seq": self.seq} if self.epoch else None

    def welcome(self, frame: dict[str, Any]) -> str:
        """Begin where the welcome says; returns what is wrong with it, or nothing."""
        fault = ""
        if frame["resumed"] and (frame["epoch"], frame["seq"]) != (self.epoch, self.seq):
            fault = "resumed elsewhere"
        elif not frame["resumed"] and frame["epoch"] == self.epoch and frame["seq"] < self.seq:
            fault = "snapshot of the past"
        # Ten thousand phones share one epoch's text.
        self.epoch, self.seq = sys.intern(frame["epoch"]), frame["seq"]
        return fault

    def entry(self, seq: int) -> str:
        """Apply an entry; returns `gap`, `repeated`, or nothing. A repeated one changes nothing."""
        if seq <= self.seq:
            return "repeated"
        fault = "gap" if seq > self.seq + 1 else ""
        self.seq = seq
        return fault
