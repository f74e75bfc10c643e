"""What a place is worth to a driver who is free there: demand within reach, shared with the drivers who reach it, too.

Demand and drivers are summed in cells of a grid. A place is worth as much as the middle of its cell.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from functools import lru_cache
from math import exp, floor, hypot

from dispatch.domain.planning.legs import Legs
from dispatch.domain.planning.settings import MINUTE_S, PlanSettings
from dispatch.domain.planning.values import DemandPoint, PlanDriver, Spot

# Width of a cell as a share of the reach; greatest number of cells across all demand; cells around that.
CELL_REACH, CELLS_MAX, BORDER_CELLS = 0.3, 96, 20
# Drivers free within this time compete; one who is busy counts e-fold less per FREE_S.
COMPETING_S, LEAVING_S, FREE_S = 30 * MINUTE_S, 10 * MINUTE_S, 15 * MINUTE_S


class PositionWorth(dict[int, float]):
    """Worth of spots in seconds, by their numbers; each cell is computed when it is first asked for."""

    def __init__(
        self,
        demand: Iterable[DemandPoint],
        drivers: Iterable[PlanDriver],
        now_s: float,
        legs: Legs,
        settings: PlanSettings,
    ) -> None:
        super().__init__()
        demand, drivers = tuple(demand) if settings.position_s else (), tuple(drivers)
        grid = _Grid([point.spot for point in demand], settings)
        self._cell = grid.cell
        self._near = _nearness(grid.easts, grid.norths, grid.width_reach)
        self._middle = len(self._near) // 2
        self._spots = legs.spots
        self._scale_s = settings.position_s
        self._by_cell: dict[int, float] = {}
        weights = self._weights(demand)
        self._shared = self._share(weights, drivers, now_s, settings.position_crowding) if weights else []

    def _weights(self, demand: tuple[DemandPoint, ...]) -> dict[int, float]:
        """Shares of all demand, by cell."""
        found: defaultdict[int, float] = defaultdict(float)
        for point in demand:
            found[self._cell(point.spot)] += point.weight
        total = 0.0
        for weight in found.values():
            total += weight
        return {cell: weight / total for cell, weight in found.items()} if total > 0 else {}

    def _share(
        self, weights: dict[int, float], drivers: tuple[PlanDriver, ...], now_s: float, crowding: float
    ) -> list[tuple[int, float]]:
        """Demand by cell, divided by the number of drivers who reach it."""
        competing: defaultdict[int, float] = defaultdict(float)
        for driver in drivers:
            if driver.shift_end_s > now_s + LEAVING_S and driver.free_s < now_s + COMPETING_S:
                competing[self._cell(driver.spot)] += exp(-max(0.0, driver.free_s - now_s) / FREE_S)
        rivals = list(competing.items())
        return [(cell, weight / (crowding + self._reached(cell, rivals))) for cell, weight in weights.items()]

    def _reached(self, cell: int, others: list[tuple[int, float]]) -> float:
        """Sum of what is in other cells, less the farther away it is."""
        near, at, reached = self._near, self._middle + cell, 0.0
        # Not sum(): its rounding depends on the version of Python.
        for other, weight in others:
            reached += weight * near[at - other]
        return reached

    def __missing__(self, number: int) -> float:
        cell = self._cell(self._spots[number])
        found = self._by_cell.get(cell)
        if found is None:
            found = self._by_cell[cell] = self._scale_s * self._reached(cell, self._shared)
        self[number] = found
        return found


class _Grid:
    """Cells around all demand. Spots beyond its border count as if they were on it."""

    def __init__(self, demand: list[Spot], settings: PlanSettings) -> None:
        reach_m = settings.position_reach_s * settings.travel.metres_per_s
        easts_m, norths_m = [spot[0] for spot in demand] or [0.0], [spot[1] for spot in demand] or [0.0]
        extent_m = max(max(easts_m) - min(easts_m), max(norths_m) - min(norths_m))
        self._width_m = max(CELL_REACH * reach_m, extent_m / CELLS_MAX)
        self.width_reach = self._width_m / reach_m
        self._west_m = min(easts_m) - BORDER_CELLS * self._width_m
        self._south_m = min(norths_m) - BORDER_CELLS * self._width_m
        self.easts = int((max(easts_m) - self._west_m) / self._width_m) + 1 + BORDER_CELLS
        self.norths = int((max(norths_m) - self._south_m) / self._width_m) + 1 + BORDER_CELLS

    def cell(self, spot: Spot) -> int:
        """Number of a cell: the difference of two numbers tells how far apart the cells are."""
        east, north = (
            floor((spot[0] - self._west_m) / self._width_m),
            floor((spot[1] - self._south_m) / self._width_m),
        )
        if not 0 <= east < self.easts:
            east = 0 if east < 0 else self.easts - 1
        if not 0 <= north < self.norths:
            north = 0 if north < 0 else self.norths - 1
        return east * (2 * self.norths - 1) + north


@lru_cache(maxsize=32)
def _nearness(easts: int, norths: int, width_reach: float) -> tuple[float, ...]:
    """What distance leaves of demand, by the difference of two cells' numbers; no difference is in the middle."""
    return tuple(
        exp(-width_reach * hypot(east, north))
        for east in range(1 - easts, easts)
        for north in range(1 - norths, norths)
    )
