"""Who decides on a virtual day: the planner of the product, and two yardsticks that are easy to explain."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from math import exp

from dispatch.domain.planning import (
    DemandPoint,
    PlanDriver,
    PlannedRoute,
    PlanOrder,
    PlanSettings,
    PlanState,
    Spot,
    plan,
    whole_minutes_travel,
)
from dispatch.domain.planning.fairness import WorkRow, advantages_s
from loadtests.replay.day import Day
from loadtests.score.assignment import assign
from loadtests.score.measures import promises
from loadtests.score.virtual_day import MINUTE_S, DayDriver, DayOffer, OpenDayOrder

# What a store counts before it has had an order, and how long an order is remembered.
PRIOR, MEMORY_S = 0.2, 60 * MINUTE_S
# Cost of a pair that is not possible, in seconds.
IMPOSSIBLE_S = 1e7


def day_settings(day: Day) -> PlanSettings:
    """The planner's own settings, with the day's metric and service times."""
    return PlanSettings(
        whole_minutes_travel(day.rules.meters_per_minute),
        pickup_half_s=day.rules.pickup_half * MINUTE_S,
        dropoff_half_s=day.rules.dropoff_half * MINUTE_S,
    )


class PlannerDispatcher:
    """The product's planner, with the state that a zone would keep."""

    def __init__(self, day: Day, settings: PlanSettings, seed: int, *, promised: bool = False) -> None:
        self._settings = settings
        self._promises = promises(day) if promised else {}
        self._seed = seed
        self._sites = {name: number for number, name in enumerate(day.restaurants)}
        self._spots = [Spot(point.x, point.y) for point in day.restaurants.values()]
        self._orders: dict[int, PlanOrder] = {}
        self._before: tuple[PlannedRoute, ...] = ()
        self._number = 0

    def decide(
        self, now_s: int, orders: Sequence[OpenDayOrder], drivers: Sequence[DayDriver]
    ) -> list[DayOffer]:
        """Plan anew from the plan before."""
        self._number += 1
        state = PlanState(
            tuple(self._order(each) for each in orders),
            self._drivers(now_s, drivers),
            self._before,
            self._demand(now_s),
            self._number,
        )
        result = plan(state, now_s, self._seed * 1_000_003 + self._number, self._settings)
        self._before = result.routes
        return [DayOffer(each.driver_id, each.order_ids) for each in result.proposals]

    def _drivers(self, now_s: int, drivers: Sequence[DayDriver]) -> tuple[PlanDriver, ...]:
        fair_s: Mapping[int, float] = {}
        if self._settings.fair_weight:
            rows = (
                WorkRow(each.number, now_s - each.courier.on * MINUTE_S, each.busy_s, each.orders)
                for each in drivers
            )
            fair_s = advantages_s(rows, self._settings.fair_max_s)
        return tuple(
            PlanDriver(
                each.number, Spot(*each.at), each.free_s, each.courier.off * MINUTE_S,
                asked_from_s=each.asked_from_s, fair_s=fair_s.get(each.number, 0.0),
            )
            for each in drivers
        )  # fmt: skip

    def _order(self, each: OpenDayOrder) -> PlanOrder:
        made = self._orders.get(each.number)
        if made is None:
            order, site = each.order, self._sites[each.order.restaurant]
            promised = self._promises.get(order.id)
            made = self._orders[each.number] = PlanOrder(
                each.number, site, site, self._spots[site], Spot(*order.dropoff),
                order.placed * MINUTE_S, order.ready * MINUTE_S,
                None if promised is None else promised * MINUTE_S,
            )  # fmt: skip
        return replace(made, declined_by=frozenset(each.declined_by)) if each.declined_by else made

    def _demand(self, now_s: int) -> tuple[DemandPoint, ...]:
        """Recent orders by store; older ones count less."""
        weights = [PRIOR] * len(self._spots)
        for order in self._orders.values():
            age_s = now_s - order.ready_s
            if age_s < 8 * MEMORY_S:
                weights[order.site_id] += exp(-max(0.0, age_s) / MEMORY_S)
        return tuple(map(DemandPoint, self._spots, weights))


class _Yardstick:
    """Idle couriers only, one order at a time."""

    def __init__(self, day: Day) -> None:
        self._day = day

    def _idle(self, now_s: int, drivers: Sequence[DayDriver]) -> list[DayDriver]:
        return [driver for driver in drivers if driver.free_s <= now_s]

    def _pickup_s(self, now_s: int, driver: DayDriver, each: OpenDayOrder) -> float:
        """Time of the pick-up; IMPOSSIBLE_S after the courier's shift, or if it has declined."""
        rules = self._day.rules
        minutes = rules.travel(driver.at, self._day.restaurants[each.order.restaurant]) + rules.pickup_half
        at_s = max(now_s + minutes * MINUTE_S, each.order.ready * MINUTE_S)
        late = at_s > driver.courier.off * MINUTE_S or driver.number in each.declined_by
        return IMPOSSIBLE_S if late else at_s


class NearestDispatcher(_Yardstick):
    """The oldest order gets the nearest idle courier, who sets out at once."""

    def decide(
        self, now_s: int, orders: Sequence[OpenDayOrder], drivers: Sequence[DayDriver]
    ) -> list[DayOffer]:
        """One order after the other."""
        idle, found = self._idle(now_s, drivers), []
        for each in sorted(orders, key=lambda each: (each.order.placed, each.number)):
            store = self._day.restaurants[each.order.restaurant]
            able = [driver for driver in idle if self._pickup_s(now_s, driver, each) < IMPOSSIBLE_S]
            if able:
                best = min(able, key=lambda d: ((d.at.x - store.x) ** 2 + (d.at.y - store.y) ** 2, d.number))
                idle.remove(best)
                found.append(DayOffer(best.number, (each.number,)))
        return found


class AssignmentDispatcher(_Yardstick):
    """Each minute, open orders and idle couriers are paired so that the sum of pick-up times is lowest.

    A pair sets out at the last minute at which that costs nothing; until then it may be paired anew. With enough
    couriers that is better than setting out at once.
    """

    def decide(
        self, now_s: int, orders: Sequence[OpenDayOrder], drivers: Sequence[DayDriver]
    ) -> list[DayOffer]:
        """All pairs at once."""
        idle = self._idle(now_s, drivers)
        costs = [[self._pickup_s(now_s, driver, each) for driver in idle] for each in orders]
        return [
            DayOffer(idle[column].number, (orders[row].number,))
            for row, column in assign(costs)
            if costs[row][column] < IMPOSSIBLE_S and self._due(now_s, idle[column], orders[row])
        ]

    def _due(self, now_s: int, driver: DayDriver, each: OpenDayOrder) -> bool:
        rules = self._day.rules
        minutes = rules.travel(driver.at, self._day.restaurants[each.order.restaurant]) + rules.pickup_half
        return now_s >= (each.order.ready - minutes) * MINUTE_S
