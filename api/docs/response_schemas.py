"""Schemas of answers (JSON Schema 2020-12). Requests have theirs in their pydantic models."""

from __future__ import annotations

from typing import Any

from api.auth.stream_tickets import LENGTH_MAX, PATTERN
from api.contract.problems import KINDS
from api.docs.schemas import (
    ANYTHING,
    CODE,
    CONTACT,
    CURSOR,
    EMAIL,
    LAT,
    LON,
    NAME,
    NUMBER,
    ONLINE,
    PAYMENT,
    PLACE,
    RADIUS,
    REAL,
    SECONDS,
    STATUS,
    STOP,
    TEXT,
    TIME,
    TOKEN,
    TRACE,
    TRUTH,
    TYPE,
    WHOLE,
)
from api.docs.schemas import identifier as _id
from api.docs.schemas import list_of as _list
from api.docs.schemas import object_of as _object
from api.docs.schemas import one_of as _enum
from api.docs.schemas import or_null as _or_null
from api.docs.schemas import text as _text
from api.docs.schemas import whole as _whole
from api.http.command_executor import GOOD
from api.rest.password_resets import RESET_FORM

PAGE_ROWS_MAX = 100


def _ref(name: str) -> dict[str, Any]:
    return {"$ref": f"#/components/schemas/{name}"}


def _page(name: str, rows_max: int = PAGE_ROWS_MAX) -> dict[str, Any]:
    return _object({"items": _list(_ref(name), rows_max), "next": _or_null(CURSOR)})


# It may name what the caller sent, whatever that was.
POINTER = _text(200, "^#?")
_FAULT = _object({
    "location": _enum("body", "query", "header", "path"), "pointer": POINTER,
    "code": _text(60), "detail": _text(300),
})  # fmt: skip
_DROPOFF = _object(
    {"lat": LAT, "lon": LON, "radius_m": RADIUS, "address": _or_null(_text(200))}, ("radius_m",)
)
PAYMENT_STATUS = _enum("pending", "held", "declined", "captured", "voided", "refunding", "refunded")
_PROBLEM = {
    "type": _text(100, "^/problems/[a-z][a-z0-9_]*$"), "title": NAME, "status": _whole(400, 599),
    "code": _enum(*sorted(KINDS)), "trace_id": TRACE, "retryable": TRUTH,
    "detail": TEXT, "not_processed": TRUTH, "errors": _list(_FAULT, 50),
    "order_status": STATUS, "order_version": WHOLE, "violated-policies": _list(_text(60), 10),
    "total": _ref("Money"),
    "prices": _list(_object({"product_id": _id("prd"), "price": _ref("Money")}), 50),
    "unpaid_orders": WHOLE, "unpaid_orders_max": WHOLE, "held_pieces": WHOLE, "held_pieces_max": WHOLE,
    "payment_id": _id("pay"), "payment_status": PAYMENT_STATUS, "decline_code": CODE, "migration": TEXT,
    "refundable": _ref("Money"),
    "header_version": TEXT, "path_version": TEXT, "supported": _list(TEXT, 10),
}  # fmt: skip
_TOKENS = {
    "access_token": TOKEN, "token_type": _enum("Bearer"), "expires_in": _whole(1, 86_400),
    "refresh_token": _text(100, "^ref_[A-Za-z0-9_-]+$"),
}  # fmt: skip
_ITEM = _object({"product_id": _id("prd"), "name": NAME, "quantity": _whole(1, 99), "price": _ref("Money")})
_OFFER = _object({"offer_id": _text(40, "^ofr_[0-9]+_[0-9]+$"), "driver_id": _id("drv"), "expires_at": TIME})
_USER = {
    "id": _id("usr"), "email": EMAIL, "name": NAME, "role": _enum("customer", "driver", "admin"),
    "status": _enum("active", "banned"), "created_at": TIME,
    "driver_id": _id("drv"), "zone_id": _or_null(_id("zon")), "capacity": _or_null(_whole(1, 20)),
}  # fmt: skip
_PAID = _object({
    "id": _id("pay"), "status": _enum("held", "captured", "voided", "refunding", "refunded"), "amount": _ref("Money"),
    "refunded": _ref("Money"),
})  # fmt: skip
_ORDER = {
    "id": _id("ord"), "number": NUMBER, "status": STATUS, "version": WHOLE, "zone_id": _id("zon"),
    "store": {**STOP, "description": "The first of the pick-ups."},
    "pickups": _list(_object({
        "store": STOP, "number": NUMBER, "ready_at": TIME, "items": _list(_ITEM, 50),
    }), 50),
    "items": _list(_ITEM, 50), "total": _ref("Money"),
    "dropoff": _DROPOFF, "payment": PAYMENT,
    "notes": _or_null(TEXT),
    "contact": _or_null(CONTACT),
    "driver_id": _or_null(_id("drv")), "ready_at": TIME, "created_at": TIME, "updated_at": TIME,
    "customer_id": _id("usr"), "payments": _list(_PAID, 20), "pay": _or_null(_ref("Money")),
    "round": WHOLE, "wave": WHOLE, "offers": _list(_OFFER, 50),
}  # fmt: skip
_WHO = _object({"role": _text(20, "^[a-z]+$"), "id": _or_null(_text(60))})
_EVENT = {
    "version": WHOLE, "type": TYPE, "at": TIME, "by": _WHO, "reason": _or_null(TEXT), "trace_id": _or_null(TRACE),
    # What dispatch had in mind: for admins only, and different for each type.
    "data": {"type": ["object", "null"], "maxProperties": 50},
}  # fmt: skip
_KEY = _object({
    "kty": _enum("OKP"), "crv": _enum("Ed25519"), "kid": _text(100), "x": _text(60, "^[A-Za-z0-9_-]+$"),
    "use": _enum("sig"), "alg": _text(20),
}, ("use", "alg"))  # fmt: skip
_UP = _enum("up", "down")


