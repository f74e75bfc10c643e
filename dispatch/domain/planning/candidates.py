"""Drivers worth considering for an order: those who can be at its store first, found ring by ring in a grid.

Distances are straight lines here: the metric is asked only for those who are found.
"""

from __future__ import annotations

from collections.abc import Container, Iterator, Sequence
from math import floor, hypot

from dispatch.domain.planning.legs import Legs
from dispatch.domain.planning.routes import RouteBook
from dispatch.domain.planning.settings import MINUTE_S

Cell = tuple[int, int]
# Number and id of a driver, when it can set out, and from where.
Waiting = tuple[int, int, float, float, float]

# Width of a cell, in driving time.
CELL_S = 4 * MINUTE_S


class DriverGrid:
    """Drivers by the cell in which they are, or in which their trip ends. Drivers are known by their numbers."""

    def __init__(self, books: Sequence[RouteBook], legs: Legs, metres_per_s: float, now_s: float) -> None:
        self._legs = legs
        self._now_s = now_s
        self._width_m = CELL_S * metres_per_s
        self._pace = 1 / metres_per_s
        self._cells: dict[Cell, list[Waiting]] = {}
        for number, book in enumerate(books):
            there = self._cells.setdefault(self._cell(book.spot), [])
            there.append((number, book.driver.id, book.start_s, *legs.spots[book.spot]))
        easts, norths = [cell[0] for cell in self._cells] or [0], [cell[1] for cell in self._cells] or [0]
        self._least, self._most = (min(easts), min(norths)), (max(easts), max(norths))
        self._made: dict[Cell, list[tuple[int, list[Waiting]]]] = {}

    def _cell(self, spot: int) -> Cell:
        at = self._legs.spots[spot]
        return floor(at[0] / self._width_m), floor(at[1] / self._width_m)

    def soonest(self, spot: int, due_s: float, count: int, without: Container[int]) -> list[int]:
        """Drivers who can be at a spot first; among those who are there by `due_s`, the nearest.

        `without`: ids of drivers to leave out.
        """
        found: list[tuple[float, float, int]] = []
        (x_m, y_m), pace = self._legs.spots[spot], self._pace
        for ring, drivers in self._rings(self._cell(spot)):
            for number, driver_id, start_s, east_m, north_m in drivers:
                if driver_id not in without:
                    away_s = hypot(east_m - x_m, north_m - y_m) * pace
                    at_s = start_s + away_s
                    found.append((at_s if at_s > due_s else due_s, away_s, number))  # noqa: FURB136 - innermost
            # Whoever is in a later ring is at least this far away.
            beyond_s = ring * CELL_S
            if len(found) >= count:
                best = sorted(found)[:count]
                if best[-1][:2] <= (max(self._now_s + beyond_s, due_s), beyond_s):
                    return [number for _, _, number in best]
        return [number for _, _, number in sorted(found)[:count]]

    def _rings(self, middle: Cell) -> Iterator[tuple[int, list[Waiting]]]:
        """Drivers around a cell, by ring; each ring is put together once."""
        made = self._made.setdefault(middle, [])
        yield from made
        east, north = middle
        last = max(
            abs(east - self._least[0]), abs(east - self._most[0]),
            abs(north - self._least[1]), abs(north - self._most[1]),
        )  # fmt: skip
        if not made and (last + 1) ** 2 > len(self._cells) * 8:
            made.append((last, [each for there in self._cells.values() for each in there]))
            yield made[0]
        while (made[-1][0] if made else -1) < last:
            ring = len(made)
            cells = _ring(east, north, ring)
            made.append((ring, [each for cell in cells for each in self._cells.get(cell, ())]))
            yield made[ring]


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
