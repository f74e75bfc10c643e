"""Drivers in the sequence in which they can be at a place, after the trips that they have."""

from __future__ import annotations

from collections.abc import Container, Iterator
from heapq import heapify, heappop, heappush
from itertools import islice

from dispatch.domain.planning.legs import Legs
from dispatch.domain.planning.route_set import RouteSet

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

    def best(self, number: int, spot: int, due_s: float, declined: Container[int], units: int) -> int | None:
        """Number of the driver who can be at a spot first; of those there by `due_s`, the nearest.

        None: there is nobody who may take an order of so many units. `number`: the order, for `options`.
        """
        able = (
            found
            for found in self._soonest(spot)
            if found[1] not in declined
            and self._routes.books[found[2]].driver.capacity_units >= units
            and found[0] <= self._routes.books[found[2]].limit_s
        )
        seen = list(islice(able, self._count))
        if not seen:
            return None
        self._compared[number] = [driver for _, _, driver in seen]
        return min(seen, key=lambda found: self._merit(found, spot, due_s))[2]

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
