"""Values for the templates of notices, from rows. Pure. Times are milliseconds, amounts minor units with a currency."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from dispatch.domain import ids

Values = dict[str, Any]


def money(amount_minor: int, currency: str) -> Values:
    """An amount as the templates take it."""
    return {"amount_minor": amount_minor, "currency": currency}


def order_values(row: Mapping[str, Any], public_url: str | None) -> Values:
    """Values of a row of `notice_order`, for all notices about an order."""
    number = ids.public_id(ids.ORDER, row["id"])
    facts, terms = row["event_data"] or {}, row["terms"] or {}
    return {
        "mall": row["zone"],
        "order": {
            "id": number,
            "address": row["address"],
            "notes": row["notes"],
            "payment": row["payment"],
            "total": money(row["total_minor"], row["currency"]),
            "items": [_item(item, row["currency"]) for item in row["items"]],
            "ready_ms": row["ready_ms"],
            "expected_ms": row["expected_ms"],
            "promised_ms": row["promised_ms"],
            "deliver_ms": terms.get("deliver_ms"),
            "pin": terms.get("pin"),
        },
        "order_url": None if public_url is None else f"{public_url}/orders/{number}",
        "stores": [pickup[1] for pickup in row["pickups"]],
        "driver": row["driver"],
        "eta_ms": facts.get("eta_ms"),
        "reason": row["reason"],
        "at_ms": row["created_ms"] if row["at_ms"] is None else row["at_ms"],
        "waiting_m": 0,
    }


def pickup_values(row: Mapping[str, Any], store: int) -> Values | None:
    """What one store has to prepare of an order; None if it is not fetched there."""
    for place, pickup in enumerate(row["pickups"]):
        if pickup[0] == store:
            lines = pickup[5] or range(len(row["items"]))
            each = row["ready_each"]
            return {
                "number": pickup[4],
                "ready_ms": row["ready_ms"] if each is None else each[place],
                "items": [_item(row["items"][line], row["currency"]) for line in lines],
            }
    return None


def _item(item: list[Any], currency: str) -> Values:
    """A line of an order, with the price of all its pieces."""
    _, name, quantity, price_minor = item
    return {"name": name, "quantity": quantity, "price": money(price_minor * quantity, currency)}
