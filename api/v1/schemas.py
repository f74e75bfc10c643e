"""Translation of version 2's JSON Schemas into those of version 1."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from api.v1.transforms.identity import OF_FIELD
from api.v1.transforms.later import LATER, LATER_MODES
from api.v1.transforms.statuses import BACKWARD
from dispatch.domain.ids import NUMBER_MAX

Schema = dict[str, Any]

REF = "#/components/schemas/"
TEXT: Schema = {"type": "string", "maxLength": 1000}
WHOLE: Schema = {"type": "integer", "format": "int64", "minimum": 0, "maximum": NUMBER_MAX}
ID: Schema = {
    "type": "integer", "format": "int64", "minimum": 1, "maximum": NUMBER_MAX, "description": "Number of the row.",
}  # fmt: skip
CURRENCY: Schema = {"type": "string", "pattern": "^[A-Z]{3}$", "maxLength": 3}
AMOUNT: Schema = {
    "type": "number",
    "minimum": 0,
    "maximum": 1_000_000_000,
    "description": "Decimal, as many digits behind the point as the currency has.",
}
_MONEY = {REF + "Money", REF + "Price", REF + "PriceChange", REF + "Total"}
_STATUSES = set(BACKWARD)
# Models without an id that have their place in `location` in version 1.
_PLACED = frozenset({"NewStore", "StoreChange"})

_DETAIL: Schema = {
    "type": "object",
    "properties": {"in": TEXT, "field": TEXT, "code": TEXT, "message": TEXT},
    "required": ["in", "field", "code", "message"],
}
ERROR: Schema = {
    "type": "object",
    "description": "Every refusal. Further members say more about some: `order_status`, `not_processed`.",
    "properties": {
        "error": {**TEXT, "description": "What went wrong, for programs."},
        "message": TEXT,
        "details": {"type": "array", "items": _DETAIL, "maxItems": 50},
        "trace_id": {"type": "string", "pattern": "^[0-9a-f]{32}$", "maxLength": 32},
        "retryable": {"type": "boolean"},
    },
    "required": ["error", "message", "details", "trace_id", "retryable"],
}


def translate_schemas(schemas: dict[str, Schema]) -> dict[str, Schema]:
    """Translate all schemas of a document, in place."""
    for name, schema in schemas.items():
        for node in _with_properties(schema):
            for later in LATER:
                _drop(node, later)
            _modes(node["properties"])
            _properties(node, placed=name in _PLACED)
        for node in _nodes(schema):
            _statuses(node)
            _times(node)
    if "Order" in schemas:
        order = schemas["Order"]
        for name in ("pickups", "contact"):
            _drop(order, name)
        order["properties"]["store"]["description"] = "The first of the stores that it is fetched from."
        _add(
            order,
            "store",
            "more_stores",
            {**WHOLE, "description": "How many it is fetched from besides `store`."},
        )
    if "Event" in schemas:  # an account's number, or a text
        by = schemas["Event"]["properties"]["by"]["properties"]
        by["id"] = {"anyOf": [ID, TEXT, {"type": "null"}]}
    schemas["Error"] = ERROR
    schemas.pop("Problem", None)
    return schemas


def _nodes(value: Any) -> Iterator[Schema]:
    if isinstance(value, dict):
        for part in list(value.values()):
            yield from _nodes(part)
        yield value
    elif isinstance(value, list):
        for part in value:
            yield from _nodes(part)


def _with_properties(schema: Schema) -> Iterator[Schema]:
    return (node for node in _nodes(schema) if isinstance(node.get("properties"), dict))


def _modes(properties: dict[str, Any]) -> None:
    """A zone's mode is one of those that version 1 knows; left out, it is `waves` there."""
    if "wave_size" in properties and "mode" in properties:
        known = [mode for mode in properties["mode"]["enum"] if mode not in LATER_MODES]
        properties["mode"] = {
            "type": "string",
            "enum": known,
            "description": "`waves` for a new zone without it.",
        }


def _properties(node: Schema, *, placed: bool) -> None:
    properties: dict[str, Any] = node["properties"]
    if properties.keys() == {"items", "next"}:
        properties.pop("next")
        properties |= {"page": WHOLE, "page_size": WHOLE, "total": WHOLE, "pages": WHOLE}
        node["required"] = list(properties)
        return
    for name in ("version", "order_version"):
        if name in properties and properties.keys() & {"id", "order_id", "code"}:
            _drop(node, name)
    for name, schema in list(properties.items()):
        properties[name] = _identity(name, schema)
        if _is_money(schema):
            _add(node, name, "currency", CURRENCY)
            properties[name] = AMOUNT
    _place(node, placed=placed)


def _identity(name: str, schema: Any) -> Any:
    """Replace a schema of ids by one of numbers, also inside a nullable or a list."""
    if not isinstance(schema, dict):
        return schema
    if "anyOf" in schema:
        return {**schema, "anyOf": [_identity(name, part) for part in schema["anyOf"]]}
    if "items" in schema and name == "orders":
        return {**schema, "items": _identity(name, schema["items"])}
    is_id = str(schema.get("pattern", "")).startswith(
        ("^ord_", "^drv_", "^sto_", "^prd_", "^zon_", "^usr_", "^pay_")
    )
    if schema.get("type") == "string" and (is_id or name in OF_FIELD):
        return dict(ID)
    return schema


def _is_money(schema: Any) -> bool:
    if not isinstance(schema, dict):
        return False
    return schema.get("$ref") in _MONEY or any(part.get("$ref") in _MONEY for part in schema.get("anyOf", ()))


def _place(node: Schema, *, placed: bool) -> None:
    properties = node["properties"]
    if not {"lat", "lon"} <= properties.keys():
        return
    lat, lon = properties["lat"], properties["lon"]
    if not placed and "id" not in properties:
        _add(node, "lon", "lng", lon)
        _drop(node, "lon")
        return
    place: Schema = {"type": "object", "properties": {"lat": lat, "lng": lon}, "required": ["lat", "lng"]}
    if node.get("additionalProperties") is False:
        place["additionalProperties"] = False
    _add(node, "lat", "location", place)
    _drop(node, "lat")
    _drop(node, "lon")


def _add(node: Schema, beside: str, name: str, schema: Schema) -> None:
    node["properties"][name] = schema
    required = node.get("required", [])
    if beside in required and name not in required:
        node["required"] = [*required, name]


def _drop(node: Schema, name: str) -> None:
    node["properties"].pop(name, None)
    if name in node.get("required", ()):
        node["required"] = [other for other in node["required"] if other != name]


def _statuses(node: Schema) -> None:
    values = node.get("enum")
    if isinstance(values, list) and set(values) == _STATUSES:
        node["enum"] = [BACKWARD[status] for status in values]


def _times(node: Schema) -> None:
    """Times in whole seconds: an answer's time has a pattern, a request's may have any form of RFC 3339."""
    if node.get("format") == "date-time" and "pattern" in node:
        node |= {"pattern": r"^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}Z$", "maxLength": 20}
