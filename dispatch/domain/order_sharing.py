"""What whoever has an order's share link sees of it, and of its driver.

The driver is shown only on the last way: between the pick-up and the delivery, while this order's door is the next
stop. Before that its place would tell where other customers live.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import cos, radians
from typing import NamedTuple

from dispatch.domain import order as o
from dispatch.domain.geo import Place
from dispatch.domain.order import Order

# Places are shown as points of a grid of this size, so that repeated reads reveal no more.
GRID_M = 50
_M_PER_DEG = 111_320.0
# Rows are of whole steps of latitude; below the poles a step of longitude stays finite.
_LAT_MAX = 85.0
# Times are shown in steps of this length: more would be a promise that nobody keeps.
STEP_MS = 5 * 60_000
# The shortest window.
WINDOW_MS = 10 * 60_000
NAME_CHARS_MAX = 30


class Window(NamedTuple):
    """Time in which an order is expected at the door."""

    from_ms: int
    to_ms: int


def on_grid(place: Place) -> Place:
    """The point of the grid that is next to a place."""
    lat_step = GRID_M / _M_PER_DEG
    lat = round(place.lat / lat_step) * lat_step
    lon_step = lat_step / cos(radians(min(abs(lat), _LAT_MAX)))
    lon = round(place.lon / lon_step) * lon_step
    # The last point may lie behind the pole or the date line.
    return Place(round(max(-90.0, min(lat, 90.0)), 6), round(max(-180.0, min(lon, 180.0)), 6))


def first_name(name: str) -> str:
    """The first name in a full name, which may be written with the family name first: `Lovelace, Ada`."""
    family, comma, given = name.partition(",")
    words = (given if comma and given.strip() else family).split()
    return words[0][:NAME_CHARS_MAX] if words else ""


def expected_window(order: Order) -> Window | None:
    """When it is expected, from the expected time to the promised one, in whole steps; None: not known, or over."""
    expected_ms = order.expected_ms
    if expected_ms is None:
        return None
    from_ms = expected_ms // STEP_MS * STEP_MS
    latest_ms = max(expected_ms, order.facts.promised_ms or 0, from_ms + WINDOW_MS)
    return Window(from_ms, -(-latest_ms // STEP_MS) * STEP_MS)


def is_on_last_way(order: Order, carried: Sequence[Order]) -> bool:
    """True while the order's driver brings it to its door next. `carried`: all orders of the driver.

    Where no plan says in which sequence the driver goes, it is true only if there is no other stop.
    """
    if order.status != o.PICKED_UP or order.driver_id is None or order.returning_ms is not None:
        return False
    others = [other for other in carried if other.id != order.id]
    return len(others) < len(carried) and all(_comes_before(order, other) for other in others)


def _comes_before(order: Order, other: Order) -> bool:
    """True if the driver is at the door of `order` before the next stop of `other`, as planned."""
    trip = order.trip
    if (
        trip is not None
        and other.trip is not None
        and trip.id == other.trip.id
        and other.status == o.PICKED_UP
    ):
        places = {number: at for at, number in enumerate(trip.order_ids)}
        if order.id in places and other.id in places and other.returning_ms is None:
            return places[order.id] < places[other.id]
    if order.eta is None or other.eta is None or other.returning_ms is not None:
        return False
    stop_ms = other.eta.door_ms if other.status == o.PICKED_UP else other.eta.pickup_ms
    return order.eta.door_ms < stop_ms
