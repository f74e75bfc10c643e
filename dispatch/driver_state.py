"""What a driver's actor has in memory: the committed facts, where the driver is, and the end of its feed."""

from __future__ import annotations

from typing import Any

from actors.dedup import Ring
from actors.frozen import frozen
from dispatch import messages as m
from dispatch.domain.driver import Driver
from dispatch.domain.geo import Place
from dispatch.feed import TAIL_MAX


@frozen
class DriverState:
    """An active driver.

    Attributes:
        driver: as committed.
        place, cseq: last position and the client's counter of it; volatile.
        session: address of the live session, or None; `session_ms` is when it was opened.
        joining: the session waits for its replay or snapshot; entries are kept in the tail meanwhile.
        last_seq: newest position known to be committed and seen here.
        tail: the newest entries up to last_seq, contiguous.
        reading: a read of the log is under way.
    """

    driver: Driver
    last_seq: int
    tail: tuple[m.Entry, ...] = ()
    place: Place | None = None
    cseq: int = -1
    session: str | None = None
    joining: bool = False
    reading: bool = False
    session_ms: int = 0

    @property
    def recent(self) -> Ring:
        return self.driver.recent

    # Written out, for they are taken with every commit: `dataclasses.replace` takes three times as long.

    def with_driver(self, driver: Driver) -> DriverState:
        """The same with other committed facts."""
        return DriverState(
            driver, self.last_seq, self.tail, self.place, self.cseq, self.session, self.joining, self.reading,
            self.session_ms,
        )  # fmt: skip

    def grown(self, tail: tuple[m.Entry, ...], last_seq: int) -> DriverState:
        """The same with a longer log."""
        return DriverState(
            self.driver, last_seq, tail, self.place, self.cseq, self.session, self.joining, self.reading,
            self.session_ms,
        )  # fmt: skip

    def at(self, place: Place, cseq: int) -> DriverState:
        """The same in another place."""
        return DriverState(
            self.driver, self.last_seq, self.tail, place, cseq, self.session, self.joining, self.reading,
            self.session_ms,
        )  # fmt: skip


def contiguous(entries: tuple[m.Entry, ...], last: int) -> tuple[m.Entry, ...]:
    """The longest run of entries that ends at `last`."""
    run: list[m.Entry] = []
    for entry in reversed(entries):
        if entry.seq > last:
            continue
        if entry.seq != last - len(run):
            break
        run.append(entry)
    return tuple(reversed(run))[-TAIL_MAX:]


def entry_from(row: Any) -> m.Entry:
    """The entry behind a row of the log."""
    return m.Entry(row["seq"], row["type"], row["at_ms"], row["trace"], row["data"])
