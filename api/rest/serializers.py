"""Serializers of domain objects to the JSON of version 2."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

from actors.tracing import trace_id
from api.rest.answers import (
    DailyCashAnswer,
    DailyFiguresAnswer,
    DoneAnswer,
    DriverAnswer,
    DriverRowAnswer,
    EventAnswer,
    ItemShown,
    MoneyAnswer,
    OrderAnswer,
    OrderChangeAnswer,
    PaymentAnswer,
    PickupShown,
    ProductAnswer,
    StoreAnswer,
    StuckShown,
    UserAnswer,
    ZoneAnswer,
)
from dispatch.domain import ids
from dispatch.domain.ids import public_id
from dispatch.domain.money import Money
from dispatch.domain.order import NO_TERMS, Item, Order
from dispatch.domain.order_visibility import contact as contact_of
from dispatch.domain.order_visibility import dropoff as dropoff_of
from dispatch.domain.order_visibility import pay as pay_of
from dispatch.domain.order_visibility import sees_all, store_of
from dispatch.domain.order_visibility import trip as trip_of
from dispatch.messages import DriverSeen, Reply
from dispatch.reports.daily import WHOLE_ZONE


# Cached: most times shown are of the last minutes, and an order's three times are shown in each answer: 0.3 us
# instead of 1.3 for each.
@lru_cache(maxsize=4096)
def _second(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat().removesuffix("+00:00")


def time_of(ms: int) -> str:
    """RFC 3339 in UTC with milliseconds."""
    seconds, rest = divmod(ms, 1000)
    return f"{_second(seconds)}.{rest:03d}Z"


def timestamp(value: datetime) -> str:
    """A database time in the same form."""
    return value.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def money(amount: Money) -> MoneyAnswer:
    return {"amount_minor": amount.amount_minor, "currency": amount.currency}


def _item(o: Order, item: Item) -> ItemShown:
    return {
        "product_id": public_id(ids.PRODUCT, item.product_id),
        "name": item.name,
        "quantity": item.quantity,
        "price": money(o.facts.price(item)),
    }


def _pickup(o: Order, at: int, items: list[ItemShown]) -> PickupShown:
    pickup = o.facts.pickups[at]
    return {
        "store": store_of(pickup),
        "number": pickup.number,
        "ready_at": time_of(o.ready[at]),
        "items": [items[line] for line in pickup.lines] if pickup.lines else items,
    }


def order(o: Order, role: str, number: int) -> OrderAnswer:
    """An order for a user of this role and number; order_visibility.py says what a driver sees."""
    facts = o.facts
    items = [_item(o, item) for item in facts.items]
    driver = role == "driver"
    whole = not driver or sees_all(o, number)
    shown: OrderAnswer = {
        "id": public_id(ids.ORDER, facts.id),
        "number": facts.first.number,
        "status": o.status,
        "version": o.version,
        "zone_id": public_id(ids.ZONE, facts.zone_id),
        "store": store_of(facts.first),
        "pickups": [_pickup(o, at, items) for at in range(len(facts.pickups))],
        "items": items,
        "total": money(facts.total),
        "dropoff": dropoff_of(o, number)
        if driver
        else {"lat": facts.dropoff.lat, "lon": facts.dropoff.lon, "address": facts.address},
        "payment": facts.payment,
        "notes": facts.notes if whole else None,
        "contact": contact_of(o) if whole else None,
        "driver_id": None if o.driver_id is None else public_id(ids.DRIVER, o.driver_id),
        "ready_at": time_of(o.ready_ms),
        "created_at": time_of(facts.created_ms),
        "updated_at": time_of(o.updated_ms),
    }
    if o.expected_ms is not None:
        shown["eta"] = time_of(o.expected_ms)
    if facts.promised_ms is not None:
        shown["promised_at"] = time_of(facts.promised_ms)
    if facts.terms is not NO_TERMS or o.returning_ms is not None:
        _add_terms(shown, o, driver=driver)
    if role != "customer":
        shown["pay"] = pay_of(o)
        shown["trip"] = None if o.trip is None else trip_of(o.trip, facts.currency)
    if not driver:
        shown["customer_id"] = public_id(ids.USER, facts.customer_id)
        shown["payments"] = [
            {
                "id": public_id(ids.PAYMENT, paid.id),
                "status": paid.status,
                "amount": money(Money(paid.amount_minor, facts.currency)),
                "refunded": money(Money(paid.refunded_minor, facts.currency)),
            }
            for paid in o.payments
        ]
    if role == "admin":
        shown["round"] = o.round
        shown["wave"] = o.wave
        shown["offers"] = [
            {
                "offer_id": offer.id,
                "driver_id": public_id(ids.DRIVER, offer.driver_id),
                "expires_at": time_of(offer.expires_ms),
            }
            for offer in o.offers
        ]
    return shown


def reply(number: int, answer: Reply) -> DoneAnswer:
    """The answer to a successful command on an order."""
    return {
        "result": answer.code,
        "order_id": public_id(ids.ORDER, number),
        "status": answer.status,
        "version": answer.version,
    }


def change(told: Mapping[str, Any]) -> OrderChangeAnswer:
    """A change of an order for its stream."""
    return {
        "order_id": told["order_id"],
        "version": told["version"],
        "status": told["status"],
        "event": told["event"],
        "driver_id": told["driver_id"],
        "reason": told["reason"],
        "at": time_of(told["at_ms"]),
    }


def event(row: Mapping[str, Any], role: str) -> EventAnswer:
    """One entry of an order's history; only admins see the reasons of dispatch."""
    shown: EventAnswer = {
        "version": row["version"],
        "type": row["type"],
        "at": time_of(row["at_ms"]),
        "by": {"role": row["actor_role"], "id": row["actor_id"]},
        "reason": row["reason"],
        "trace_id": trace_id(row["trace"]),
    }
    if role == "admin":
        shown["data"] = row["data"]
    elif row["actor_role"] == "customer" and role == "driver":
        shown["by"] = {"role": "customer", "id": None}
    return shown


