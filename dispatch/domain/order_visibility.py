"""Visibility of an order for drivers: enough to decide, everything while they carry it, little afterwards.

One function shows orders to drivers, and it decides by the order itself, so that no caller can ask for more.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any, NotRequired, TypedDict

from dispatch.domain.geo import Place, distance_m
from dispatch.domain.ids import ORDER, STORE, public_id
from dispatch.domain.order import CARRIED, NO_TERMS, Facts, Offer, Order, Pickup, Trip

# The area of a drop-off is a cell of a fixed grid, shown by its centre, so that repeated reads reveal no more.
AREA_DEG = 0.005
# From the centre to a corner of a cell at the equator, where cells are largest.
AREA_RADIUS_M = 400


class StoreSeen(TypedDict):
    """Store as shown to drivers. Shared between answers: do not change it."""

    id: str
    name: str
    lat: float
    lon: float


class DropoffSeen(TypedDict):
    lat: float
    lon: float
    radius_m: NotRequired[int]
    address: str | None


class ContactSeen(TypedDict):
    name: str | None
    phone: str | None


class PaySeen(TypedDict):
    """Amount that a driver gets."""

    amount_minor: int
    currency: str


class TripSeen(TypedDict):
    trip_id: str
    orders: list[str]
    pay: NotRequired[PaySeen]


def sees_all(order: Order, driver_id: int | None) -> bool:
    """True while the driver carries the order, and so may see address, notes and contact."""
    return order.driver_id is not None and order.driver_id == driver_id and order.status in CARRIED


def area(place: Place) -> Place:
    """Centre of the grid cell of a place."""
    return Place(_cell(place.lat), _cell(place.lon))


def _cell(degrees: float) -> float:
    return round(round(degrees / AREA_DEG) * AREA_DEG, 3)


def store_of(pickup: Pickup) -> StoreSeen:
    """Store of a pick-up, as shown."""
    return _store(pickup.store_id, pickup.name, pickup.place)


@lru_cache(maxsize=4096)
def _store(number: int, name: str, place: Place) -> StoreSeen:
    """Cached: stores are few, and each order is shown several times."""
    return {"id": public_id(STORE, number), "name": name, "lat": place.lat, "lon": place.lon}


def dropoff(order: Order, driver_id: int | None) -> DropoffSeen:
    """Drop-off of the order: the exact place, or the area with its radius."""
    facts = order.facts
    return _door(facts) if sees_all(order, driver_id) else _area(facts.dropoff)


def _door(facts: Facts) -> DropoffSeen:
    return {"lat": facts.dropoff.lat, "lon": facts.dropoff.lon, "radius_m": 0, "address": facts.address}


def _area(place: Place) -> DropoffSeen:
    middle = area(place)
    return {"lat": middle.lat, "lon": middle.lon, "radius_m": AREA_RADIUS_M, "address": None}


def contact(order: Order) -> ContactSeen:
    """Contact at the drop-off."""
    return {"name": order.facts.contact_name, "phone": order.facts.contact_phone}


def pay(order: Order) -> PaySeen | None:
    """The driver's pay for the delivery, if the zone had one when the order was placed."""
    minor = order.facts.driver_pay_minor
    return None if minor is None else {"amount_minor": minor, "currency": order.facts.currency}


def tip(order: Order) -> PaySeen | None:
    """The customer's tip for the driver."""
    minor = order.facts.terms.tip_minor
    return {"amount_minor": minor, "currency": order.facts.currency} if minor else None


def trip(made: Trip, currency: str) -> TripSeen:
    """A trip, as shown: its orders in the sequence of their delivery, and what the driver gets for all of them."""
    shown: TripSeen = {
        "trip_id": made.id,
        "orders": [public_id(ORDER, number) for number in made.order_ids],
    }
    if made.pay_minor is not None:
        shown["pay"] = {"amount_minor": made.pay_minor, "currency": currency}
    return shown


def _way_m(stops: list[Place]) -> int:
    """Straight-line distance from stop to stop."""
    return round(sum(map(distance_m, stops, stops[1:])))


def order_for_driver(order: Order, driver_id: int | None = None) -> dict[str, Any]:
    """Order as this driver sees it; without a driver, as all drivers see it who may accept it.

    `collect` is the cash to collect, `pay` the driver's pay, `store` the first pick-up. `trip` and `eta_ms`
    are there if a plan says that it is offered or carried in a trip, and when it will be at the door.
    `promised_at_ms` is what the customer was promised at placing, `deliver_at_ms` what it asked for. `tip` is its tip,
    `pin` says that a delivery needs the customer's PIN, `returning` that the goods are on their way back.
    """
    facts, whole = order.facts, sees_all(order, driver_id)
    to = _door(facts) if whole else _area(facts.dropoff)
    pickups = [
        {
            "store": store_of(pickup),
            "number": pickup.number,
            "ready_at_ms": ready_ms,
            "items": [{"name": item.name, "quantity": item.quantity} for item in facts.items_of(pickup)],
        }
        for pickup, ready_ms in zip(facts.pickups, order.ready, strict=True)
    ]
    shown = {
        "order_id": public_id(ORDER, facts.id),
        "number": facts.pickups[0].number,
        "status": order.status,
        "version": order.version,
        "store": pickups[0]["store"],
        "pickups": pickups,
        "dropoff": to,
        "distance_m": _way_m([*[p.place for p in facts.pickups], Place(to["lat"], to["lon"])]),
        "ready_at_ms": order.ready_ms,
        "items": sum([item.quantity for item in facts.items]),
        "payment": facts.payment,
        "collect": (
            {"amount_minor": facts.total_minor, "currency": facts.currency}
            if facts.payment == "cash"
            else None
        ),
        "pay": pay(order),
        "notes": facts.notes if whole else None,
        "contact": contact(order) if whole else None,
    }
    if order.trip is not None:
        shown["trip"] = trip(order.trip, facts.currency)
    if order.eta is not None:
        shown["eta_ms"] = order.eta.door_ms
    if facts.promised_ms is not None:
        shown["promised_at_ms"] = facts.promised_ms
    return shown if facts.terms is NO_TERMS and order.returning_ms is None else shown | _by_terms(order)


def _by_terms(order: Order) -> dict[str, Any]:
    """What only some orders have."""
    terms = order.facts.terms
    found: dict[str, Any] = {}
    if terms.deliver_ms is not None:
        found["deliver_at_ms"] = terms.deliver_ms
    if terms.tip_minor:
        found["tip"] = tip(order)
    if terms.pin is not None:
        found["pin"] = True
    if order.returning_ms is not None:
        found["returning"] = True
    return found


def offer_terms(offer: Offer) -> dict[str, Any]:
    """Fields of an offer besides the order."""
    return {"offer_id": offer.id, "expires_at_ms": offer.expires_ms}


def redacted(shown: dict[str, Any]) -> dict[str, Any]:
    """An earlier result of `order_for_driver`, without fields that the driver must no longer see."""
    to = _area(Place(shown["dropoff"]["lat"], shown["dropoff"]["lon"]))
    stores = [Place(x["store"]["lat"], x["store"]["lon"]) for x in shown["pickups"]]
    way_m = _way_m([*stores, Place(to["lat"], to["lon"])])
    return shown | {"dropoff": to, "distance_m": way_m, "notes": None, "contact": None}
