"""Schemas of answers (JSON Schema 2020-12).

They are generated from the types that operations declare, and written by hand for problems and stream events. Schemas
of requests come from their pydantic models.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from api import json_schema as s
from api.contract.problems import KINDS
from api.docs.examples import EXAMPLES
from api.docs.schemas import answer_schemas, component_of
from api.rest.answers import MoneyAnswer, OrderChangeAnswer


def _ref(name: str) -> dict[str, Any]:
    return {"$ref": f"#/components/schemas/{name}"}


# It may repeat any name that the client sent.
_POINTER = s.text(200, "^#?")
_FAULT = s.object_of({
    "location": s.one_of("body", "query", "header", "path"), "pointer": _POINTER,
    "code": s.text(60), "detail": s.text(300),
})  # fmt: skip
_PROBLEM = {
    "type": s.text(100, "^/problems/[a-z][a-z0-9_]*$"), "title": s.NAME, "status": s.whole(400, 599),
    "code": s.one_of(*sorted(KINDS)), "trace_id": s.TRACE, "retryable": s.TRUTH,
    "detail": s.TEXT, "not_processed": s.TRUTH, "errors": s.list_of(_FAULT, 50),
    "order_status": s.STATUS, "order_version": s.WHOLE, "violated-policies": s.list_of(s.text(60), 10),
    "total": _ref("Money"),
    "prices": s.list_of(s.object_of({"product_id": s.identifier("prd"), "price": _ref("Money")}), 50),
    "unpaid_orders": s.WHOLE, "unpaid_orders_max": s.WHOLE, "held_pieces": s.WHOLE, "held_pieces_max": s.WHOLE,
    "earliest": s.TIME,
    "payment_id": s.identifier("pay"), "payment_status": s.PAYMENT_STATUS, "decline_code": s.CODE, "migration": s.TEXT,
    "refundable": _ref("Money"), "count": s.WHOLE, "more": s.TRUTH,
    "header_version": s.TEXT, "path_version": s.TEXT, "supported": s.list_of(s.TEXT, 10),
}  # fmt: skip
_ALWAYS = ("type", "title", "status", "code", "trace_id", "retryable")


def _event(name: str, schema: str) -> dict[str, Any]:
    """Schema of a stream's event, whose `data` is JSON."""
    data = {**s.text(100_000), "contentMediaType": "application/json", "contentSchema": _ref(schema)}
    return s.object_of({"event": s.one_of(name), "id": s.text(9, "^[1-9][0-9]*$"), "data": data})


_BY_HAND: dict[str, dict[str, Any]] = {
    "Problem": s.object_of(_PROBLEM, tuple(name for name in _PROBLEM if name not in _ALWAYS)),
    "OrderEvent": _event("order", "Order"),
    "ChangeEvent": _event("change", "OrderChange"),
    # The stream's text; each event in it, once parsed, is one of the two.
    "OrderStream": {
        "type": "string", "maxLength": 1_000_000, "pattern": s.ANYTHING, "contentMediaType": "text/event-stream",
        "contentSchema": {"oneOf": [_ref("OrderEvent"), _ref("ChangeEvent")]},
    },
}  # fmt: skip
# The schemas above refer to these types.
_REFERRED = (MoneyAnswer, OrderChangeAnswer)


def components_of(answers: Iterable[type[Any]]) -> dict[str, dict[str, Any]]:
    """The components that these types of answers and the problems need, in the order of the examples.

    Raises:
        ValueError: one of them has no example.
    """
    typed = [answer for answer in answers if component_of(answer) not in _BY_HAND]
    found = answer_schemas(dict.fromkeys([*typed, *_REFERRED])) | _BY_HAND
    bare = sorted(found.keys() - EXAMPLES.keys() - {"Problem"})
    if bare:
        raise ValueError(f"answers without an example in docs/examples.py: {bare}")
    return {name: found[name] for name in ("Problem", *EXAMPLES) if name in found}