def _add_terms(shown: OrderAnswer, o: Order, *, driver: bool) -> None:
    """Add the members that only some orders have."""
    terms = o.facts.terms
    if terms.deliver_ms is not None:
        shown["deliver_at"] = time_of(terms.deliver_ms)
    if terms.tip_minor:
        shown["tip"] = money(Money(terms.tip_minor, o.facts.currency))
    if terms.pin is not None:
        shown["pin_required"] = True
        if not driver:
            shown["pin"] = terms.pin
    if o.returning_ms is not None:
        shown["returning_since"] = time_of(o.returning_ms)
    if o.fee_minor:
        shown["cancellation_fee"] = money(Money(o.fee_minor, o.facts.currency))


def driver(seen: DriverSeen) -> DriverAnswer:
    place = seen.place
    return {
        "id": public_id(ids.DRIVER, seen.id),
        "name": seen.name,
        "zone_id": public_id(ids.ZONE, seen.zone_id),
        "status": seen.status,
        "state": seen.state or seen.status,
        "capacity": seen.capacity,
        "orders": [public_id(ids.ORDER, number) for number in seen.carrying],
        "connected": seen.connected,
        "location": None if place is None else {"lat": place.lat, "lon": place.lon},
        "queue_place": seen.queue_place,
    }


def driver_row(row: Mapping[str, Any]) -> DriverRowAnswer:
    """A driver in a list, from its database row."""
    located = row["lat"] is not None
    return {
        "id": public_id(ids.DRIVER, row["id"]),
        "name": row["name"],
        "zone_id": public_id(ids.ZONE, row["zone_id"]),
        "status": row["status"],
        "state": row["state"],
        "capacity": row["capacity"],
        "carried": row["carried"],
        "location": {"lat": row["lat"], "lon": row["lon"]} if located else None,
    }


def payment(row: Mapping[str, Any]) -> PaymentAnswer:
    """A payment without the card's token. `stuck`: the reason why it waits for an operator, and since when."""
    code = row["stuck_code"]
    stuck: StuckShown | None = None if code is None else {"code": code, "since": time_of(row["stuck_ms"])}
    return {
        "id": public_id(ids.PAYMENT, row["id"]),
        "order_id": public_id(ids.ORDER, row["order_id"]),
        "method": row["method"],
        "status": row["status"],
        "amount": money(Money(row["amount_minor"], row["currency"])),
        "refunded": money(Money(row["refunded_minor"], row["currency"])),
        "stuck": stuck,
        "decline_code": row["decline_code"],
        "version": row["version"],
        "created_at": time_of(row["created_ms"]),
        "updated_at": time_of(row["updated_ms"]),
    }


