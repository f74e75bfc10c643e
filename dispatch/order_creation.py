"""What a customer orders, within which bounds, and what became of it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from actors.values import frozen
from dispatch.domain.geo import Place
from dispatch.domain.money import Money
from dispatch.domain.order import Order, order_from


@frozen
class NewOrder:
    """What a customer orders; `lines` are (product number, quantity).

    Attributes:
        contact_name, contact_phone: whom to ask for at the door; no name: the customer.
        expected: what the customer thinks that it costs; another price refuses the order.
    """

    lines: tuple[tuple[int, int], ...]
    dropoff: Place
    address: str
    payment: str
    notes: str | None
    contact_name: str | None = None
    contact_phone: str | None = None
    expected: Money | None = None


@frozen
class Bounds:
    """What a customer may hold at once: card orders that are not paid, and pieces that others cannot buy meanwhile."""

    unpaid_orders: int = 5
    held_pieces: int = 1000


@frozen
class Placed:
    """What became of a new order: `code` is `created` or why not; `facts` what was stored under the key."""

    code: str
    replayed: bool
    facts: Mapping[str, Any]
    made: Order | None = None

    @property
    def order(self) -> Order:
        """The order as it was created."""
        assert self.made is not None, "it was not"
        return self.made


def placed_from(answer: Mapping[str, Any]) -> Placed:
    """What became of an order, as the database says it."""
    code, facts = answer["code"], answer["facts"]
    made = order_from(facts, ()) if code == "created" else None
    return Placed(code, bool(answer.get("replayed")), facts, made)
