"""Transform of an order's status: version 1 has the names that customers' apps showed."""

from __future__ import annotations

from typing import Any

from api.v1.transforms.tree import objects
from dispatch.domain.order import STATUSES

_OTHER = {
    "confirmed": "pending", "assigned": "accepted", "picked_up": "on_the_way", "undeliverable": "failed",
}  # fmt: skip
# From version 2 to version 1.
BACKWARD = {status: _OTHER.get(status, status) for status in STATUSES}
FORWARD = {old: new for new, old in BACKWARD.items()}


def backward(answer: Any) -> None:
    """Replace statuses by version 1's names."""
    for _, node in objects(answer):
        for name in ("status", "order_status"):
            if isinstance(node.get(name), str):
                node[name] = BACKWARD.get(node[name], node[name])
