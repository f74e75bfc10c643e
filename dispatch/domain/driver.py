"""The driver: its row, its availability."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from actors.values import frozen

ONLINE = "online"
OFFLINE = "offline"
# No status of its own: the driver has said that it is online, and whatever it says next makes that true again.
UNREACHABLE = "unreachable"

# More orders than this in one car is no delivery by hand.
CAPACITY_MAX = 20


@frozen
class Driver:
    """A driver as committed.

    Attributes:
        unreachable_ms: since when it is not asked though it said that it is online; None for a driver who is.
        carrying: ids of the orders it holds; follows from the assignments, not from this row's version.
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

    @property
    def state(self) -> str:
        """What it is worth to dispatch: `online`, `offline`, or `unreachable`."""
        return UNREACHABLE if self.status == ONLINE and self.unreachable_ms is not None else self.status

    def loaded_with(self, carrying: frozenset[int]) -> Driver:
        """The same, carrying these orders."""
        return Driver(
            self.id, self.zone_id, self.name, self.status, self.capacity, self.version, carrying, self.recent,
            self.unreachable_ms,
        )  # fmt: skip

    @property
    def free(self) -> int:
        """Slots that are not taken."""
        return max(0, self.capacity - len(self.carrying))


def driver_from(row: Mapping[str, Any], recent: tuple[tuple[str, str, Any], ...]) -> Driver:
    """The driver behind a row."""
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
    )
