"""What a virtual day was worth, in minutes, and the floor under it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from statistics import fmean, quantiles

from dispatch.domain.planning.fairness import zone_fairness
from loadtests.kit.report import quantile
from loadtests.replay.day import Day
from loadtests.score.virtual_day import MINUTE_S, DayOutcome

# A promise is made so that this share of orders would keep it if nobody waited for a courier.
PROMISED_SHARE = 0.9


def floor(day: Day, orders: Iterable[str]) -> float:
    """Mean click-to-door minutes if nobody ever waited for a courier: no plan of single trips can be better."""
    rules, found = day.rules, []
    for name in orders:
        order = day.orders[name]
        way = rules.travel(day.restaurants[order.restaurant], order.dropoff)
        found.append(order.ready + rules.pickup_half + way + rules.dropoff_half - order.placed)
    return fmean(found) if found else 0.0


def promises(day: Day) -> dict[str, float]:
    """A promise for each order, as a server learns to make it: placed, the straight way, and what 90 % need beside.

    What is needed beside it is known here from the whole day, and without any wait for a courier.
    """
    rules, ways, others = day.rules, {}, []
    for order in day.orders.values():
        ways[order.id] = rules.travel(day.restaurants[order.restaurant], order.dropoff)
        others.append(order.ready - order.placed + rules.pickup_half + rules.dropoff_half)
    beside = quantile(sorted(others), PROMISED_SHARE)
    return {name: day.orders[name].placed + way + beside for name, way in ways.items()}


@dataclass(frozen=True, slots=True)
class DayScore:
    """A line of the table. Minutes, but for the times of a step.

    Attributes:
        floor: of the orders that were delivered.
        overage: over the day's target, mean over all delivered orders.
        undelivered: ids of orders.
        refused: share of offers that were declined or lapsed.
        gini: how unequal the couriers' orders per hour on duty are.
        kept: share of the day's promises that were kept, whether the dispatcher knew of them or not.
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
    gini: float = 0.0
    kept: float = 0.0

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
    values, steps_s, promised = [*doors.values()], sorted(outcome.steps_s), promises(day)
    kept = [day.orders[name].placed + minutes <= promised[name] for name, minutes in doors.items()]
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
        zone_fairness(outcome.work).gini_income,
        fmean(kept) if kept else 0.0,
    )
