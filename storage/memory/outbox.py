"""Rows of the outbox in memory: what `outbox_due` in storage/postgres/sql/jobs.sql reads, complete when it is written.

Postgres joins the facts when the relay reads them. They do not change, so here they are taken at the commit.
"""

from __future__ import annotations

from collections.abc import Mapping
from copy import deepcopy
from typing import Any

# Events of an order's history that go to the outbox. flush() has the same names, and dispatch/jobs/events.py; a test
# compares all three.
OUTBOX_EVENTS = frozenset(
    {
        "created", "paid", "assigned", "handed_over", "released", "picked_up", "delivered", "cancelled", "failed",
        "returned",
    }
)  # fmt: skip
_FACTS = ("zone_id", "customer_id", "total_minor", "currency", "payment", "driver_pay_minor")


class MemoryOutbox:
    """Keeps the rows of changes that others want to know.

    Attributes:
        rows: oldest first. The relay's twin (storage/memory/jobs.py) takes them from here.
    """

    def __init__(self) -> None:
        self.rows: list[dict[str, Any]] = []
        self._last = 0

    def put_order(
        self,
        order: Mapping[str, Any],
        event: Mapping[str, Any],
        at_ms: int,
        *,
        reason: str | None = None,
        data: Any = None,
    ) -> None:
        """Note a change of an order: its row after the change, and the event of its history."""
        if event["type"] not in OUTBOX_EVENTS:
            return
        self._last += 1
        row = {
            "id": self._last,
            "topic": "order",
            "ref": order["id"],
            "version": event["version"],
            "data": None,
            "trace": event["trace"],
            "at_ms": at_ms,
            "event": event["type"],
            "actor_role": event["actor_role"],
            "actor_id": event["actor_id"],
            "reason": reason,
            "event_data": deepcopy(data),
            "order_id": order["id"],
            "pickups": deepcopy(order["pickups"]),
            "store_id": None,
            "product_name": None,
            "product_zone_id": None,
        }
        self.rows.append(row | {name: order[name] for name in _FACTS})
