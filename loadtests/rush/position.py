"""Checks a driver's feed: no gap, no repeat, and the same again when it is read again. Pure."""

from __future__ import annotations

from typing import Any

Entry = tuple[int, str, str]


class Position:
    """Where a driver is in its log, and every entry so far.

    Attributes:
        faults: what was wrong; must stay empty.
        entries: of this epoch, since the first welcome: seq, type, order.
        reread: true once the log was read again up to where it had been.
    """

    def __init__(self) -> None:
        self.epoch: str | None = None
        self.seq: int | None = None
        self.faults: list[str] = []
        self.entries: list[Entry] = []
        self.reread = False
        self._start = 0
        self._again: list[Entry] = []

    def resume(self) -> dict[str, Any] | None:
        """What `hello` says about the position; None for a new app."""
        return None if self.epoch is None else {"epoch": self.epoch, "seq": self.seq}

    def rewind(self) -> None:
        """Forget all entries since the first welcome, so that the next connection brings them again."""
        if self.epoch is not None:
            self._again, self.entries, self.seq = self.entries + self._again, [], self._start
            self.reread = not self._again

    def welcome(self, frame: dict[str, Any]) -> bool:
        """A connection is made; true when a snapshot replaces what was known."""
        if frame["resumed"]:
            if (frame["epoch"], frame["seq"]) != (self.epoch, self.seq):
                self.faults.append(f"resumed at {frame['seq']}, asked for {self.seq}")
            return False
        if self.epoch == frame["epoch"] and self.seq is not None and frame["seq"] < self.seq:
            self.faults.append(f"a snapshot of {frame['seq']}, older than {self.seq}")
        self.epoch, self.seq = frame["epoch"], frame["seq"]
        self._start, self.entries, self._again = frame["seq"], [], []
        return True

    def take(self, frame: dict[str, Any]) -> bool:
        """An entry has come; true when it is news."""
        seq = int(frame["seq"])
        if seq != (self.seq or 0) + 1:
            kind = "repeat" if seq <= (self.seq or 0) else "gap"
            self.faults.append(f"{kind}: {self.seq} then {seq}")
            if kind == "repeat":
                return False
        self.seq = seq
        entry = (seq, str(frame["type"]), str(frame["data"]["order_id"]))
        self.entries.append(entry)
        if not self._again:
            return True
        known = self._again.pop(0)
        if known != entry:
            self.faults.append(f"read again: {entry}, it was {known}")
        self.reread = not self._again
        return False

    def finish(self) -> None:
        """The run is over: what was to be read again must have come."""
        if self._again:
            self.faults.append(f"read again up to {self.seq} only, not to {self._again[-1][0]}")
