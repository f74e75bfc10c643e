"""Locked rows in the store in memory."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from actors.errors import NotWritten
from actors.ports import Blocker
from storage.locking import blocker_of

Holder = tuple[int, str, str, str]


class Locks(dict[str, Holder]):
    """Pid, user, application and state of each row's holder, by the row's name ("driver 3", "product 2")."""

    def blocked(
        self, items: Sequence[Mapping[str, Any]], orders: Mapping[int, Mapping[str, Any]]
    ) -> list[Blocker | None]:
        """The lock that blocks each item, or None."""

        def find(key: str) -> tuple[str, int, str, str, str] | None:
            kind, _, number = key.partition(" ")
            lines = orders[int(number)]["items"] if kind == "restock" else ()
            names = [f"product {product}" for product, *_ in lines] or [key]
            return next(((name, *self[name]) for name in names if name in self), None)

        return [blocker_of(item, find) for item in items]

    def refuse(self, items: Sequence[Mapping[str, Any]], orders: Mapping[int, Mapping[str, Any]]) -> None:
        """Refuse a batch that needs a locked row.

        Raises:
            NotWritten: a row is locked.
        """
        if self and any(self.blocked(items, orders)):
            raise NotWritten("locked", locked=True)

    def refusal(self, request: Mapping[str, Any]) -> NotWritten | None:
        """The answer to a creation that needs a locked row, or None."""
        needed = {f"product {line['product']}" for line in request["lines"]} | {
            f"customer {request['customer']}"
        }
        return None if needed.isdisjoint(self) else NotWritten("locked", locked=True)
