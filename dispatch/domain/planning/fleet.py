"""Drivers in the sequence in which they can be at a place, after the trips that they have."""

from __future__ import annotations

from collections.abc import Container, Iterator
from heapq import heapify, heappop, heappush
from itertools import islice

from dispatch.domain.planning.legs import Legs
from dispatch.domain.planning.route_set import RouteSet
from dispatch.domain.planning.trips import TripShape

# Arrival, id and number of a driver.
Arrival = tuple[float, int, int]


class Fleet:
    """Finds drivers. A driver's next trip begins where and when its last one ends."""

    def __init__(self, routes: RouteSet, legs: Legs, count: int) -> None:
        self._routes = routes
        self._rows = legs.rows
        self._count = count
        self._heaps: dict[int, list[Arrival]] = {}
        self._compared: dict[int, list[int]] = {}

    def best(self, alone: TripShape, declined: Container[int]) -> int | None:
        """Number of the driver who can be at an order's store first; of those there in time, the nearest.

        `declined`: ids of drivers to leave out. None: there is nobody.
        """
        able = (
            found
            for found in self._soonest(alone.first)
            if found[1] not in declined and self._may(found, alone)
        )
        seen = list(islice(able, self._count))
        if not seen:
            return None
        self._compared[alone.numbers[0]] = [driver for _, _, driver in seen]
        due_s = alone.ready_s - alone.lead_s
        return min(seen, key=lambda found: self._merit(found, alone.first, due_s))[2]

    def _may(self, found: Arrival, alone: TripShape) -> bool:
        """True if a driver has room for an order, and is still on shift when it is ready."""
        book = self._routes.books[found[2]]
        return book.fits(alone) and max(found[0] + alone.lead_s, alone.ready_s) <= book.limit_s

    def options(self, number: int) -> list[int]:
        """Drivers who were compared for an order."""
        return self._compared.get(number, [])

    def _merit(self, found: Arrival, spot: int, due_s: float) -> tuple[float, float, int]:
        arrival_s, driver_id, driver = found
        end = self._routes.routes[driver].before[-1][1]
        return max(arrival_s, due_s), self._rows[end][spot], driver_id

    def _soonest(self, spot: int) -> Iterator[Arrival]:
        """All drivers by arrival. What was told of a driver who has got a trip since is put right when it comes up."""
        heap = self._heaps.get(spot)
        if heap is None:
            heap = self._heaps[spot] = [
                (self._arrival_s(driver, spot), book.driver.id, driver)
                for driver, book in enumerate(self._routes.books)
            ]
            heapify(heap)
        told = []
        try:
            while heap:
                arrival_s, driver_id, driver = heappop(heap)
                true_s = self._arrival_s(driver, spot)
                if true_s > arrival_s:
                    heappush(heap, (true_s, driver_id, driver))
                    continue
                told.append((true_s, driver_id, driver))
                yield told[-1]
        finally:
            for found in told:
                heappush(heap, found)

    def _arrival_s(self, driver: int, spot: int) -> float:
        free_s, end, _ = self._routes.routes[driver].before[-1]
        return free_s + self._rows[end][spot]
