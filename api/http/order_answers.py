"""Cache of serialized orders: a customer's app polls, and most polls find no change.

The bytes are kept with the `Order` object that they show, and orders are immutable: a new version, or an order that
was read again, is another object.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import orjson

from dispatch.domain.order import Order
from dispatch.domain.order_visibility import sees_all

# All answers together are 8 MB at most. An order with more items than usual is not kept.
KEPT_MAX = 2_048
KEPT_BYTES_MAX = 4_096


class OrderAnswers:
    """Cached answers by order and viewer; the oldest is evicted first.

    `serialize` makes the JSON of an order for a user of this role and number.
    """

    def __init__(self, serialize: Callable[[Order, str, int], Mapping[str, Any]]) -> None:
        self._serialize = serialize
        self._kept: dict[tuple[int, str], tuple[Order, bytes]] = {}

    def __len__(self) -> int:
        return len(self._kept)

    def order(self, order: Order, role: str, number: int) -> bytes:
        """The order as JSON for this user."""
        view = "carrier" if role == "driver" and sees_all(order, number) else role
        known = self._kept.get((order.id, view))
        if known is not None and known[0] is order:
            return known[1]
        body = orjson.dumps(self._serialize(order, role, number))
        self._kept.pop((order.id, view), None)
        if len(body) <= KEPT_BYTES_MAX:
            if len(self._kept) >= KEPT_MAX:
                del self._kept[next(iter(self._kept))]
            self._kept[order.id, view] = order, body
        return body
