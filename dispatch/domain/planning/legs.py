"""Travel times of one step: each is asked of the metric once, and only if a route needs it."""

from __future__ import annotations

from collections.abc import Callable

from dispatch.domain.planning.values import Spot


class LegRow(dict[int, float]):
    """Seconds from one spot to others, by their numbers."""

    __slots__ = ("_from", "_seconds", "_spots")

    def __init__(self, spots: list[Spot], start: Spot, seconds: Callable[[Spot, Spot], float]) -> None:
        super().__init__()
        self._spots = spots
        self._from = start
        self._seconds = seconds

    def __missing__(self, to: int) -> float:
        found = self[to] = self._seconds(self._from, self._spots[to])
        return found


class Legs:
    """Spots by number, and `rows[a][b]`: seconds from spot a to spot b."""

    def __init__(self, seconds: Callable[[Spot, Spot], float]) -> None:
        self.spots: list[Spot] = []
        self.rows: list[LegRow] = []
        self._seconds = seconds
        self._numbers: dict[Spot, int] = {}

    def number(self, spot: Spot) -> int:
        """The number of a spot, which is given one if it has none."""
        found = self._numbers.get(spot)
        if found is None:
            found = self._numbers[spot] = len(self.spots)
            self.spots.append(spot)
            self.rows.append(LegRow(self.spots, spot, self._seconds))
        return found
