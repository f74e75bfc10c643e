"""Times of one step of the planner over a random town, in processor time: cold, and warm with some news. And its size.

    .venv/bin/python -m loadtests.score.step_times --orders 60 --drivers 100

Half of the drivers are under way. The first step is cold: it has no plan before it. Then minutes pass; what is proposed
is taken, and new orders come, as many as were taken.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from random import Random

from dispatch.compiled_planner import compiled_planner
from dispatch.domain.planning import (
    DemandPoint,
    PlanDriver,
    PlannedRoute,
    PlanOrder,
    PlanResult,
    PlanSettings,
    PlanState,
    Spot,
    plan,
    straight_travel,
)
from dispatch.plan_steps import spare_collections
from dispatch.step_inputs import StepInput, pack
from dispatch.zone_plan import ZonePlanSettings
from loadtests.kit.report import LoadReport
from loadtests.kit.tool import add_options, finish, make_parser, option

STORES, TOWN_M, SPREAD_M, METRES_PER_S = 120, 9000.0, 1800.0, 5.3
MINUTE_S, NOW_S = 60.0, 6000.0


@dataclass(frozen=True, slots=True)
class StepOptions:
    """Size of the town."""

    orders: int = option(60, "open orders [%(default)s]")
    drivers: int = option(100, "drivers [%(default)s]")
    busy: float = option(0.5, "share of drivers under way [%(default)s]")
    towns: int = option(20, "towns [%(default)s]")
    steps: int = option(20, "minutes of each town after its first one [%(default)s]")
    compiled: bool = option(False, "by the compiled planner (make planner)")


class Town:
    """A town whose open orders stay as many as they are: what is proposed is taken, and new orders come."""

    def __init__(self, options: StepOptions, seed: int) -> None:
        self._chance = Random(seed)
        self._options = options
        self._stores = [self._spot() for _ in range(STORES)]
        self._placed = 0
        self.now_s = NOW_S
        self._orders = {order.id: order for order in map(self._order, range(options.orders))}
        self._drivers = {number: self._driver(number) for number in range(options.drivers)}
        self._before: tuple[PlannedRoute, ...] = ()

    def _spot(self) -> Spot:
        return Spot(self._chance.random() * TOWN_M, self._chance.random() * TOWN_M)

    def _order(self, number: int) -> PlanOrder:
        self._placed, site = number + 1, self._chance.randrange(STORES)
        store = self._stores[site]
        home = Spot(*(at + self._chance.gauss(0, SPREAD_M) for at in store))
        ready_s = self.now_s + self._chance.randrange(5, 30) * MINUTE_S
        return PlanOrder(number, site, site, store, home, self.now_s, ready_s)

    def _driver(self, number: int) -> PlanDriver:
        busy = self._chance.random() < self._options.busy
        free_s = NOW_S + (self._chance.randrange(1, 20) * MINUTE_S if busy else 0)
        return PlanDriver(number, self._spot(), free_s, NOW_S + self._chance.randrange(90, 300) * MINUTE_S)

    def state(self) -> PlanState:
        """The state now."""
        demand = tuple(DemandPoint(store, 1.0) for store in self._stores)
        return PlanState(tuple(self._orders.values()), tuple(self._drivers.values()), self._before, demand)

    def minute(self, result: PlanResult) -> None:
        """Take what is proposed, and let a minute pass."""
        self._before, self.now_s = result.routes, self.now_s + MINUTE_S
        for proposal in result.proposals:
            driver, trip = self._drivers[proposal.driver_id], proposal.trip
            self._drivers[driver.id] = replace(driver, spot=trip.stops[-1].spot, free_s=trip.end_s)
            for number in proposal.order_ids:
                del self._orders[number]
        for number in range(self._placed, self._placed + self._options.orders - len(self._orders)):
            self._orders[number] = self._order(number)


def run(options: StepOptions) -> LoadReport:
    """All towns."""
    settings = PlanSettings(straight_travel(METRES_PER_S))
    make = plan if not options.compiled else compiled_planner()
    if make is None:
        raise SystemExit("There is no compiled planner of these files: make planner")
    spare_collections()
    report = LoadReport(f"{options.orders} open orders, {options.drivers} drivers")
    began_s, sizes = time.perf_counter(), list[int]()
    for seed in range(options.towns):
        town = Town(options, seed)
        for step in range(1 + options.steps):
            state = town.state()
            step_began_s = time.thread_time()
            result = make(state, town.now_s, seed + step, settings)
            report.done("warm" if step else "cold", time.thread_time() - step_began_s)
            told = StepInput(1, step, state, town.now_s, seed + step, ZonePlanSettings())
            sizes.append(len(pack(told)))
            town.minute(result)
    report.took_s = time.perf_counter() - began_s
    report.facts["bytes of a stored input, mean and most"] = f"{sum(sizes) / len(sizes):.0f}, {max(sizes)}"
    report.facts["load of the machine"] = f"{os.getloadavg()[0]:.1f}"
    return report


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the times."""
    parser = make_parser("loadtests.score.step_times", __doc__)
    add_options(parser, StepOptions)
    found = vars(parser.parse_args(arguments))
    json_path = found.pop("json")
    return finish(run(StepOptions(**found)), json_path)


if __name__ == "__main__":
    sys.exit(main())
