"""Whether a driver's log reads the same again when a phone reads it from an earlier position. Pure."""

from __future__ import annotations

from typing import Any

from loadtests.kit.feed_position import REPEAT, FeedPosition

Entry = tuple[int, str, str]


class RereadCheck:
    """A feed's position, and every entry so far.

    Attributes:
        position: its faults hold those of reading again, too.
        entries: of this epoch, since the first welcome: seq, type, order.
        reread: true once the log was read again up to where it had been.
    """

    def __init__(self) -> None:
        self.position = FeedPosition()
        self.entries: list[Entry] = []
        self.reread = False
        self._start = 0
        self._again: list[Entry] = []

    def rewind(self) -> None:
        """Forget all entries since the first welcome, so that the next connection brings them again."""
        if self.position.epoch is not None:
            self._again, self.entries, self.position.seq = self.entries + self._again, [], self._start
            self.reread = not self._again

    def welcome(self, frame: dict[str, Any]) -> bool:
        """A connection is made; true when a snapshot replaces what was known."""
        self.position.welcome(frame)
        if frame["resumed"]:
            return False
        self._start, self.entries, self._again = frame["seq"], [], []
        return True

    def entry(self, frame: dict[str, Any]) -> bool:
        """An entry has come; true when it is new."""
        seq = int(frame["seq"])
        if self.position.entry(seq) == REPEAT:
            return False
        entry = (seq, str(frame["type"]), str(frame["data"]["order_id"]))
        self.entries.append(entry)
        if not self._again:
            return True
        known = self._again.pop(0)
        if known != entry:
            self.position.faults.append(f"read again: {entry}, it was {known}")
        self.reread = not self._again
        return False

    def finish(self) -> None:
        """The run is over: what was to be read again must have come."""
        if self._again:
            last = self._again[-1][0]
            self.position.faults.append(f"read again up to {self.position.seq} only, not to {last}")
