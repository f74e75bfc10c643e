"""The end of a driver's log in memory."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from dispatch.messages import Entry

# Entries kept in memory per online driver: enough for a lift ride, so that a reconnect reads no rows.
TAIL_MAX = 64
# Entries beyond it that are kept until as many are dropped at once.
SLACK = 16


class Tail:
    """The newest entries of one log, without a gap: a value, and cheap to lengthen.

    Every commit of a driver's order lengthens it. As a tuple it was copied each time, and each copy was walked by the
    collector, entry after entry: a third of the collector's time under acceptances. So a tail is a window on a list
    that it shares with those it was grown from. Who is the newest appends; whoever finds the list longer
    than its window copies what it sees first.
    """

    __slots__ = ("_end", "_first", "_log")

    def __init__(self, entries: Sequence[Entry] = ()) -> None:
        self._log = list(entries[-TAIL_MAX:])
        self._first, self._end = 0, len(self._log)

    def grown(self, entries: Sequence[Entry]) -> Tail:
        """With these at its end, which follow it without a gap; the oldest beyond TAIL_MAX are dropped."""
        log, first = self._log, self._first
        if len(log) != self._end or first >= SLACK or not log:
            log, first = log[first : self._end], 0
        log.extend(entries)
        moved = Tail.__new__(Tail)
        moved._log, moved._end = log, len(log)
        moved._first = max(first, moved._end - TAIL_MAX)
        return moved

    def after(self, seq: int) -> tuple[Entry, ...] | None:
        """The entries behind a position; None when some of them may have been dropped."""
        if not len(self):
            return None
        missed = seq + 1 - self._log[self._first].seq
        return None if missed < 0 else tuple(self._log[self._first + missed : self._end])

    def __iter__(self) -> Iterator[Entry]:
        return iter(self._log[self._first : self._end])

    def __len__(self) -> int:
        return self._end - self._first

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Tail) and list(self) == list(other)

    def __hash__(self) -> int:
        return hash(tuple(entry.seq for entry in self))


EMPTY = Tail()


def contiguous(entries: Sequence[Entry], last: int) -> Tail:
    """The longest run of ascending entries that ends at `last`."""
    run: list[Entry] = []
    for entry in reversed(entries):
        if entry.seq > last:
            continue
        if entry.seq != last - len(run):
            break
        run.append(entry)
    return Tail(run[::-1])
