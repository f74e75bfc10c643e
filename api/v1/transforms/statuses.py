"""Version 1 names the statuses of an order as customers' apps showed them."""

from __future__ import annotations

from typing import Any

from api.v1.transforms.tree import objects
from dispatch.domain.order import STATUSES

_OTHER = {
    "confirmed": "pending", "assigned": "accepted", "picked_up": "on_the_way", "undeliverable": "failed",
}  # fmt: skip
# Of version 2 to version 1, and back.
BACKWARD = {status: _OTHER.get(status, status) for status in STATUSES}
FORWARD = {old: new for new, old in BACKWARD.items()}


def backward(answer: Any) -> None:
    """The old names."""
    for _, node in objects(answer):
        for name in ("status", "order_status"):
            if isinstance(node.get(name), str):
                node[name] = BACKWARD.get(node[name], node[name])
