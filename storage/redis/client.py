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
from redis.exceptions import RedisError

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
    """Answer, or raise Unreachable."""
    try:
        await client.ping()
    except FAILURES as error:
        raise Unreachable(type(error).__name__) from error
