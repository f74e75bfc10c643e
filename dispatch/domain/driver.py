"""Driver: its row and its availability."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from actors.values import frozen

ONLINE = "online"
OFFLINE = "offline"
# Not a status in the row: the driver is online by its own choice, and its next message ends this state.
UNREACHABLE = "unreachable"

# A shift that ends farther from now is a mistake, such as seconds for milliseconds: such a driver would get no offer.
SHIFT_SPAN_MS = 2 * 24 * 3_600_000


def is_shift_end(ends_ms: int | None, now_ms: float) -> bool:
    """True for an end of a shift that makes sense, and for none; a repeated command may name one that is over."""
    return ends_ms is None or abs(ends_ms - now_ms) <= SHIFT_SPAN_MS


# Limit of orders that a driver carries at once.
CAPACITY_MAX = 20


@frozen
class Driver:
    """A driver as committed.

    Attributes:
        unreachable_ms: since when the driver, though online, gets no offers; None if it gets them.
        shift_ends_ms: the driver picks nothing up later; None: it has not said.
        carrying: ids of carried orders; they follow from the assignments, not from this row's version.
    """

    id: int
    zone_id: int
    name: str
    status: str
    capacity: int
    version: int
    carrying: frozenset[int] = frozenset()
    recent: tuple[tuple[str, str, Any], ...] = ()
    unreachable_ms: int | None = None
    shift_ends_ms: int | None = None

    @property
    def state(self) -> str:
        """Availability for dispatch: `online`, `offline`, or `unreachable`."""
        return UNREACHABLE if self.status == ONLINE and self.unreachable_ms is not None else self.status

    def loaded_with(self, carrying: frozenset[int]) -> Driver:
        """Copy of the driver with these carried orders."""
        return Driver(
            self.id,
            self.zone_id,
            self.name,
            self.status,
            self.capacity,
            self.version,
            carrying,
            self.recent,
            self.unreachable_ms,
            self.shift_ends_ms,
        )

    @property
    def free(self) -> int:
        """Number of free slots."""
        return max(0, self.capacity - len(self.carrying))


def driver_from(row: Mapping[str, Any], recent: tuple[tuple[str, str, Any], ...]) -> Driver:
    """Make a driver from its row."""
    return Driver(
        id=row["id"],
        zone_id=row["zone_id"],
        name=row["name"],
        status=row["status"],
        capacity=row["capacity"],
        version=row["version"],
        carrying=frozenset(row["carrying"]),
        recent=recent,
        unreachable_ms=row["unreachable_ms"],
        shift_ends_ms=row.get("shift_ends_ms"),
    )
