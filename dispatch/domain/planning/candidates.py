"""Drivers worth considering for an order: those who can be at its store first, found ring by ring in a grid.

Distances are straight lines here: the metric is asked only for those who are found.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from math import floor, hypot, sqrt

from dispatch.domain.planning.legs import Legs
from dispatch.domain.planning.routes import RouteBook
from dispatch.domain.planning.settings import MINUTE_S
from dispatch.domain.planning.values import Spot

Cell = tuple[int, int]
# Number and id of a driver, when it can set out, and from where.
Waiting = tuple[int, int, float, float, float]

# Drivers in a cell, in the mean; the least width of a cell in driving time.
PER_CELL, CELL_MIN_S = 3.0, 0.5 * MINUTE_S


class DriverGrid:
    """Drivers by the cell in which they are, or in which their trip ends. Drivers are known by their numbers."""

    def __init__(self, books: Sequence[RouteBook], legs: Legs, metres_per_s: float, now_s: float) -> None:
        self._legs = legs
        self._now_s = now_s
        self._pace = 1 / metres_per_s
        spots = [legs.spots[book.spot] for book in books] or [Spot(0.0, 0.0)]
        easts_m, norths_m = [spot[0] for spot in spots], [spot[1] for spot in spots]
        area_m2 = (max(easts_m) - min(easts_m)) * (max(norths_m) - min(norths_m))
        self._width_m = max(sqrt(area_m2 * PER_CELL / len(spots)), CELL_MIN_S * metres_per_s)
        self._width_s = self._width_m * self._pace
        self._cells: dict[Cell, list[Waiting]] = {}
        for number, book in enumerate(books):
            there = self._cells.setdefault(self._cell(*spots[number]), [])
            there.append((number, book.driver.id, book.start_s, *spots[number]))
        easts, norths = [cell[0] for cell in self._cells] or [0], [cell[1] for cell in self._cells] or [0]
        self._least, self._most = (min(easts), min(norths)), (max(easts), max(norths))
        self._made: dict[Cell, list[list[Waiting]]] = {}

    def _cell(self, x_m: float, y_m: float) -> Cell:
        return floor(x_m / self._width_m), floor(y_m / self._width_m)

    def soonest(self, spot: int, due_s: float, count: int, without: Collection[int]) -> list[int]:
        """Drivers who can be at a spot first; among those who are there by `due_s`, the nearest.

        `without`: ids of drivers to leave out.
        """
        found: list[tuple[float, float, int]] = []
        (x_m, y_m), pace = self._legs.spots[spot], self._pace
        beyond_s = 0.0
        for drivers in self._rings(self._cell(x_m, y_m)):
            for number, driver_id, start_s, east_m, north_m in drivers:
                if without and driver_id in without:
                    continue
                away_s = hypot(east_m - x_m, north_m - y_m) * pace
                at_s = start_s + away_s
                found.append((at_s if at_s > due_s else due_s, away_s, number))  # noqa: FURB136 - innermost
            # Whoever is in a later ring is at least this far away.
            if len(found) >= count:
                found.sort()
                del found[count:]
                if found[-1][:2] <= (max(self._now_s + beyond_s, due_s), beyond_s):
                    return [number for _, _, number in found]
            beyond_s += self._width_s
        found.sort()
        return [number for _, _, number in found[:count]]

    def _rings(self, middle: Cell) -> Iterator[list[Waiting]]:
        """Drivers around a cell, by ring; each ring is put together once."""
        made = self._made.setdefault(middle, [])
        yield from made  # a place far away has one list of all, and all of its rings
        east, north = middle
        last = max(
            abs(east - self._least[0]), abs(east - self._most[0]),
            abs(north - self._least[1]), abs(north - self._most[1]),
        )  # fmt: skip
        cells = self._cells
        if not made and (last + 1) ** 2 > len(cells) * 8:  # so far away that rings are mostly empty
            made.append([each for there in cells.values() for each in there])
            yield made[0]
            return
        for ring in range(len(made), last + 1):
            drivers: list[Waiting] = []
            for cell in _ring(east, north, ring):
                if cell in cells:
                    drivers += cells[cell]
            made.append(drivers)
            yield drivers


def _ring(east: int, north: int, ring: int) -> Iterator[Cell]:
    """Cells on the border of a square."""
    if ring == 0:
        yield east, north
        return
    for step in range(-ring, ring + 1):
        yield east + step, north - ring
        yield east + step, north + ring
    for step in range(-ring + 1, ring):
        yield east - ring, north + step
        yield east + ring, north + step
