"""Figures of days, as they were computed last."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from dispatch.ports import QueryPool
from storage.postgres.list_queries import After

# Stands for the whole zone in the place of a store.
WHOLE_ZONE = 0


class DailyReports:
    """Pages of figures. Filters: day_from, day_to (both included), zone_id, store_id or driver_id."""

    def __init__(self, database: QueryPool) -> None:
        self._database = database

    async def figures(
        self, filters: Mapping[str, Any], sort: str, after: After | None, limit: int
    ) -> list[Any]:
        """Of zones; with a zone also of each of its stores; with a store of this alone."""
        found = dict(filters)
        if not found.keys() & {"zone_id", "store_id"}:
            found["store_id"] = WHOLE_ZONE
        return await self._database.page("daily_figures", found, sort, after, limit)

    async def cash(self, filters: Mapping[str, Any], sort: str, after: After | None, limit: int) -> list[Any]:
        """Of drivers: deliveries, pay and cash."""
        return await self._database.page("daily_cash", filters, sort, after, limit)
