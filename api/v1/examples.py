"""Examples of the document of version 1.

Answers are version 2's examples, translated; bodies are written here, and tests translate them into the models of
version 2.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import orjson

from api.v1 import responses

_PLACE = {"lat": 52.52, "lng": 13.405}
# By operation; a body that is missing here is the same in version 2.
BODIES: Mapping[str, Mapping[str, Any]] = {
    "users.create": {"driver": {
        "email": "max@mall.example", "password": "correct horse battery", "name": "Max", "role": "driver",
        "zone_id": 1, "capacity": 2,
    }},
    "users.update": {
        "customer": {"name": "Ada", "status": "active"},
        "driver": {"name": "Max", "status": "active", "zone_id": 1, "capacity": 3},
    },
    "zones.update": {"whole": {"name": "Mall", "mode": "open", "wave_size": 3, "offer_ttl_s": 20, "area": None}},
    "stores.create": {"new": {"zone_id": 1, "name": "Bakery", "location": _PLACE, "preparation_s": 300}},
    "stores.update": {"whole": {"name": "Bakery", "location": _PLACE, "preparation_s": 900, "active": True}},
    "products.create": {"new": {
        "store_id": 1, "name": "Rye bread", "price": 4.5, "currency": "EUR", "stock": 25,
    }},
    "products.update": {"whole": {
        "name": "Rye bread", "price": 5.25, "currency": "EUR", "stock": None, "active": True,
    }},
    "orders.create": {"cash": {
        "items": [{"product_id": 1, "quantity": 2}], "dropoff": {**_PLACE, "address": "Second floor, left"},
        "payment": "cash", "notes": "Ring twice",
    }},
    "orders.transition": {
        "accept": {"status": "accepted", "offer_id": "ofr_17_1"},
        "assign": {"status": "accepted", "driver_id": 3},
        "decline": {"status": "declined", "offer_id": "ofr_17_1", "reason": "too far"},
        "pick up": {"status": "on_the_way"},
        "deliver": {"status": "delivered"},
        "fail": {"status": "failed", "reason": "nobody at the door"},
        "cancel": {"status": "cancelled", "reason": "changed my mind"},
        "release": {"status": "pending"},
    },
    "payments.create": {"card": {"order_id": 17, "method": "card", "token": "tok_success"}},
    "drivers.location": {"moving": {**_PLACE, "cseq": 7}},
}  # fmt: skip


def bodies(operation: str, before: Mapping[str, Any]) -> dict[str, Any]:
    """Examples of a body for the document; `before` are those of version 2."""
    if operation not in BODIES:
        return dict(before)
    return {name: {"value": value} for name, value in BODIES[operation].items()}


def answers(before: Mapping[str, Any]) -> dict[str, Any]:
    """Examples of a successful answer, translated from those of version 2."""
    return {
        name: {**one, "value": _json(responses.answer(_json(one["value"])))} for name, one in before.items()
    }


def refusals(problems: Mapping[str, Any]) -> dict[str, Any]:
    """Examples of refusals by code, translated from those of version 2."""
    return {
        code: {**one, "value": responses.refusal("", _json(one["value"]))} for code, one in problems.items()
    }


def _json(value: Any) -> Any:
    """A copy in which amounts are floats."""
    return orjson.loads(orjson.dumps(value))
