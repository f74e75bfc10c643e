"""Schemas of answers (JSON Schema 2020-12). Requests have theirs in their pydantic models."""

from __future__ import annotations

from typing import Any

from dispatch.domain.order import STATUSES


def _id(prefix: str) -> dict[str, Any]:
    return {"type": "string", "pattern": f"^{prefix}_[1-9][0-9]{{0,15}}$", "examples": [f"{prefix}_17"]}


def _object(properties: dict[str, Any], optional: tuple[str, ...] = ()) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": properties,
        "required": [name for name in properties if name not in optional],
    }


def _ref(name: str) -> dict[str, Any]:
    return {"$ref": f"#/components/schemas/{name}"}


def _page(name: str) -> dict[str, Any]:
    items = {"type": "array", "items": _ref(name)}
    return _object({"items": items, "next": _or_null(TEXT)})


def _or_null(schema: dict[str, Any]) -> dict[str, Any]:
    return {"anyOf": [schema, {"type": "null"}]}


TEXT: dict[str, Any] = {"type": "string"}
WHOLE: dict[str, Any] = {"type": "integer"}
REAL: dict[str, Any] = {"type": "number"}
TRUTH: dict[str, Any] = {"type": "boolean"}
TIME: dict[str, Any] = {"type": "string", "format": "date-time"}
PLACE = _object({"lat": REAL, "lon": REAL})
STATUS: dict[str, Any] = {"type": "string", "enum": list(STATUSES)}

_FAULT = _object({"location": TEXT, "pointer": TEXT, "code": TEXT, "detail": TEXT})
_PROBLEM = {
    "type": TEXT, "title": TEXT, "status": WHOLE, "code": TEXT, "trace_id": TEXT, "retryable": TRUTH,
    "detail": TEXT, "not_processed": TRUTH, "errors": {"type": "array", "items": _FAULT},
    "order_status": STATUS, "order_version": WHOLE, "violated-policies": {"type": "array", "items": TEXT},
}  # fmt: skip
_TOKENS = {"access_token": TEXT, "token_type": TEXT, "expires_in": WHOLE, "refresh_token": TEXT}
_ITEM = _object({"product_id": _id("prd"), "name": TEXT, "quantity": WHOLE, "price": _ref("Money")})
_OFFER = _object({"offer_id": TEXT, "driver_id": _id("drv"), "expires_at": TIME})
_USER = {
    "id": _id("usr"), "email": TEXT, "name": TEXT, "role": TEXT, "status": TEXT, "created_at": TIME,
    "driver_id": _id("drv"), "zone_id": _or_null(_id("zon")), "capacity": _or_null(WHOLE),
}  # fmt: skip
_ORDER = {
    "id": _id("ord"), "status": STATUS, "version": WHOLE, "zone_id": _id("zon"),
    "store": _object({"id": _id("sto"), "name": TEXT, "lat": REAL, "lon": REAL}),
    "items": {"type": "array", "items": _ITEM}, "total": _ref("Money"),
    "dropoff": _object({"lat": REAL, "lon": REAL, "address": TEXT}), "payment": TEXT, "notes": _or_null(TEXT),
    "driver_id": _or_null(_id("drv")), "ready_at": TIME, "created_at": TIME, "updated_at": TIME,
    "customer_id": _id("usr"), "round": WHOLE, "wave": WHOLE, "offers": {"type": "array", "items": _OFFER},
}  # fmt: skip
_EVENT = {
    "version": WHOLE, "type": TEXT, "at": TIME, "by": _object({"role": TEXT, "id": _or_null(TEXT)}),
    "reason": _or_null(TEXT), "trace_id": TEXT, "data": {},
}  # fmt: skip

SCHEMAS: dict[str, dict[str, Any]] = {
    "Problem": _object(_PROBLEM, (
        "detail", "not_processed", "errors", "order_status", "order_version", "violated-policies",
    )),
    "Money": _object({"amount_minor": WHOLE, "currency": TEXT}),
    "User": _object(_USER, ("driver_id", "zone_id", "capacity")),
    "Tokens": _object(_TOKENS),
    "Registered": _object({"user": _ref("User"), **_TOKENS}),
    "Keys": _object({"keys": {"type": "array", "items": {"type": "object"}}}),
    "Zone": _object({
        "id": _id("zon"), "name": TEXT, "mode": {"type": "string", "enum": ["waves", "open"]},
        "wave_size": WHOLE, "offer_ttl_s": WHOLE, "area": _or_null({"type": "array", "items": PLACE}),
        "version": WHOLE,
    }),
    "Store": _object({
        "id": _id("sto"), "zone_id": _id("zon"), "name": TEXT, "lat": REAL, "lon": REAL,
        "preparation_s": WHOLE, "delivery_radius_m": _or_null(WHOLE), "active": TRUTH, "version": WHOLE,
        "distance_m": REAL,
    }, ("distance_m",)),
    "Product": _object({
        "id": _id("prd"), "store_id": _id("sto"), "name": TEXT, "price": _ref("Money"),
        "stock": _or_null(WHOLE), "active": TRUTH, "version": WHOLE,
    }),
    "Order": _object(_ORDER, ("customer_id", "round", "wave", "offers")),
    "Event": _object(_EVENT, ("data",)),
    "Done": _object({"result": TEXT, "order_id": _id("ord"), "status": STATUS, "version": WHOLE}),
    "Payment": _object({
        "id": _id("pay"), "order_id": _id("ord"), "method": TEXT,
        "status": {
            "type": "string",
            "enum": ["pending", "held", "declined", "captured", "voided", "refunding", "refunded"],
        },
        "amount": _ref("Money"), "decline_code": _or_null(TEXT), "version": WHOLE, "created_at": TIME,
        "updated_at": TIME,
    }),
    "Driver": _object({
        "id": _id("drv"), "name": TEXT, "zone_id": _id("zon"), "status": TEXT, "capacity": WHOLE,
        "orders": {"type": "array", "items": _id("ord")}, "connected": TRUTH, "location": _or_null(PLACE),
    }),
    "DriverRow": _object({
        "id": _id("drv"), "name": TEXT, "zone_id": _id("zon"), "status": TEXT, "capacity": WHOLE,
        "carried": WHOLE, "location": _or_null(PLACE),
    }),
    "Available": _object({"result": TEXT, "status": TEXT}),
    "Ticket": _object({"ticket": TEXT, "expires_in": WHOLE}),
    "Health": _object({"status": TEXT, "components": {"type": "object"}}, ("components",)),
    "Users": _page("User"),
    "Zones": _page("Zone"),
    "Stores": _page("Store"),
    "Products": _page("Product"),
    "Orders": _page("Order"),
    "Events": _page("Event"),
    "DriverRows": _page("DriverRow"),
}  # fmt: skip
