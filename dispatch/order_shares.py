"""Share links of orders: who knows a link's secret follows the order without an account.

The database keeps no secret, only its hash. A secret is found by its hash, so how long that takes tells nothing of it.
"""

from __future__ import annotations

import re
from base64 import urlsafe_b64encode
from collections.abc import Mapping
from hashlib import sha256

from actors.clock import Randomness
from actors.values import frozen
from dispatch.ports import QueryPool

# Limit of links of an order; the table has as many slots.
SHARES_MAX = 5
# How long a link outlives its order.
OUTLIVES_S = 2 * 3600
SECRET_BYTES = 16
SECRET_CHARS = 22
_SECRET = re.compile(r"[A-Za-z0-9_-]{22}", re.ASCII)


@frozen
class SharedOrder:
    """Order that a secret leads to.

    Attributes:
        times: when each step was last reached, in milliseconds, by the type of its event.
    """

    order_id: int
    times: Mapping[str, int]


class OrderShares:
    """The share links of all orders."""

    def __init__(self, database: QueryPool, entropy: Randomness) -> None:
        self._database = database
        self._entropy = entropy

    async def add(self, order_id: int) -> str | None:
        """Make a link for an order. Returns its secret, which nobody can read later; None: the order has too many."""
        drawn = bytes.fromhex(self._entropy.token())[:SECRET_BYTES]
        secret = urlsafe_b64encode(drawn).rstrip(b"=").decode()
        slot = await self._database.value("order_share_add", order_id, _digest(secret), SHARES_MAX)
        return None if slot is None else secret

    async def revoke(self, order_id: int) -> None:
        """Revoke all links of an order."""
        await self._database.value("order_shares_revoke", order_id)

    async def find(self, secret: str) -> SharedOrder | None:
        """The order of a secret; None if there is no such link, or no longer."""
        if _SECRET.fullmatch(secret) is None:
            return None
        row = await self._database.row("order_share_find", _digest(secret), float(OUTLIVES_S))
        return None if row is None else SharedOrder(row["order_id"], row["times"])


def _digest(secret: str) -> bytes:
    return sha256(secret.encode()).digest()
