"""Timers of orders in memory."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from actors.messages import ActorId


class DueOrders:
    """Reads due orders."""

    orders: dict[int, dict[str, Any]]

    async def due(
        self, shards: Sequence[int], from_ms: int, until_ms: int, limit: int
    ) -> list[tuple[ActorId, int]]:
        wanted = set(shards)
        found = [
            (row["due_ms"], number)
            for number, row in self.orders.items()
            if row["due_ms"] is not None and from_ms <= row["due_ms"] <= until_ms and row["shard"] in wanted
        ]
        return [(ActorId("order", number), due) for due, number in sorted(found)[:limit]]

    async def due_ahead(
        self, shards: Sequence[int], now_ms: int, limit: int
    ) -> list[tuple[ActorId, int, int]]:
        found = [
            (row["due_ms"], number, max(0, row["due_ms"] - row["updated_ms"]))
            for number, row in self.orders.items()
            if (row["due_ms"] or 0) > now_ms and row["updated_ms"] > now_ms + 5000 and row["shard"] in shards
        ]
        return [(ActorId("order", number), due, wait) for due, number, wait in sorted(found)[:limit]]
