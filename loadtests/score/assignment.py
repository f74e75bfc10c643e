"""Minimum-cost assignment by shortest augmenting paths (Kuhn, Munkres; the form of Jonker and Volgenant)."""

from __future__ import annotations

from collections.abc import Sequence

INFINITE = float("inf")


def assign(costs: Sequence[Sequence[float]]) -> list[tuple[int, int]]:
    """Pairs (row, column) with the lowest sum of costs: as many as the shorter side has."""
    if not costs or not costs[0]:
        return []
    if len(costs) > len(costs[0]):
        turned = [list(column) for column in zip(*costs, strict=True)]
        return sorted((row, column) for column, row in assign(turned))
    width = len(costs[0])
    row_of = [-1] * width
    row_price, column_price = [0.0] * len(costs), [0.0] * width
    for row in range(len(costs)):
        _augment(costs, row, row_of, row_price, column_price)
    return sorted((row, column) for column, row in enumerate(row_of) if row >= 0)


def _augment(
    costs: Sequence[Sequence[float]],
    start: int,
    row_of: list[int],
    row_price: list[float],
    column_price: list[float],
) -> None:
    """Give one more row a column, along the shortest path of changes."""
    width = len(row_of)
    distance, came_from, seen = [INFINITE] * width, [-1] * width, [False] * width
    row, last, reached = start, -1, 0.0
    while True:
        best, nearest = INFINITE, -1
        for column in range(width):
            if seen[column]:
                continue
            through = reached + costs[row][column] - row_price[row] - column_price[column]
            if through < distance[column]:
                distance[column], came_from[column] = through, last
            if distance[column] < best:
                best, nearest = distance[column], column
        seen[nearest], last, reached = True, nearest, best
        if row_of[nearest] < 0:
            break
        row = row_of[nearest]
    row_price[start] += reached
    for column in range(width):
        if seen[column] and column != last:
            change = reached - distance[column]
            row_price[row_of[column]] += change
            column_price[column] -= change
    while last >= 0:
        before = came_from[last]
        row_of[last] = start if before < 0 else row_of[before]
        last = before
