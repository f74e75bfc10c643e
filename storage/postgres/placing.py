"""Placing orders: one server-side call for all that are waiting.

Order ids come from a sequence in blocks, because the shard is a function of the id and is computed here;
a crash loses the rest of a block, never reuses it.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import Any

from actors.errors import NotWritten, Unanswered
from actors.messages import ActorId
from actors.shards import shard_of
from storage.errors import NotDone, StorageError, Unreachable
from storage.postgres.database import Database

# At 2,000 orders a second one block lasts a quarter of a second; a restart wastes at most this many.
ID_BLOCK = 500


class OrderPlacer:
    """`create_orders` for batches; to be put behind a Batcher."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._ids: deque[int] = deque()

    async def place(self, requests: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
        """Create orders; one answer per request, in order: `{code, facts, replayed}`.

        Idempotent by (customer, route, key): a call that was not answered may be repeated.

        Raises:
            NotWritten, Unanswered: see actors/errors.py.
        """
        try:
            while len(self._ids) < len(requests):
                rows = await self._database.rows("take_order_ids", ID_BLOCK)
                self._ids.extend(row[0] for row in rows)
            items = [self._numbered(request) for request in requests]
            answers = await self._database.value("create_orders", items)
        except Unreachable as error:
            raise Unanswered(str(error), sent=not isinstance(error, NotDone)) from None
        except StorageError as error:
            raise NotWritten(str(error)) from None
        return list(answers)

    def _numbered(self, request: dict[str, Any]) -> dict[str, Any]:
        number = self._ids.popleft()
        return {**request, "id": number, "shard": shard_of(ActorId("order", number))}
