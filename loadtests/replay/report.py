"""What a replayed day was worth: its measures in minutes, the report, and the solution's three files."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean, quantiles
from typing import Any

from loadtests.replay.day import Day
from loadtests.replay.record import Move, Ride

ASSIGNMENTS = "solution_info_assignments.txt"
ORDERS = "solution_info_orders.txt"
COURIERS = "solution_info_couriers.txt"

# Above this many entries a list is cut in the text; the JSON has all of them.
SHOWN_MAX = 5


def measures(day: Day, rides: Sequence[Ride], moves: Iterable[Move]) -> dict[str, Any]:
    """The measures of the published evaluator, in minutes, and how long dispatch took.

    `decision_lag`: from the moment when an order and the courier that got it were both free to the courier's
    knowing, in minutes of the day. `slipped`: where that took a minute or more, and so shows in the times.
    Without slips the day would be the same on a server that takes no time at all.
    """
    doors = [ride.delivered - day.orders[ride.order].placed for ride in rides]
    lags = [ride.lag for ride in rides]
    return {
        "delivered": len(rides),
        "click_to_door_mean": _mean(doors),
        "click_to_door_p90": _share(doors, 90),
        "overage_mean": _mean([max(0, door - day.rules.target) for door in doors]),
        "over_target": sum(door > day.rules.target for door in doors),
        "ready_to_pickup_mean": _mean([r.picked_up - day.orders[r.order].ready for r in rides]),
        "ready_to_door_mean": _mean([r.delivered - day.orders[r.order].ready for r in rides]),
        "courier_use": courier_use(day, rides, moves),
        "decision_lag_p50": _share(lags, 50),
        "decision_lag_p99": _share(lags, 99),
        "decision_lag_max": round(max(lags, default=0.0), 2),
        "slipped": [f"{r.order} {r.courier}: {r.lag:.2f}" for r in rides if r.lag >= 1],
    }


def _mean(values: Sequence[float]) -> float:
    return round(fmean(values), 2) if values else 0.0


def _share(values: Sequence[float], percent: int) -> float:
    """A percentile, between two values in proportion."""
    if len(values) < 2:
        return round(float(sum(values)), 2)
    return round(quantiles(values, n=100, method="inclusive")[percent - 1], 2)


def courier_use(day: Day, rides: Iterable[Ride], moves: Iterable[Move]) -> float:
    """The share of all shifts that was spent driving and serving; waiting is not work."""
    points = {**day.restaurants} | {order.id: order.dropoff for order in day.orders.values()}
    busy = 0
    for move in moves:
        start = day.couriers[move.courier].start
        busy += day.rules.travel(points.get(move.origin, start), points[move.destination])
    busy += sum(day.rules.pickup_minutes + day.rules.dropoff_minutes for _ in rides)
    shifts = sum(courier.off - courier.on for courier in day.couriers.values())
    return round(busy / shifts, 3) if shifts else 0.0


def write_solution(folder: Path, day: Day, rides: Iterable[Ride], moves: Iterable[Move]) -> None:
    """The three files that the published evaluator reads. Orders that nobody delivered are left out."""
    done = sorted(rides, key=lambda r: (r.picked_up, r.courier))
    trips: defaultdict[tuple[int, int, str], list[Ride]] = defaultdict(list)
    for ride in done:
        trips[ride.assigned, ride.picked_up, ride.courier].append(ride)
    assignments = [
        f"{assigned} {picked_up} {courier} "
        + " ".join(ride.order for ride in sorted(rides, key=lambda ride: ride.delivered))
        for (assigned, picked_up, courier), rides in trips.items()
    ]
    _write(folder / ASSIGNMENTS, "assignment_time pickup_time courier orders", assignments)
    times = {r.order: f"{r.picked_up} {r.delivered} {r.courier}" for r in done}
    orders = [f"{o.id} {o.placed} {o.ready} {times[o.id]}" for o in day.orders.values() if o.id in times]
    _write(folder / ORDERS, "order placement_time ready_time pickup_time dropoff_time courier", orders)
    of: defaultdict[str, list[Move]] = defaultdict(list)
    for move in moves:
        of[move.courier].append(move)
    lines = [" ".join(map(str, move)) for courier in day.couriers for move in of[courier]]
    _write(folder / COURIERS, "courier departure_time origin destination", lines)


def _write(path: Path, header: str, lines: Iterable[str]) -> None:
    path.write_text("\n".join((header, *lines)) + "\n")


@dataclass(frozen=True, slots=True)
class ReplayReport:
    """The report of a replay; `values` by name, in the order in which they are shown."""

    values: Mapping[str, Any]

    @property
    def passed(self) -> bool:
        """True when all orders were taken, and nothing is there that must not be."""
        if self.values["acknowledged"] < self.values["orders"]:
            return False
        return not any(self.values[name] for name in ("lost", "double_assigned", "feed_faults", "violations"))

    def lines(self) -> list[str]:
        """For people: a line per fact, lists with their length and their first entries."""
        lines = []
        for name, value in self.values.items():
            label = name.replace("_", " ")
            if isinstance(value, list):
                lines.append(f"{label:<22} {len(value)}")
                lines += [f"    {entry}" for entry in value[:SHOWN_MAX]]
            elif isinstance(value, dict):
                lines.append(f"{label:<22} " + ", ".join(f"{k} {v}" for k, v in sorted(value.items())))
            else:
                lines.append(f"{label:<22} {value}")
        return lines
