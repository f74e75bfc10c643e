"""Order creation: one call of create_orders() for all waiting requests.

Order ids come from a sequence in blocks, because the shard follows from the id and is computed here. A crash loses the
rest of a block, which is never reused.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from time import perf_counter
from typing import Any

from actors.errors import JournalError, NotWritten, Unanswered
from actors.messages import ActorId
from actors.shards import shard_of
from storage.errors import Locked, NotDone, StorageError, Unreachable
from storage.postgres.database import Database

# At 2,000 orders a second a block lasts a quarter of a second. A restart loses at most this many ids.
ID_BLOCK = 500


# Tries of a batch that meets a lock whose holder is not found.
LOCK_TRIES = 2
# For this long a locked row is checked before it is used again.
SUSPECT_S = 30.0


class OrderPlacer:
    """Creates batches of orders, for a Batcher.

    Args:
        log: called with the holder of a lock that a batch has waited for.
        monotonic: seconds that never go back.
        wrote: called after each commit.
    """

    def __init__(
        self,
        database: Database,
        log: Callable[..., None] = lambda *_, **__: None,
        monotonic: Callable[[], float] = perf_counter,
        wrote: Callable[[], None] = lambda: None,
    ) -> None:
        self._database = database
        self._log = log
        self._monotonic = monotonic
        self._wrote = wrote
        self._ids: deque[int] = deque()
        self._suspect_until = 0.0

    async def place(self, requests: Sequence[dict[str, Any]]) -> list[Any]:
        """Create orders; one answer per request, in order: `{code, facts, replayed}`, or NotWritten if another session
        holds a row that it needs.

        Idempotent by (customer, route, key): an unanswered call may be repeated.

        Raises:
            NotWritten, Unanswered: see actors/errors.py.
        """
        try:
            return await self._place(requests)
        except Unreachable as error:
            raise Unanswered(str(error), sent=not isinstance(error, NotDone)) from None
        except StorageError as error:
            raise NotWritten(str(error)) from None

    async def _place(self, requests: Sequence[dict[str, Any]]) -> list[dict[str, Any] | JournalError]:
        held: dict[int, JournalError] = {}
        if self._monotonic() < self._suspect_until:
            held = await self._blocked(requests)
        for _ in range(LOCK_TRIES):
            free = [request for at, request in enumerate(requests) if at not in held]
            try:
                made = iter(await self._create(free) if free else ())
            except Locked:
                held = await self._blocked(requests)
            else:
                return [held[at] if at in held else next(made) for at in range(len(requests))]
        raise NotWritten("locked", locked=True)

    async def _create(self, requests: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
        while len(self._ids) < len(requests):
            rows = await self._database.rows("take_order_ids", ID_BLOCK)
            self._ids.extend(row[0] for row in rows)
        items = [self._numbered(request) for request in requests]
        made = await self._database.value("create_orders", items)
        self._wrote()
        return list(made)

    async def _blocked(self, requests: Sequence[dict[str, Any]]) -> dict[int, JournalError]:
        """Requests that need a locked row, by index. The first lock is logged once."""
        products = sorted({line["product"] for request in requests for line in request["lines"]})
        customers = sorted({request["customer"] for request in requests})
        rows = await self._database.rows("creation_blockers", products, customers)
        now = self._monotonic()
        if rows and now >= self._suspect_until:
            self._log(
                "blocked_creation",
                row=rows[0]["held"],
                holder_pid=rows[0]["pid"],
                holder_user=rows[0]["username"],
                holder_application=rows[0]["application"],
                holder_state=rows[0]["state"],
            )
        if rows:
            self._suspect_until = now + SUSPECT_S
        keys = {row["key"] for row in rows}
        return {
            at: NotWritten("locked", locked=True)
            for at, request in enumerate(requests)
            if not keys.isdisjoint(_needs(request))
        }

    def _numbered(self, request: dict[str, Any]) -> dict[str, Any]:
        number = self._ids.popleft()
        request["id"], request["shard"] = number, shard_of(ActorId("order", number))
        return request


def _needs(request: dict[str, Any]) -> list[str]:
    """Rows that the creation of an order locks, as `creation_blockers` names them."""
    return [
        "table",
        f"customer {request['customer']}",
        *(f"product {line['product']}" for line in request["lines"]),
    ]
