"""The check of tokens in every peer, the same as in our own server, its cache included."""

from __future__ import annotations

import argparse
import asyncio
from dataclasses import dataclass

from actors.clock import LoopClock, SystemRandomness
from api.auth.access_tokens import BadToken, Principal, Tokens
from api.operator.first_run import load_keys
from dispatch.credentials import Credentials
from storage.postgres.database import open_database

# The pool of the original plan.
POOL_SIZE = 20


@dataclass(frozen=True, slots=True)
class PeerAddress:
    """Where a peer listens and where its tables are."""

    port: int
    database_url: str
    schema: str


class PeerRefusal(Exception):
    """An answer other than 200; `status` and `code` are what the client gets."""

    def __init__(self, status: int, code: str) -> None:
        super().__init__(code)
        self.status = status
        self.code = code


def parse_address() -> PeerAddress:
    """The place on the command line of a peer's process."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--database-url", required=True)
    parser.add_argument("--schema", required=True)
    options = parser.parse_args()
    return PeerAddress(options.port, options.database_url, options.schema)


def load_tokens(database_url: str) -> Tokens:
    """The verifier, with the keys that the server signs with."""

    async def load() -> Tokens:
        clock = LoopClock(asyncio.get_running_loop())
        async with open_database(database_url, size_max=2) as database:
            clock.anchor(float(await database.value("wall_clock")))
            tokens = Tokens(await load_keys(Credentials(database)), clock, SystemRandomness())
            tokens.shut_out((), (), float("inf"))  # here nobody is cut off
            return tokens

    return asyncio.run(load())


def caller(tokens: Tokens, authorization: str | None, role: str) -> Principal:
    """Who calls.

    Raises:
        PeerRefusal: nobody known, or not of this role.
    """
    scheme, _, token = (authorization or "").partition(" ")
    if scheme.lower() != "bearer":
        raise PeerRefusal(401, "unauthenticated")
    try:
        principal = tokens.verify(token)
    except BadToken:
        raise PeerRefusal(401, "unauthenticated") from None
    if principal.role != role:
        raise PeerRefusal(403, "forbidden")
    return principal


def order_number(text: str) -> int:
    """`ord_17` is 17.

    Raises:
        PeerRefusal: it is no order's id.
    """
    number = text.removeprefix("ord_")
    if not number.isdigit():
        raise PeerRefusal(404, "order_not_found")
    return int(number)
