"""Values of order creation: the order, its limits, and the result."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from actors.values import frozen
from dispatch.domain.geo import Place
from dispatch.domain.money import Money
from dispatch.domain.order import Order, order_from


@frozen
class NewOrder:
    """New order of a customer. `lines` are (product number, quantity).

    Attributes:
        contact_name, contact_phone: contact at the drop-off; without a name: the customer.
        expected: total that the customer was shown; at another price the order is refused.
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
    """Limits that creations are checked with.

    Attributes:
        unpaid_orders, held_pieces: per customer: unpaid card orders, and pieces that they reserve.
        low_stock: a stock that falls to it is low, where the product names no limit of its own. 0: never.
    """

    unpaid_orders: int = 5
    held_pieces: int = 1000
    low_stock: int = 0


@frozen
class Placed:
    """Result of a creation: `code` is `created` or the refusal, `facts` are stored under the key."""

    code: str
    replayed: bool
    facts: Mapping[str, Any]
    made: Order | None = None

    @property
    def order(self) -> Order:
        """The order as created."""
        assert self.made is not None, "it was not"
        return self.made


def placed_from(answer: Mapping[str, Any]) -> Placed:
    """Make the result from the database's answer."""
    code, facts = answer["code"], answer["facts"]
    made = order_from(facts, ()) if code == "created" else None
    return Placed(code, bool(answer.get("replayed")), facts, made)
