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
        deliver_ms: when the customer wants it; None: as soon as possible.
        tip_minor: tip for the driver, part of the total.
        pin: the driver must say a PIN to deliver.
    """

    lines: tuple[tuple[int, int], ...]
    dropoff: Place
    address: str
    payment: str
    notes: str | None
    contact_name: str | None = None
    contact_phone: str | None = None
    expected: Money | None = None
    deliver_ms: int | None = None
    tip_minor: int = 0
    pin: bool = False

    def wish(self) -> dict[str, Any] | None:
        """What the customer asks for beside the goods, as create_orders() takes it; None: nothing."""
        if self.deliver_ms is None and not self.tip_minor and not self.pin:
            return None
        return {"deliver_ms": self.deliver_ms, "tip_minor": self.tip_minor, "pin": self.pin}


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
