"""Redis client with short timeouts, and the meaning of its errors.

By default redis-py repeats a command ten times with growing pauses: a dead server would cost each request four seconds.
This client gives up within a fifth of a second, because each use of Redis has a fallback.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import ExponentialBackoff
from redis.exceptions import (
    AuthenticationError,
    AuthorizationError,
    BusyLoadingError,
    NoPermissionError,
    ReadOnlyError,
    RedisError,
)

from actors.values import frozen
from storage.errors import Unreachable

TIMEOUT_S = 0.2

# Errors of a command when the server or the connection fails. uvloop raises RuntimeError ("the handler is closed") for
# a write to a connection that was just reset.
FAILURES = (RedisError, OSError, TimeoutError, RuntimeError)

Client = Redis


@asynccontextmanager
async def open_redis(url: str) -> AsyncIterator[Client]:
    """Open a client for commands. It connects when first used, so that an instance also starts without Redis."""
    client: Client = Redis.from_url(
        url,
        socket_timeout=TIMEOUT_S,
        socket_connect_timeout=TIMEOUT_S,
        retry=Retry(ExponentialBackoff(cap=0.05, base=0.01), 1),
        max_connections=32,
    )
    try:
        yield client
    finally:
        await client.aclose()


async def ping(client: Client) -> None:
    """Ping the server. Raises Unreachable with the reason."""
    try:
        await client.ping()
    except FAILURES as error:
        raise Unreachable(reason_of(error).text) from error


@frozen
class Reason:
    """Reason of a failure, in an operator's words, without secrets."""

    text: str
    remedy: str


def reason_of(error: BaseException) -> Reason:
    """Make the reason of a failure. A refusal repeats at each try; an absent server may return."""
    # The asynchronous client wraps errors of the handshake into a ConnectionError without a text.
    while isinstance(error.__cause__ or error.__context__, RedisError):
        error = error.__cause__ or error.__context__ or error
    if isinstance(error, AuthenticationError | AuthorizationError) or "NOAUTH" in str(error):
        # redis-py distinguishes the two by the server's text only.
        if any(sign in str(error) for sign in ("NOAUTH", "uthentication required", "HELLO must be called")):
            return Reason("authentication: it asks for a password", "put its password into REDIS_URL")
        return Reason(
            "authentication: it refuses the user or the password", "correct the password in REDIS_URL"
        )
    if isinstance(error, NoPermissionError):
        return Reason(
            "its user lacks a permission (NOPERM)",
            "allow the user of REDIS_URL all keys and all commands but the dangerous ones:\n"
            "ACL SETUSER <user> on ~* &* +@all -@dangerous +info",
        )
    if isinstance(error, ReadOnlyError):
        return Reason("it is a replica and takes no changes", "point REDIS_URL at the primary")
    if isinstance(error, BusyLoadingError):
        return Reason("it is still loading its data", "wait until it has")
    if "OOM" in str(error):
        return Reason("its memory is full", "raise its maxmemory")
    if "MISCONF" in str(error):
        return Reason("it cannot save to its disk and takes no changes (MISCONF)", "make room on its disk")
    if isinstance(error, TimeoutError) or "Timeout" in type(error).__name__:
        return Reason("it does not answer in time", "start it, or correct REDIS_URL")
    return Reason(f"it cannot be reached ({type(error).__name__})", "start it, or correct REDIS_URL")
