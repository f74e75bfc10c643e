"""What a virtual day was worth, in minutes, and the floor under it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from statistics import fmean, quantiles

from loadtests.kit.report import quantile
from loadtests.replay.day import Day
from loadtests.score.virtual_day import MINUTE_S, DayOutcome


def floor(day: Day, orders: Iterable[str]) -> float:
    """Mean click-to-door minutes if nobody ever waited for a courier: no plan of single trips can be better."""
    rules, found = day.rules, []
    for name in orders:
        order = day.orders[name]
        way = rules.travel(day.restaurants[order.restaurant], order.dropoff)
        found.append(order.ready + rules.pickup_half + way + rules.dropoff_half - order.placed)
    return fmean(found) if found else 0.0


@dataclass(frozen=True, slots=True)
class DayScore:
    """A line of the table. Minutes, but for the times of a step.

    Attributes:
        floor: of the orders that were delivered.
        overage: over the day's target, mean over all delivered orders.
        undelivered: ids of orders.
        refused: share of offers that were declined or lapsed.
    """

    day: str
    dispatcher: str
    orders: int
    mean: float
    floor: float
    p90: float
    overage: float
    ready_to_pickup: float
    undelivered: tuple[str, ...]
    trips: int
    refused: float
    step_ms: float
    step_p99_ms: float

    @property
    def over_floor(self) -> float:
        """What dispatch has cost."""
        return self.mean - self.floor


def measure(day: Day, dispatcher: str, outcome: DayOutcome) -> DayScore:
    """The score of a day."""
    doors: dict[str, float] = {}
    waits = []
    for trip in outcome.trips:
        for name, door_s in zip(trip.orders, trip.doors_s, strict=True):
            doors[name] = door_s / MINUTE_S - day.orders[name].placed
            waits.append(trip.picked_up_s / MINUTE_S - day.orders[name].ready)
    values, steps_s = [*doors.values()], sorted(outcome.steps_s)
    return DayScore(
        day.name,
        dispatcher,
        len(day.orders),
        fmean(values) if values else 0.0,
        floor(day, doors),
        quantiles(values, n=10, method="inclusive")[8] if len(values) > 1 else sum(values),
        fmean(max(0.0, value - day.rules.target) for value in values) if values else 0.0,
        fmean(waits) if waits else 0.0,
        tuple(outcome.unfinished),
        len(outcome.trips),
        outcome.refused / outcome.offers if outcome.offers else 0.0,
        fmean(steps_s) * 1000 if steps_s else 0.0,
        quantile(steps_s, 0.99) * 1000,
    )
