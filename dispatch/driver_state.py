"""State of a driver actor: the committed row, the driver's place, and the feed tail."""

from __future__ import annotations

from typing import Any

from actors.dedup import Ring
from actors.values import frozen
from dispatch import messages as m
from dispatch.domain import position_filter
from dispatch.domain.driver import Driver
from dispatch.domain.geo import Place
from dispatch.domain.liveness import Liveness
from dispatch.domain.position_filter import Track
from dispatch.feed_tail import EMPTY, Tail

# Positions can overtake each other within this time. After it, a lower counter means that the client counts anew.
LATE_MS = 10_000


@frozen
class Counted:
    """Newest position by the client's counter: session, counter and time."""

    session: str = ""
    cseq: int = -1
    at_ms: int = 0

    def is_newer(self, message: m.PositionReported, now_ms: int) -> bool:
        """True if a later position of the same session has arrived already."""
        return (
            message.cseq is not None
            and message.session == self.session
            and message.cseq <= self.cseq
            and abs(now_ms - self.at_ms) < LATE_MS
        )

    def with_(self, message: m.PositionReported, now_ms: int) -> Counted:
        """Copy with this position as the newest."""
        return self if message.cseq is None else Counted(message.session, message.cseq, now_ms)


@frozen
class DriverState:
    """State of a driver actor.

    Attributes:
        driver: as committed.
        place, counted: last position, and the client's counter of it; volatile.
        session: address of the live session, or None; `session_number` is greater than those of earlier sessions.
        joining: the session waits for its replay or snapshot; new entries are kept in the tail.
        last_seq: newest feed position that has arrived here.
        tail: the newest entries up to last_seq, contiguous.
        reading: True while a read of the log is under way.
        signs, track: recent signs of life, and recent fixes.
        queue_place: place in the zone's queue as the zone told it last, or None; volatile.
    """

    driver: Driver
    last_seq: int
    tail: Tail = EMPTY
    place: Place | None = None
    counted: Counted = Counted()
    session: str | None = None
    joining: bool = False
    reading: bool = False
    session_number: tuple[int, int] = (0, 0)
    signs: Liveness = Liveness()
    track: Track = Track()
    queue_place: int | None = None

    @property
    def recent(self) -> Ring:
        return self.driver.recent

    # Written out because each commit uses them: `dataclasses.replace` takes three times as long.

    def with_driver(self, driver: Driver) -> DriverState:
        """Copy with another driver row."""
        return DriverState(
            driver,
            self.last_seq,
            self.tail,
            self.place,
            self.counted,
            self.session,
            self.joining,
            self.reading,
            self.session_number,
            self.signs,
            self.track,
            self.queue_place,
        )

    def grown(self, entries: tuple[m.Entry, ...]) -> DriverState:
        """Copy with entries appended to the feed tail."""
        return DriverState(
            self.driver,
            entries[-1].seq,
            self.tail.grown(entries),
            self.place,
            self.counted,
            self.session,
            self.joining,
            self.reading,
            self.session_number,
            self.signs,
            self.track,
            self.queue_place,
        )

    def at(self, place: Place | None, counted: Counted, track: Track) -> DriverState:
        """Copy with another place."""
        return DriverState(
            self.driver,
            self.last_seq,
            self.tail,
            place,
            counted,
            self.session,
            self.joining,
            self.reading,
            self.session_number,
            self.signs,
            track,
            self.queue_place,
        )


def supersedes(newer: object, unread: object) -> bool:
    """True if a newer message of a topic replaces an unread one; an implausible fix does not."""
    if isinstance(newer, m.PositionReported) and isinstance(unread, m.PositionReported):
        return position_filter.supersedes(newer.place, newer.accuracy_m, unread.place)
    return True


def entry_from(row: Any) -> m.Entry:
    """Make an entry from its row."""
    return m.Entry(row["seq"], row["type"], row["at_ms"], row["trace"], row["data"])


def seen_of(state: DriverState) -> m.DriverSeen:
    """Make the reply to `DriverView`."""
    d = state.driver
    return m.DriverSeen(
        d.id,
        d.zone_id,
        d.name,
        d.status,
        d.capacity,
        tuple(sorted(d.carrying)),
        state.place,
        state.session is not None,
        state.last_seq,
        d.state,
        state.queue_place,
    )


def item_of(driver: Driver, version: int) -> dict[str, Any]:
    """Make the journal item of a driver."""
    return {
        "kind": "driver",
        "id": driver.id,
        "version": version,
        "status": driver.status,
        "capacity": driver.capacity,
        "zone": driver.zone_id,
        "unreachable_ms": driver.unreachable_ms,
        "shift_ends_ms": driver.shift_ends_ms,
        "recent": [list(entry) for entry in driver.recent],
    }