def _event(name: str, schema: str) -> dict[str, Any]:
    """An event of a stream: its `data` is JSON."""
    data = {**_text(100_000), "contentMediaType": "application/json", "contentSchema": _ref(schema)}
    return _object({"event": _enum(name), "id": _text(9, "^[1-9][0-9]*$"), "data": data})


SCHEMAS: dict[str, dict[str, Any]] = {
    "Problem": _object(_PROBLEM, (
        "detail", "not_processed", "errors", "order_status", "order_version", "violated-policies",
        "total", "prices", "unpaid_orders", "unpaid_orders_max", "held_pieces", "held_pieces_max",
        "payment_id", "payment_status", "decline_code", "refundable", "migration",
        "header_version", "path_version", "supported",
    )),
    "Money": _object({"amount_minor": WHOLE, "currency": _text(3, "^[A-Z]{3}$")}),
    "User": _object(_USER, ("driver_id", "zone_id", "capacity")),
    "ResetLink": _object({"token": _text(68, RESET_FORM), "expires_at": TIME}),
    "Tokens": _object(_TOKENS),
    "Registered": _object({"user": _ref("User"), **_TOKENS}),
    "Keys": _object({"keys": _list(_KEY, 20)}),
    "Zone": _object({
        "id": _id("zon"), "name": NAME, "mode": _enum("waves", "open"),
        "wave_size": _whole(1, 50), "offer_ttl_s": _whole(1, 600), "area": _or_null(_list(PLACE, 100)),
        "offer_distance_max_m": _whole(1, 1_000_000), "release_pause_s": _whole(0, 86_400),
        "give_up_after_s": _or_null(_whole(1, 604_800)), "driver_pay_minor": _or_null(_whole(0, 1_000_000_000)),
        "version": WHOLE,
    }),
    "Store": _object({
        "id": _id("sto"), "zone_id": _id("zon"), "name": NAME, "lat": LAT, "lon": LON,
        "preparation_s": SECONDS, "delivery_radius_m": _or_null(_whole(1, 1_000_000)), "active": TRUTH,
        "version": WHOLE, "distance_m": REAL,
    }, ("distance_m",)),
    "Product": _object({
        "id": _id("prd"), "store_id": _id("sto"), "name": NAME, "price": _ref("Money"),
        "stock": _or_null(WHOLE), "active": TRUTH, "version": WHOLE,
    }),
    "Order": _object(_ORDER, ("customer_id", "payments", "pay", "round", "wave", "offers")),
    "Event": _object(_EVENT, ("data",)),
    "OrderChange": _object({
        "order_id": _id("ord"), "version": WHOLE, "status": STATUS, "event": TYPE, "driver_id": _or_null(_id("drv")),
        "reason": _or_null(TEXT), "at": TIME,
    }),
    "OrderEvent": _event("order", "Order"),
    "ChangeEvent": _event("change", "OrderChange"),
    # The text as it is sent; each event in it, once read, is one of the two.
    "OrderStream": {
        "type": "string", "maxLength": 1_000_000, "pattern": ANYTHING, "contentMediaType": "text/event-stream",
        "contentSchema": {"oneOf": [_ref("OrderEvent"), _ref("ChangeEvent")]},
    },
    "StreamTicket": _object({"ticket": _text(LENGTH_MAX, PATTERN), "expires_in": SECONDS}),
    "Done": _object({"result": _enum(*sorted(GOOD)), "order_id": _id("ord"), "status": STATUS, "version": WHOLE}),
    "Payment": _object({
        "id": _id("pay"), "order_id": _id("ord"), "method": _enum("card"), "status": PAYMENT_STATUS,
        "amount": _ref("Money"), "refunded": _ref("Money"),
        "stuck": _or_null(_object({"code": CODE, "since": TIME})), "decline_code": _or_null(CODE), "version": WHOLE,
        "created_at": TIME, "updated_at": TIME,
    }),
    "Driver": _object({
        "id": _id("drv"), "name": NAME, "zone_id": _id("zon"), "status": ONLINE,
        "state": _enum("online", "offline", "unreachable"), "capacity": _whole(1, 20),
        "orders": _list(_id("ord"), 20), "connected": TRUTH, "location": _or_null(PLACE),
    }),
    "DriverRow": _object({
        "id": _id("drv"), "name": NAME, "zone_id": _id("zon"), "status": ONLINE,
        "state": _enum("online", "offline", "unreachable"), "capacity": _whole(1, 20),
        "carried": _whole(0, 20), "location": _or_null(PLACE),
    }),
    "Available": _object({"result": _enum("now_online", "now_offline"), "status": ONLINE}),
    "Ticket": _object({"ticket": _text(100, "^tkt_[A-Za-z0-9_-]+$"), "expires_in": SECONDS}),
    "Health": _object({
        "status": _enum(
            "alive", "stalled", "started", "starting", "ready", "degraded", "draining", "not_ready"
        ),
        "components": _object({"postgres": _UP, "redis": _UP, "loop": _UP}),
    }, ("components",)),
    "Users": _page("User"),
    "Zones": _page("Zone"),
    "Stores": _page("Store"),
    "Products": _page("Product"),
    "Orders": _page("Order"), "Payments": _page("Payment"),
    "Events": _page("Event", 1000),
    "DriverRows": _page("DriverRow"),
}  # fmt: skip
