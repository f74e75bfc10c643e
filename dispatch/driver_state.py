"""What a driver's actor has in memory: the committed facts, where the driver is, and the end of its feed."""

from __future__ import annotations

from typing import Any

from actors.dedup import Ring
from actors.frozen import frozen
from dispatch import messages as m
from dispatch.domain.driver import Driver
from dispatch.domain.geo import Place
from dispatch.tail import EMPTY, Tail


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
    tail: Tail = EMPTY
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

    def grown(self, entries: tuple[m.Entry, ...]) -> DriverState:
        """The same with a longer log, by entries that follow it."""
        return DriverState(
            self.driver, entries[-1].seq, self.tail.grown(entries), self.place, self.cseq, self.session,
            self.joining, self.reading, self.session_ms,
        )  # fmt: skip

    def at(self, place: Place, cseq: int) -> DriverState:
        """The same in another place."""
        return DriverState(
            self.driver, self.last_seq, self.tail, place, cseq, self.session, self.joining, self.reading,
            self.session_ms,
        )  # fmt: skip


def entry_from(row: Any) -> m.Entry:
    """The entry behind a row of the log."""
    return m.Entry(row["seq"], row["type"], row["at_ms"], row["trace"], row["data"])
