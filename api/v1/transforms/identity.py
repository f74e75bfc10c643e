"""Transform of ids: numbers in version 1 (`17`), prefixed texts in version 2 (`ord_17`)."""

from __future__ import annotations

import re
from typing import Any

from api.v1.request_draft import Draft, refuse_body
from api.v1.transforms.tree import objects, pointer
from dispatch.domain import ids

# Kinds of ids by the first part of a path, and by the field of a body.
OF_PATH = {
    "users": ids.USER, "zones": ids.ZONE, "stores": ids.STORE, "products": ids.PRODUCT, "orders": ids.ORDER,
    "payments": "pay",
}  # fmt: skip
OF_FIELD = {
    "zone_id": ids.ZONE, "store_id": ids.STORE, "product_id": ids.PRODUCT, "driver_id": ids.DRIVER,
    "order_id": ids.ORDER,
}  # fmt: skip
_PUBLIC = re.compile(r"[a-z]{3}_([1-9][0-9]{0,15})", re.ASCII)
_NUMBER = re.compile(r"[1-9][0-9]{0,15}", re.ASCII)
_LOCATION = re.compile(r"/api/v2/([a-z]+)/[a-z]{3}_([1-9][0-9]{0,15})", re.ASCII)


def forward_path(path: str, number: str) -> str:
    """The id of version 2 in a path like `/api/v1/orders/{id}`; "" when it is not valid."""
    kind = OF_PATH[path.removeprefix("/api/v1/").partition("/")[0]]
    return f"{kind}_{number}" if _NUMBER.fullmatch(number) else ""


def forward(draft: Draft) -> None:
    """Replace numbers by texts.

    Raises:
        Problem: one is not a number.
    """
    faults = []
    for path, node in objects(draft.body):
        for name in OF_FIELD.keys() & node.keys():
            value = node[name]
            if type(value) is int and 0 < value <= ids.NUMBER_MAX:
                node[name] = ids.public_id(OF_FIELD[name], value)
            elif value is not None:
                faults.append((pointer((*path, name)), "id", "must be a number such as 17"))
    refuse_body(faults)


def backward(answer: Any) -> None:
    """Replace texts by numbers."""
    for _, node in objects(answer):
        for name, value in node.items():
            if name == "id" or name.endswith("_id"):
                node[name] = _number(value)
            elif name == "orders" and isinstance(value, list):
                node[name] = [_number(item) for item in value]


def _number(value: Any) -> Any:
    found = _PUBLIC.fullmatch(value) if isinstance(value, str) else None
    return value if found is None else int(found[1])


def backward_location(location: str) -> str:
    """The version 1 path of a new resource."""
    return _LOCATION.sub(r"/api/v1/\1/\2", location)
