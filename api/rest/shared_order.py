"""An order as whoever has its share link sees it: less than its customer does, and nothing of anybody else."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated

from pydantic import Field, WithJsonSchema
from typing_extensions import TypedDict

from api import json_schema as s
from api.rest.answers import (
    Latitude,
    Longitude,
    Moment,
    Named,
    OrderStatus,
    PlaceShown,
    Receipt,
    Seconds,
    Truth,
)
from api.rest.serializers import time_of
from dispatch.domain import order as o
from dispatch.domain.geo import Place
from dispatch.domain.order import TERMINAL, Order
from dispatch.domain.order_sharing import expected_window, first_name, on_grid
from dispatch.messages import DriverSeen
from dispatch.order_shares import SharedOrder

# How long a page waits before it asks again: while the driver is on the way, before that, and afterwards.
POLL_NEAR_S, POLL_S, POLL_ENDED_S = 5, 10, 60
TODO = ("pay", "cash", "pin", "be_at_the_door")
# Events that end an order, by the status that they lead to.
_ENDS: Mapping[str, tuple[str, ...]] = {
    o.DELIVERED: ("delivered",),
    o.CANCELLED: ("cancelled",),
    o.UNDELIVERABLE: ("failed", "returned"),
}


class SharedStoreShown(TypedDict):
    name: Named
    lat: Latitude
    lon: Longitude
    ready_at: Moment


class SharedStepShown(TypedDict):
    """A step of the order; `at` is null until it is reached."""

    step: Annotated[
        str,
        WithJsonSchema(
            s.one_of("placed", "assigned", "picked_up", "delivered", "cancelled", "undeliverable")
        ),
    ]
    at: Moment | None


class SharedWindowShown(TypedDict):
    """Times are whole steps of five minutes."""

    begins_at: Moment
    ends_at: Moment


class SharedDriverShown(TypedDict):
    first_name: Named
    place: PlaceShown | None


class SharedOrderAnswer(TypedDict):
    number: Receipt
    status: OrderStatus
    returning: Truth
    stores: Annotated[list[SharedStoreShown], Field(max_length=50)]
    steps: Annotated[list[SharedStepShown], Field(max_length=4)]
    window: SharedWindowShown | None
    promised_at: Moment | None
    deliver_at: Moment | None
    todo: Annotated[list[Annotated[str, WithJsonSchema(s.one_of(*TODO))]], Field(max_length=len(TODO))]
    door: PlaceShown | None
    driver: SharedDriverShown | None
    poll_after_s: Seconds


def shared_order(order: Order, found: SharedOrder, driver: DriverSeen | None) -> SharedOrderAnswer:
    """An order for whoever has its link; `driver` is given only if it may be shown."""
    facts, ended = order.facts, order.status in TERMINAL
    window = expected_window(order)
    near = driver is not None
    return {
        "number": facts.first.number,
        "status": order.status,
        "returning": order.returning_ms is not None,
        "stores": [
            {
                "name": pickup.name,
                "lat": pickup.place.lat,
                "lon": pickup.place.lon,
                "ready_at": time_of(ready_ms),
            }
            for pickup, ready_ms in zip(facts.pickups, order.ready, strict=True)
        ],
        "steps": _steps(order, found.times),
        "window": None
        if window is None
        else {"begins_at": time_of(window.from_ms), "ends_at": time_of(window.to_ms)},
        "promised_at": None if facts.promised_ms is None else time_of(facts.promised_ms),
        "deliver_at": None if facts.terms.deliver_ms is None else time_of(facts.terms.deliver_ms),
        "todo": [] if ended else _todo(order, near=near),
        "door": None if ended else _place(on_grid(facts.dropoff)),
        "driver": None if driver is None else _driver(driver),
        "poll_after_s": POLL_ENDED_S if ended else POLL_NEAR_S if near else POLL_S,
    }


def _place(place: Place) -> PlaceShown:
    return {"lat": place.lat, "lon": place.lon}


def _driver(seen: DriverSeen) -> SharedDriverShown:
    return {
        "first_name": first_name(seen.name),
        "place": None if seen.place is None else _place(on_grid(seen.place)),
    }


def _steps(order: Order, times: Mapping[str, int]) -> list[SharedStepShown]:
    """The steps that the order has reached or will reach, each with its time."""
    reached = {"placed": order.facts.created_ms}
    if order.status in (o.ASSIGNED, o.PICKED_UP, o.DELIVERED):
        reached |= {step: times[step] for step in (o.ASSIGNED, o.PICKED_UP) if step in times}
    if order.status == o.ASSIGNED:
        reached.pop(o.PICKED_UP, None)  # by a driver from whom it was taken
    ends = [times[event] for event in _ENDS.get(order.status, ()) if event in times]
    if ends:
        reached[order.status] = max(ends)
    gone_wrong = order.status in (o.CANCELLED, o.UNDELIVERABLE)
    named = ("placed", order.status) if gone_wrong else ("placed", o.ASSIGNED, o.PICKED_UP, o.DELIVERED)
    return [{"step": step, "at": time_of(reached[step]) if step in reached else None} for step in named]


def _todo(order: Order, *, near: bool) -> list[str]:
    """What whoever waits must do now."""
    if order.status == o.AWAITING_PAYMENT:
        return ["pay"]
    wanted = {
        "cash": order.facts.payment == "cash" and order.status == o.PICKED_UP,
        "pin": order.facts.terms.pin is not None and order.status == o.PICKED_UP,
        "be_at_the_door": near,
    }
    return [] if order.returning_ms is not None else [name for name, yes in wanted.items() if yes]
