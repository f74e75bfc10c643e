"""Feed tail: the newest entries of a driver's log, in memory."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from dispatch.messages import Entry

# Entries in memory per online driver: enough for a ride in a lift, so that a reconnect reads no rows.
TAIL_MAX = 64
# Additional entries that are kept until they are dropped together.
SLACK = 16


class Tail:
    """Newest entries of one log, without a gap. An immutable value that is cheap to extend.

    Each commit of a driver's order extends it. A tuple was copied each time, and the garbage collector walked each
    copy, which took a third of its time under acceptances. So a tail is a window on a list that it shares with the
    tails before it. The newest tail appends to the list; an older one copies its window first.
    """

    __slots__ = ("_end", "_first", "_log")

    def __init__(self, entries: Sequence[Entry] = ()) -> None:
        self._log = list(entries[-TAIL_MAX:])
        self._first, self._end = 0, len(self._log)

    def grown(self, entries: Sequence[Entry]) -> Tail:
        """Tail with entries appended, which follow without a gap. The oldest beyond TAIL_MAX are dropped."""
        log, first = self._log, self._first
        if len(log) != self._end or first >= SLACK or not log:
            log, first = log[first : self._end], 0
        log.extend(entries)
        moved = Tail.__new__(Tail)
        moved._log, moved._end = log, len(log)
        moved._first = max(first, moved._end - TAIL_MAX)
        return moved

    def after(self, seq: int) -> tuple[Entry, ...] | None:
        """Entries after a position; None if some of them may have been dropped."""
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
