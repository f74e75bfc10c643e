"""Rows that somebody holds in the twin's store."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from actors.errors import NotWritten
from actors.ports import Blocker
from storage.locking import blocker_of

Holder = tuple[int, str, str, str]


class Locks(dict[str, Holder]):
    """Pid, user, application and state of who holds a row, by its name, such as "driver 3" or "product 2"."""

    def blocked(
        self, items: Sequence[Mapping[str, Any]], orders: Mapping[int, Mapping[str, Any]]
    ) -> list[Blocker | None]:
        """What stands in the way of each item."""

        def find(key: str) -> tuple[str, int, str, str, str] | None:
            kind, _, number = key.partition(" ")
            lines = orders[int(number)]["items"] if kind == "restock" else ()
            names = [f"product {product}" for product, *_ in lines] or [key]
            return next(((name, *self[name]) for name in names if name in self), None)

        return [blocker_of(item, find) for item in items]

    def refuse(self, items: Sequence[Mapping[str, Any]], orders: Mapping[int, Mapping[str, Any]]) -> None:
        """Let a batch through, or not.

        Raises:
            NotWritten: something stands in its way.
        """
        if self and any(self.blocked(items, orders)):
            raise NotWritten("locked", locked=True)

    def refusal(self, request: Mapping[str, Any]) -> NotWritten | None:
        """The answer to the creation of an order that must wait."""
        needed = {f"product {line['product']}" for line in request["lines"]} | {
            f"customer {request['customer']}"
        }
        return None if needed.isdisjoint(self) else NotWritten("locked", locked=True)
