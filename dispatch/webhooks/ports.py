"""Ports of the sender: the store of endpoints, what sends a request, and what counts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

from dispatch.ports import Queries
from dispatch.webhooks.values import Answer, Batch, Filters, Message, Settlement, WebhookClaim


class WebhookQueries(Queries, Protocol):
    """Named queries of sql/webhooks.sql; Postgres and the twin in memory answer them."""

    async def value(self, name: str, *args: Any) -> Any:
        """The first column of the first row, or None."""


class WebhookStore(Protocol):
    """Endpoints and the log. Methods raise StorageError: see storage/errors.py."""

    async def begin(self) -> None:
        """End the leases of former processes of this sender: they have died."""

    async def claim(self, count_max: int, failing_max: int, lease_s: float) -> Sequence[WebhookClaim]:
        """Claim due endpoints, at most `failing_max` of them with failures."""
        ...

    async def read(self, filters: Filters, after: int, upto: int | None, count_max: int) -> Batch:
        """Events after a position, up to another one (None: to the end), that pass the filters."""
        ...

    async def settle(self, items: Sequence[Settlement], lease_s: float) -> frozenset[int]:
        """Store what claims have done, in one commit. Returns the endpoints whose claim still holds."""
        ...


class Post(Protocol):
    """Sends requests to receivers."""

    async def send(self, message: Message) -> Answer | None:
        """Send a message. It raises nothing and ends within its own deadline.

        None: the receiver's host has as many requests as it may; nothing was sent.
        """
        ...


class Observer(Protocol):
    """Counts what the sender does."""

    def attempted(self, answer: Answer) -> None: ...

    def ended(self, endpoint: int, why: str) -> None:
        """An endpoint was disabled."""

    def failed(self, what: str, error: Exception) -> None:
        """A call of the store has failed; it is repeated."""
