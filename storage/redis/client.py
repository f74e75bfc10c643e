"""The Redis client.

redis-py's defaults repeat a command ten times with growing pauses: a dead server would cost each request
four seconds (measured). Ours gives up within a fifth of a second, because everything in Redis has a
fallback.
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

# Whatever a command may fail with when the server or the way to it does. uvloop says RuntimeError ("the
# handler is closed") where one writes to a connection that was reset a moment ago.
FAILURES = (RedisError, OSError, TimeoutError, RuntimeError)

Client = Redis


@asynccontextmanager
async def open_redis(url: str) -> AsyncIterator[Client]:
    """A client for commands. Connects when first used: an instance starts without Redis, too."""
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
    """Answer, or raise Unreachable, which says why."""
    try:
        await client.ping()
    except FAILURES as error:
        raise Unreachable(reason_of(error).text) from error


@frozen
class Reason:
    """Why Redis does not do what it is asked, in an operator's words; holds no secret."""

    text: str
    remedy: str


def reason_of(error: BaseException) -> Reason:
    """What a failure means. Who is refused hears the same at every try, whoever is not there may come."""
    # The asynchronous client wraps what the greeting met into a ConnectionError that says nothing.
    while isinstance(error.__cause__ or error.__context__, RedisError):
        error = error.__cause__ or error.__context__ or error
    if isinstance(error, AuthenticationError | AuthorizationError) or "NOAUTH" in str(error):
        # redis-py tells the two apart by the server's text only.
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
