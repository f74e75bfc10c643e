"""Fairness among the drivers of a zone and a day: idle time, income per hour, and how unequal they are."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from actors.values import frozen

HOUR_S = 3600.0


@frozen
class WorkRow:
    """What a driver had so far. `busy_s`: on trips, and on the way to them. Income is in any unit, the same for all."""

    driver_id: int
    online_s: float
    busy_s: float
    income: float


@frozen
class DriverShare:
    """A driver's part. `idle_share`: of the time online; 0 to 1."""

    driver_id: int
    idle_share: float
    income_per_h: float


@frozen
class ZoneFairness:
    """The drivers of a zone and a day. `gini_*`: 0 if all have the same, near 1 if one has everything.

    Drivers who were not online at all are left out.
    """

    drivers: tuple[DriverShare, ...]
    gini_income: float
    gini_idle: float


def zone_fairness(rows: Iterable[WorkRow]) -> ZoneFairness:
    """Idle share and income per hour of each driver, and how unequal both are."""
    shares = tuple(
        DriverShare(
            row.driver_id,
            min(1.0, max(0.0, 1.0 - row.busy_s / row.online_s)),
            row.income / row.online_s * HOUR_S,
        )
        for row in sorted(rows, key=lambda row: row.driver_id)
        if row.online_s > 0
    )
    return ZoneFairness(
        shares, gini([each.income_per_h for each in shares]), gini([each.idle_share for each in shares])
    )


def gini(values: Sequence[float]) -> float:
    """The Gini coefficient of values that are not negative: 0 if all are equal, (n-1)/n if one of n has everything.

    Raises:
        ValueError: a value is negative.
    """
    ordered = sorted(values)
    if ordered and ordered[0] < 0:
        raise ValueError("the Gini coefficient is of values that are not negative")
    total = ranked = 0.0
    for rank, value in enumerate(ordered, 1):
        total += value
        ranked += rank * value
    if total <= 0:
        return 0.0
    count = len(ordered)
    return max(0.0, 2 * ranked / (count * total) - (count + 1) / count)


def advantages_s(rows: Iterable[WorkRow], per_share_s: float, settled_s: float = HOUR_S) -> dict[int, float]:
    """`PlanDriver.fair_s` of each driver: for income per hour below the mean of all, in proportion.

    A driver without any income gets `per_share_s`, one with twice the mean loses as much, and none gets or loses more.
    What is known of a driver counts in full after `settled_s` online: nobody is poor because a shift has just begun.
    """
    known = [row for row in rows if row.online_s > 0]
    online_s = income = 0.0
    for row in known:
        online_s, income = online_s + row.online_s, income + row.income
    if income <= 0:
        return {row.driver_id: 0.0 for row in known}
    mean = income / online_s
    found = {}
    for row in known:
        missing = 1.0 - row.income / row.online_s / mean
        weight = min(1.0, row.online_s / settled_s)
        found[row.driver_id] = per_share_s * weight * min(1.0, max(-1.0, missing))
    return found
