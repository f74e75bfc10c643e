"""JSON Schema builders for answers and frames (JSON Schema 2020-12): every text, number and list has bounds."""

from __future__ import annotations

from typing import Any

from api.contract.fields import id_schema
from dispatch.domain.ids import NUMBER_MAX
from dispatch.domain.order import STATUSES

# More than any list has; a driver's orders, keys and the like are far fewer.
ROWS_MAX = 1000


def identifier(prefix: str) -> dict[str, Any]:
    """Schema of a public id of this kind."""
    return id_schema(prefix)


def object_of(properties: dict[str, Any], optional: tuple[str, ...] = ()) -> dict[str, Any]:
    """Schema of an object with exactly these members, because the API promises no others."""
    return {
        "type": "object",
        "properties": properties,
        "required": [name for name in properties if name not in optional],
        "additionalProperties": False,
    }


# Any text; no text contains NUL.
ANYTHING = "^[^\\u0000]*$"


def text(length_max: int, pattern: str | None = None) -> dict[str, Any]:
    """Schema of a text; without a pattern, any text that fields accept."""
    return {"type": "string", "maxLength": length_max, "pattern": pattern or ANYTHING}


def one_of(*values: str) -> dict[str, Any]:
    """Schema of an enumeration of these texts."""
    return {"type": "string", "enum": list(values)}


def list_of(items: dict[str, Any], count_max: int = ROWS_MAX) -> dict[str, Any]:
    """Schema of a list with this many items at most."""
    return {"type": "array", "items": items, "maxItems": count_max}


def whole(least: int, most: int) -> dict[str, Any]:
    """Schema of an integer between these bounds, both included."""
    return {"type": "integer", "format": "int64", "minimum": least, "maximum": most}


def between(least: float, most: float) -> dict[str, Any]:
    """A number within bounds, included."""
    return {"type": "number", "minimum": least, "maximum": most}


def or_null(schema: dict[str, Any]) -> dict[str, Any]:
    """Schema of this value, or null."""
    return {"anyOf": [schema, {"type": "null"}]}


# Names, sentences, codes without a schema of their own.
TEXT: dict[str, Any] = text(500)
WHOLE: dict[str, Any] = whole(0, NUMBER_MAX)
REAL: dict[str, Any] = {"type": "number", "format": "double", "minimum": -1e15, "maximum": 1e15}
TRUTH: dict[str, Any] = {"type": "boolean"}
TIME: dict[str, Any] = {
    "type": "string", "format": "date-time", "maxLength": 24,
    "pattern": r"^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}\.[0-9]{3}Z$",
}  # fmt: skip
DAY: dict[str, Any] = {
    "type": "string", "format": "date", "maxLength": 10, "pattern": "^[0-9]{4}-[0-9]{2}-[0-9]{2}$",
}  # fmt: skip
TRACE = text(32, "^[0-9a-f]{32}$")
CODE = text(60, "^[a-z][a-z0-9_]*$")
TYPE = text(60, "^[a-z][a-z0-9_.]*$")
CURSOR = text(512, "^[A-Za-z0-9_.=-]+$")
NAME = text(120)
EMAIL = text(254, "@")
TOKEN = text(4096, "^[A-Za-z0-9_.-]+$")
LAT: dict[str, Any] = {"type": "number", "format": "double", "minimum": -90, "maximum": 90}
LON: dict[str, Any] = {"type": "number", "format": "double", "minimum": -180, "maximum": 180}
PLACE = object_of({"lat": LAT, "lon": LON})
# A store of an order's pick-up, as of the time of the order.
STOP = object_of({"id": identifier("sto"), "name": NAME, "lat": LAT, "lon": LON})
# The number on a receipt: each store counts its orders from 1 every day.
NUMBER = whole(1, 1_000_000)
# Radius of a drop-off's area in metres; 0: an exact point.
RADIUS = whole(0, 1000)
CONTACT = object_of({"name": or_null(NAME), "phone": or_null(text(30))})
STATUS: dict[str, Any] = one_of(*STATUSES)
ONLINE = one_of("online", "offline")
PAYMENT = one_of("card", "cash")
PAYMENT_STATUS = one_of("pending", "held", "declined", "captured", "voided", "refunding", "refunded")
SECONDS = whole(0, 86_400)
# Name of a task or of a schedule.
JOB_NAME = text(60, "^[a-z][a-z0-9_.]{0,59}$")
