"""Queue of a zone's free drivers at its stores: first come, first served.

A driver without an order who comes into the fence gets a place at the end. The queue is in the memory of the zone's
actor. After a takeover it begins anew, in the sequence in which the new owner hears of the drivers: the old sequence is
lost.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

from actors.values import frozen
from dispatch import messages as m
from dispatch.domain.geo import Place, distance_m

# A driver who is outside for less keeps its place: positions near a building are off by a street.
GRACE_MS = 60_000
# Places that are given. Whoever comes later gets one when somebody has left and it is heard of again.
PLACES_MAX = 500


@frozen
class Fence:
    """Circle around the middle of a zone's stores."""

    middle: Place
    radius_m: int

    def has(self, place: Place) -> bool:
        """True for a place inside."""
        return distance_m(self.middle, place) <= self.radius_m


def fence_from(row: Mapping[str, Any]) -> Fence | None:
    """The fence of a zone's row; None if the zone has no queue, or no store."""
    radius_m, lat, lon = (row.get(name) for name in ("queue_radius_m", "queue_lat", "queue_lon"))
    return None if radius_m is None or lat is None or lon is None else Fence(Place(lat, lon), radius_m)


@dataclass(slots=True)
class PickupQueue:
    """The queue.

    Attributes:
        fence: where it is; None: there is none.
        outside_since: drivers in the sequence of their arrival, each with the time at which it left the fence, or None.
        ranks: number of each driver's arrival; it stays while others leave.
        told: the place that each driver was told last.
    """

    fence: Fence | None = None
    outside_since: dict[int, int | None] = field(default_factory=dict)
    ranks: dict[int, int] = field(default_factory=dict)
    told: dict[int, int] = field(default_factory=dict)
    arrivals: int = 0

    def __iter__(self) -> Iterator[int]:
        return iter(self.outside_since)

    def set(self, fence: Fence | None) -> None:
        """Set the fence. Drivers are judged by it when they are heard of again; without one they leave."""
        self.fence = fence
        if fence is None:
            self.outside_since.clear()
            self.ranks.clear()

    def heard(self, driver: m.DriverChanged, now_ms: int) -> None:
        """Let an online driver come, stay or go."""
        number = driver.driver_id
        if self.fence is None or driver.carrying or driver.free == 0:
            self.leave(number)
        elif driver.place is not None and self.fence.has(driver.place):
            if number in self.outside_since:
                self.outside_since[number] = None
            elif len(self.outside_since) < PLACES_MAX:
                self.arrivals += 1
                self.outside_since[number], self.ranks[number] = None, self.arrivals
        elif number in self.outside_since and self.outside_since[number] is None:
            self.outside_since[number] = now_ms

    def leave(self, number: int) -> None:
        """Take a driver out."""
        self.outside_since.pop(number, None)
        self.ranks.pop(number, None)

    def overdue(self, now_ms: int) -> list[int]:
        """Take out who is outside for too long; returns them."""
        gone = [
            number
            for number, since_ms in self.outside_since.items()
            if since_ms is not None and abs(now_ms - since_ms) >= GRACE_MS
        ]
        for number in gone:
            self.leave(number)
        return gone

    def waits_inside(self, number: int) -> bool:
        """True for a driver in the queue who is inside the fence."""
        return self.outside_since.get(number, GRACE_MS) is None

    def news(self) -> list[tuple[int, int | None]]:
        """Drivers whose place has changed since they were told, with their places; None: they have none any more."""
        now = {number: place for place, number in enumerate(islice(self.outside_since, PLACES_MAX), 1)}
        news: list[tuple[int, int | None]] = [(number, None) for number in self.told if number not in now]
        news += [(number, place) for number, place in now.items() if self.told.get(number) != place]
        self.told = now
        return news
