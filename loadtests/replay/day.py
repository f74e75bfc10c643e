"""A real delivery day: its files, its places, its rules and its clock.

Times are whole minutes of the day, places are metres on a plane. A day is a folder of four tab-separated
files with a header line: orders.txt, couriers.txt, restaurants.txt and instance_parameters.txt.
"""

from __future__ import annotations

import asyncio
import csv
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import ceil, hypot
from pathlib import Path
from statistics import fmean
from typing import NamedTuple, TypeVar

# A degree of the server's sphere. Only the order of distances matters, not their size.
METRES_PER_DEGREE = 111_195.0

T = TypeVar("T")


class DayError(Exception):
    """The folder holds no such day; the message names the file and the line."""


class Point(NamedTuple):
    """A place on the plane, in metres."""

    x: float
    y: float


@dataclass(frozen=True, slots=True)
class DayOrder:
    """Placed at `placed`, ready at its restaurant at `ready`."""

    id: str
    dropoff: Point
    placed: int
    restaurant: str
    ready: int


@dataclass(frozen=True, slots=True)
class DayCourier:
    """At `start` from `on` to `off`: after that it picks nothing up, but still delivers."""

    id: str
    start: Point
    on: int
    off: int


@dataclass(frozen=True, slots=True)
class Rules:
    """How long things take.

    Attributes:
        pickup_minutes, dropoff_minutes: service; the pick-up or drop-off happens in its middle.
        target: click-to-door minutes that are promised.
    """

    meters_per_minute: float
    pickup_minutes: int
    dropoff_minutes: int
    target: int

    def travel(self, a: Point, b: Point) -> int:
        """Minutes from `a` to `b`, rounded up."""
        return ceil(hypot(a.x - b.x, a.y - b.y) / self.meters_per_minute)

    @property
    def pickup_half(self) -> int:
        """Minutes before and after a pick-up; an odd minute counts on both sides."""
        return -(-self.pickup_minutes // 2)

    @property
    def dropoff_half(self) -> int:
        """Minutes before and after a drop-off; an odd minute counts on both sides."""
        return -(-self.dropoff_minutes // 2)


@dataclass(frozen=True, slots=True)
class Day:
    """Everything by its id. Ids are unique over all three kinds."""

    name: str
    orders: Mapping[str, DayOrder]
    couriers: Mapping[str, DayCourier]
    restaurants: Mapping[str, Point]
    rules: Rules

    @property
    def first_placed(self) -> int:
        return min(order.placed for order in self.orders.values())

    @property
    def last_off(self) -> int:
        return max(courier.off for courier in self.couriers.values())


def read_day(folder: Path) -> Day:
    """The day in a folder.

    Raises:
        DayError: a file is missing or a value makes no sense.
    """
    rules = _rows(folder, "instance_parameters", _rules)
    if len(rules) != 1:
        raise DayError("instance_parameters.txt: one line of values is needed")
    restaurants = _rows(folder, "restaurants", lambda row: (row["restaurant"], _point(row)))
    orders = [(order.id, order) for order in _rows(folder, "orders", _order)]
    couriers = [(courier.id, courier) for courier in _rows(folder, "couriers", _courier)]
    ids = [name for name, _ in (*restaurants, *orders, *couriers)]
    if len(set(ids)) != len(ids):
        raise DayError("an id occurs twice")
    day = Day(folder.resolve().name, dict(orders), dict(couriers), dict(restaurants), rules[0])
    for order in day.orders.values():
        if order.restaurant not in day.restaurants:
            raise DayError(f"orders.txt: {order.id} is of an unknown restaurant {order.restaurant}")
    if not day.orders or not day.couriers:
        raise DayError("a day needs orders and couriers")
    return day


def _rows(folder: Path, name: str, make: Callable[[Mapping[str, str]], T]) -> list[T]:
    path = folder / f"{name}.txt"
    try:
        with path.open(newline="") as lines:
            found = list(csv.DictReader(lines, delimiter="\t"))
    except OSError as error:
        raise DayError(f"{path}: {error.strerror}") from None
    made = []
    for number, row in enumerate(found, start=2):
        try:
            made.append(make(row))
        except (KeyError, TypeError, ValueError) as error:
            raise DayError(f"{path} line {number}: {type(error).__name__} {error}") from None
    return made


def _point(row: Mapping[str, str]) -> Point:
    return Point(float(row["x"]), float(row["y"]))


def _order(row: Mapping[str, str]) -> DayOrder:
    placed, ready = int(row["placement_time"]), int(row["ready_time"])
    return DayOrder(row["order"], _point(row), placed, row["restaurant"], ready)


def _courier(row: Mapping[str, str]) -> DayCourier:
    on, off = int(row["on_time"]), int(row["off_time"])
    if on > off:
        raise ValueError(f"{row['courier']} goes off before it comes on")
    return DayCourier(row["courier"], _point(row), on, off)


def _rules(row: Mapping[str, str]) -> Rules:
    rules = Rules(
        float(row["meters_per_minute"]),
        int(row["pickup service minutes"]),
        int(row["dropoff service minutes"]),
        int(row["target click-to-door"]),
    )
    if rules.meters_per_minute <= 0:
        raise ValueError("meters_per_minute must be positive")
    return rules


class Atlas:
    """The plane laid on the sphere where equator and prime meridian cross, with the town in the middle.

    There the sphere is so flat that all distances of a town come out in the plane's order.
    """

    def __init__(self, day: Day) -> None:
        points = [*day.restaurants.values(), *(order.dropoff for order in day.orders.values())]
        self._middle = Point(fmean(p.x for p in points), fmean(p.y for p in points))

    def place(self, at: Point) -> dict[str, float]:
        """`lat` and `lon` in degrees."""
        north, east = at.y - self._middle.y, at.x - self._middle.x
        return {"lat": north / METRES_PER_DEGREE, "lon": east / METRES_PER_DEGREE}


class DayClock:
    """The day's minutes, running `speedup` times as fast as real ones.

    What happens in real time between minute m and m + 1 counts as minute m: all that is new in a day is new
    at a whole minute, so an answer within the minute knows nothing that it might not.

    Args:
        first: the minute that it is when the clock starts.
        monotonic_s, wall_s: real clocks, in seconds.
    """

    def __init__(
        self,
        first: float,
        speedup: float,
        monotonic_s: Callable[[], float] = time.monotonic,
        wall_s: Callable[[], float] = time.time,
    ) -> None:
        self.speedup = speedup
        self._first = first
        self._monotonic_s = monotonic_s
        self._began_s = monotonic_s()
        self._began_wall_s = wall_s()

    def now(self) -> float:
        """Minutes of the day, with their fraction."""
        return self._first + (self._monotonic_s() - self._began_s) * self.speedup / 60

    def minute(self) -> int:
        """The whole minute that it is."""
        return int(self.now() // 1)

    def wall_ms(self, minute: float) -> int:
        """When that minute is in real time: milliseconds since 1970."""
        return round((self._began_wall_s + (minute - self._first) * 60 / self.speedup) * 1000)

    def minute_at(self, wall_ms: int) -> int:
        """The whole minute nearest to a real time, the inverse of wall_ms."""
        return round((wall_ms / 1000 - self._began_wall_s) * self.speedup / 60 + self._first)

    async def until(self, minute: float) -> None:
        """Wait for a minute of the day; returns at once when it is over."""
        await self.until_or(minute, asyncio.Event())

    async def until_or(self, minute: float, event: asyncio.Event) -> None:
        """Wait for a minute of the day or for an event, whichever is first."""
        while (left := minute - self.now()) > 0 and not event.is_set():
            try:
                async with asyncio.timeout(left * 60 / self.speedup):
                    await event.wait()
            except TimeoutError:
                continue