def zone(row: Mapping[str, Any]) -> ZoneAnswer:
    return {
        "id": public_id(ids.ZONE, row["id"]),
        "name": row["name"],
        # Rows that an older version cached lack some fields.
        "mode": row.get("plan") or row["mode"],
        "wave_size": row["wave_size"],
        "offer_ttl_s": row["offer_ttl_s"],
        "area": row["area"],
        "offer_distance_max_m": row["offer_distance_max_m"],
        "release_pause_s": row["release_pause_s"],
        "give_up_after_s": row["give_up_after_s"],
        "driver_pay_minor": row.get("driver_pay_minor"),
        "unassigned_after_s": row.get("unassigned_after_s"),
        "planning": _planning(row.get("planning")),
        "delivery_rules": row.get("delivery_rules"),
        "queue_radius_m": row.get("queue_radius_m"),
        "version": row["version"],
    }


def _planning(stored: Mapping[str, Any] | None) -> Any:
    """A zone's settings for the planner. Those of an older version say a speed, which counts."""
    return None if stored is None else {"speed_learned": False, **stored}


def store(row: Mapping[str, Any]) -> StoreAnswer:
    shown: StoreAnswer = {
        "id": public_id(ids.STORE, row["id"]),
        "zone_id": public_id(ids.ZONE, row["zone_id"]),
        "name": row["name"],
        "lat": row["lat"],
        "lon": row["lon"],
        "preparation_s": row["preparation_s"],
        # Rows that an older version cached lack it.
        "preparation_learned": row.get("preparation_learned", False),
        "delivery_radius_m": row["delivery_radius_m"],
        "active": row["active"],
        "version": row["version"],
    }
    if "distance_m" in row:
        shown["distance_m"] = round(row["distance_m"], 1)
    return shown


def product(row: Mapping[str, Any]) -> ProductAnswer:
    return {
        "id": public_id(ids.PRODUCT, row["id"]),
        "store_id": public_id(ids.STORE, row["store_id"]),
        "name": row["name"],
        "price": money(Money(row["price_minor"], row["currency"])),
        "stock": row["stock"],
        # Rows that an older version cached lack these fields.
        "low_stock": row.get("low_stock"),
        "active": row["active"] and row.get("store_active", True),
        "version": row["version"],
    }


def user(row: Mapping[str, Any]) -> UserAnswer:
    shown: UserAnswer = {
        "id": public_id(ids.USER, row["id"]),
        "email": row["email"],
        "name": row["name"],
        "role": row["role"],
        "status": row["status"],
        "created_at": timestamp(row["created_at"]),
    }
    if row["role"] == "driver":
        shown["driver_id"] = public_id(ids.DRIVER, row["id"])
        shown["zone_id"] = public_id(ids.ZONE, row["zone_id"]) if row["zone_id"] else None
        shown["capacity"] = row["capacity"]
    return shown


def daily_figures(row: Mapping[str, Any]) -> DailyFiguresAnswer:
    """Figures of a zone, or of one of its stores. Roles that are none of the three count as the system."""
    by, store_id = row["cancelled_by"], row["store_id"]
    customer, admin = by.get("customer", 0), by.get("admin", 0)
    mean_s, p90_s = row["delivery_mean_s"], row["delivery_p90_s"]
    return {
        "day": row["day"].isoformat(),
        "zone_id": public_id(ids.ZONE, row["zone_id"]),
        "store_id": None if store_id == WHOLE_ZONE else public_id(ids.STORE, store_id),
        "orders": row["orders"],
        "delivered": row["delivered"],
        "cancelled": row["cancelled"],
        "undeliverable": row["undeliverable"],
        "delivery_mean_s": None if mean_s is None else round(mean_s, 1),
        "delivery_p90_s": None if p90_s is None else round(p90_s, 1),
        "cancelled_by": {"customer": customer, "admin": admin, "system": sum(by.values()) - customer - admin},
        "amounts": row["amounts"],
        "distance_alone_m": _whole(row["alone_m"]),
        "distance_saved_m": _whole(row["saved_m"]),
        "distance_saved_bound_m": _whole(row["saved_bound_m"]),
        "updated_at": timestamp(row["made_at"]),
    }


def _whole(value: float | None) -> int | None:
    return None if value is None else round(value)


def daily_cash(row: Mapping[str, Any]) -> DailyCashAnswer:
    """What a driver delivered on a day, in one currency."""
    return {
        "day": row["day"].isoformat(),
        "zone_id": public_id(ids.ZONE, row["zone_id"]),
        "driver_id": public_id(ids.DRIVER, row["driver_id"]),
        "deliveries": row["deliveries"],
        "pay": money(Money(row["pay_minor"], row["currency"])),
        "cash": money(Money(row["cash_minor"], row["currency"])),
        "updated_at": timestamp(row["made_at"]),
    }
