"""One-use tickets for sockets: a browser cannot set headers on a WebSocket, and tokens in URLs get into logs."""

from __future__ import annotations

import orjson

from actors.clock import Randomness
from storage.errors import Unreachable
from storage.redis.client import FAILURES, Client
from storage.redis.keys import Keyspace

# Long enough to open a socket on a bad connection, too short to be worth stealing.
TICKET_S = 30


class Tickets:
    """Issues and redeems tickets of one cluster. Tickets of another cluster on the same server are invalid."""

    def __init__(self, client: Client, entropy: Randomness, keys: Keyspace) -> None:
        self._client = client
        self._cluster = keys.cluster
        self._base = keys.beginning("ticket")
        self._entropy = entropy

    async def issue(self, claims: dict[str, object]) -> str:
        """Issue a ticket for these claims, valid once and for TICKET_S.

        Raises:
            Unreachable: Redis is away; the bearer header works without it.
        """
        ticket = f"tkt_{self._entropy.token()}{self._entropy.token()}"
        try:
            await self._client.set(
                self._base + ticket, orjson.dumps({**claims, "cluster": self._cluster}), ex=TICKET_S
            )
        except FAILURES as error:
            raise Unreachable(type(error).__name__) from error
        return ticket

    async def redeem(self, ticket: str) -> dict[str, object] | None:
        """Redeem a ticket for its claims; None if it is unknown, expired or used.

        Raises:
            Unreachable: Redis does not answer.
        """
        try:
            found = await self._client.getdel(self._base + ticket)
        except FAILURES as error:
            raise Unreachable(type(error).__name__) from error
        if found is None:
            return None
        claims: dict[str, object] = orjson.loads(found)
        return claims if claims.pop("cluster", None) == self._cluster else None
