"""An independent check of a solution's three files against the rules of the day.

It shares nothing with the couriers but the day itself: it reads what was written, walks every courier from
move to move, and names whatever does not fit.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from math import ceil, dist
from pathlib import Path

from loadtests.replay.day import Day, Point

HEADERS = {
    "assignments": "assignment_time pickup_time courier orders",
    "orders": "order placement_time ready_time pickup_time dropoff_time courier",
    "couriers": "courier departure_time origin destination",
}


@dataclass(frozen=True, slots=True)
class SolutionPickup:
    """A line of the assignments: times in minutes, the orders in the sequence of their delivery."""

    assigned: float
    picked_up: float
    courier: str
    orders: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class SolutionDropoff:
    """A line of the orders, in minutes."""

    placed: float
    ready: float
    picked_up: float
    delivered: float
    courier: str


@dataclass(frozen=True, slots=True)
class SolutionDrive:
    """A line of the couriers."""

    departed: float
    origin: str
    destination: str


@dataclass(frozen=True, slots=True)
class Solution:
    """The three files as read."""

    pickups: list[SolutionPickup]
    dropoffs: dict[str, SolutionDropoff]
    drives: dict[str, list[SolutionDrive]]


def violations(day: Day, folder: Path, capacity: int = 1) -> list[str]:
    """All that contradicts the rules in the three files of a folder; empty when nothing does.

    `capacity` is how many orders a courier may carry at once.
    """
    try:
        solution = _read(folder)
    except (OSError, ValueError, IndexError) as error:
        return [f"cannot be read: {error}"]
    names = [order for pickup in solution.pickups for order in pickup.orders]
    unknown = [f"{n}: no such order" for n in {*names, *solution.dropoffs} if n not in day.orders]
    couriers = {pickup.courier for pickup in solution.pickups} | set(solution.drives)
    unknown += [f"{name}: no such courier" for name in couriers if name not in day.couriers]
    if unknown:
        return sorted(unknown)
    found = [f"{order}: assigned {times} times" for order, times in Counter(names).items() if times > 1]
    for pickup in solution.pickups:
        found += _of_pickup(day, pickup, capacity)
    found += _of_orders(day, solution)
    for courier in sorted(couriers):
        mine = [pickup for pickup in solution.pickups if pickup.courier == courier]
        found += _of_courier(day, courier, mine, solution)
    return found


def _read(folder: Path) -> Solution:
    pickups = [
        SolutionPickup(_minute(a), _minute(p), courier, tuple(orders))
        for a, p, courier, *orders in _lines(folder, "assignments")
    ]
    dropoffs: dict[str, SolutionDropoff] = {}
    for order, placed, ready, picked_up, delivered, courier in _lines(folder, "orders"):
        if order in dropoffs:
            raise ValueError(f"{order} has two lines")
        dropoffs[order] = SolutionDropoff(
            _minute(placed), _minute(ready), _minute(picked_up), _minute(delivered), courier
        )
    drives: defaultdict[str, list[SolutionDrive]] = defaultdict(list)
    last = ""
    for courier, departed, origin, destination in _lines(folder, "couriers"):
        if courier != last and courier in drives:
            raise ValueError(f"the moves of {courier} are not together")
        last = courier
        drives[courier].append(SolutionDrive(_minute(departed), origin, destination))
    return Solution(pickups, dropoffs, dict(drives))


def _minute(text: str) -> float:
    """A whole minute as an int; halves occur where offers lapse after half a minute."""
    return float(text) if "." in text else int(text)


def _lines(folder: Path, name: str) -> Iterator[list[str]]:
    header, *lines = (folder / f"solution_info_{name}.txt").read_text().splitlines()
    if header != HEADERS[name]:
        raise ValueError(f"header of {name}: {header!r}")
    return (line.split(" ") for line in lines)


def _of_pickup(day: Day, pickup: SolutionPickup, capacity: int) -> Iterator[str]:
    """Known before it was assigned, ready before it was picked up, in time, from one restaurant."""
    label = " ".join(pickup.orders)
    orders = [day.orders[name] for name in pickup.orders]
    if not orders or len(orders) > capacity:
        yield f"{label or pickup.courier}: {len(orders)} orders at once"
    if len({order.restaurant for order in orders}) > 1:
        yield f"{label}: of several restaurants"
    for order in orders:
        if pickup.assigned < order.placed:
            yield f"{order.id}: assigned at {pickup.assigned}, placed at {order.placed}"
        if pickup.picked_up < order.ready:
            yield f"{order.id}: picked up at {pickup.picked_up}, ready at {order.ready}"
    off = day.couriers[pickup.courier].off
    if pickup.picked_up > off:
        yield f"{label}: picked up at {pickup.picked_up} by {pickup.courier}, off at {off}"


def _of_orders(day: Day, solution: Solution) -> Iterator[str]:
    """The lines of the orders say what the day and the assignments say."""
    pickups = {name: pickup for pickup in solution.pickups for name in pickup.orders}
    for name in sorted(set(pickups) ^ set(solution.dropoffs)):
        yield f"{name}: only in one of assignments and orders"
    for name, line in solution.dropoffs.items():
        order, pickup = day.orders[name], pickups.get(name)
        if (line.placed, line.ready) != (order.placed, order.ready):
            yield f"{name}: placed {line.placed} and ready {line.ready} are not the day's"
        if pickup is not None and (line.picked_up, line.courier) != (pickup.picked_up, pickup.courier):
            yield f"{name}: picked up at {line.picked_up} by {line.courier}, but assigned otherwise"


def _of_courier(day: Day, name: str, pickups: Iterable[SolutionPickup], solution: Solution) -> Iterator[str]:
    """Walk one courier through its pick-ups in order: every move is there, none too early, none too many."""
    courier = day.couriers[name]
    places: dict[str, Point] = {**day.restaurants, "0": courier.start}
    places |= {order.id: order.dropoff for order in day.orders.values()}
    drives = iter(solution.drives.get(name, ()))
    at, free = "0", float(courier.on)
    for pickup in sorted(pickups, key=lambda p: p.picked_up):
        restaurant = day.orders[pickup.orders[0]].restaurant
        stops = [(restaurant, pickup.picked_up, day.rules.pickup_minutes / 2)]
        stops += [
            (order, solution.dropoffs[order].delivered, day.rules.dropoff_minutes / 2)
            for order in pickup.orders
            if order in solution.dropoffs
        ]
        free = max(free, pickup.assigned)
        for to, minute, half in stops:
            drive = next(drives, None)
            if drive is None or (drive.origin, drive.destination) != (at, to):
                yield f"{name}: {drive} instead of a drive from {at} to {to}"
                return
            travel = ceil(dist(places[at], places[to]) / day.rules.meters_per_minute)
            done = drive.departed + travel + half
            # A courier may wait to leave for a restaurant, and there for the meal; never with the meal.
            waits = to == restaurant
            if drive.departed < free or (drive.departed > free and not waits):
                yield f"{name}: leaves {at} for {to} at {drive.departed}, free at {free:g}"
            if minute < done or (minute > done and not waits):
                yield f"{name}: is done at {to} at {minute}, not at {done:g}"
            at, free = to, minute + half
    for drive in drives:
        yield f"{name}: drives to {drive.destination} at {drive.departed} for nothing"
