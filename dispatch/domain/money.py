"""Money: integer minor units and an ISO 4217 currency, never a float."""

from __future__ import annotations

from actors.values import frozen


@frozen
class Money:
    """An amount in minor units (cents) of a currency."""

    amount_minor: int
    currency: str

    def __add__(self, other: Money) -> Money:
        if other.currency != self.currency:
            raise ValueError("different currencies do not add up")
        return Money(self.amount_minor + other.amount_minor, self.currency)

    def times(self, quantity: int) -> Money:
        """This amount, `quantity` times."""
        return Money(self.amount_minor * quantity, self.currency)
