"""The driver: its row, its availability."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from actors.frozen import frozen

ONLINE = "online"
OFFLINE = "offline"

# More orders than this in one car is no delivery by hand.
CAPACITY_MAX = 20


@frozen
class Driver:
    """A driver as committed.

    Attributes:
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

    def loaded_with(self, carrying: frozenset[int]) -> Driver:
        """The same, carrying these orders."""
        return Driver(
            self.id, self.zone_id, self.name, self.status, self.capacity, self.version, carrying, self.recent
        )

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
    )
