"""Connections that end leave nothing that waits for a collector: the whole round comes every five minutes, and by then
an attacker could have left a gigabyte.
"""

from __future__ import annotations

import asyncio
import gc
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import cast

import pytest

from api.feed.handshake import PROTOCOL
from config import metrics
from tests.acceptance.in_process.in_process_server import InProcessServer
from tests.support.waiting import turn, until

# Without origins, or no command would be answered in its connection's callback.
ENVIRON = {"MALL_CORS_ORIGINS": ""}
CLIENTS = 5
HALF_A_BODY = (
    b"POST /api/v2/auth/login HTTP/1.1\r\nHost: mall\r\nContent-Type: application/json\r\n"
    b"Content-Length: 60000\r\n\r\n"
)
DOCUMENT = b"GET /api/v2/openapi.json HTTP/1.1\r\nHost: mall\r\n\r\n"
NOT_A_LOGIN = HALF_A_BODY.replace(b"60000", b"2") + b"{}"


def _gauge(name: str, **labels: str) -> float:
    return metrics.REGISTRY.get_sample_value(name, labels) or 0.0


async def _dial(server: InProcessServer, data: bytes) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    reader, writer = await asyncio.open_connection("127.0.0.1", server.process.port)
    writer.write(data)
    return reader, writer


async def slow_body(server: InProcessServer) -> None:
    """Bodies of which nothing comes, until the server has had enough."""
    for reader, writer in [await _dial(server, HALF_A_BODY) for _ in range(CLIENTS)]:
        assert b" 408 " in await reader.read()
        writer.close()


async def broken_body(server: InProcessServer) -> None:
    """A client that is gone in the middle of its body."""
    _, writer = await _dial(server, HALF_A_BODY)
    await until(lambda: _gauge("mall_requests_in_flight"))
    writer.transport.abort()


async def unread_answer(server: InProcessServer) -> None:
    """A client that is gone while the rest of its answer waits for room."""
    reader, writer = await _dial(server, DOCUMENT)
    await reader.readexactly(100)
    cast(asyncio.Transport, writer.transport).pause_reading()
    for _ in range(100):
        await turn()
    writer.transport.abort()


async def refused(server: InProcessServer) -> None:
    """A request that is refused."""
    reader, writer = await _dial(server, NOT_A_LOGIN)
    assert b" 422 " in await reader.read(200)
    writer.close()


async def commands(server: InProcessServer) -> None:
    """Commands that are answered without a task: refused at the door, by the order's actor, and one unheard."""
    assert not server.services.settings.cors_origins
    command = (
        "POST /api/v2/orders/ord_999999999/acceptance HTTP/1.1\r\nHost: mall\r\nContent-Length: 0\r\n{}\r\n"
    )
    token = f"Authorization: Bearer {server.tokens['driver']}\r\n"
    reader, writer = await _dial(server, command.format("").encode())
    assert b" 401 " in await reader.read(2000)
    writer.write(command.format(token).encode())
    assert b" 404 " in await reader.read(2000)
    writer.write(command.format(token).encode())
    writer.transport.abort()


async def _dial_feed(server: InProcessServer) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """A driver's socket, past its welcome. A client of aiohttp would leave circles of its own."""
    upgrade = (
        f"GET /api/v2/drivers/feed HTTP/1.1\r\nHost: mall\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        f"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {'A' * 22}==\r\nSec-WebSocket-Protocol: {PROTOCOL}\r\n"
        f"Authorization: Bearer {server.tokens['driver']}\r\n\r\n"
    )
    reader, writer = await _dial(server, upgrade.encode())
    assert b" 101 " in await reader.readuntil(b"\r\n\r\n")
    writer.write(_masked(0x81, b'{"t": "hello"}'))
    assert b"welcome" in await reader.read(1000)
    return reader, writer


def _masked(kind: int, payload: bytes) -> bytes:
    """A short frame under the mask 0, which changes nothing."""
    return bytes([kind, 0x80 | len(payload), 0, 0, 0, 0]) + payload


async def driver_is_cut_off(server: InProcessServer) -> None:
    """A driver's socket that is gone without a word."""
    _, writer = await _dial_feed(server)
    writer.transport.abort()


async def driver_leaves(server: InProcessServer) -> None:
    """A driver's socket that is closed as it should be."""
    reader, writer = await _dial_feed(server)
    writer.write(_masked(0x88, b"\x03\xe8"))
    await reader.read()
    writer.close()


@contextmanager
def _collecting() -> Iterator[Counter[str]]:
    """What of ours, and of aiohttp's, only the collector would have found of what became garbage in the block."""
    found: Counter[str] = Counter()
    gc.collect()
    gc.disable()
    # From here on, for the instance collects by itself, ten times a second.
    gc.set_debug(gc.DEBUG_SAVEALL)
    try:
        yield found
        gc.collect()
        found.update(type(thing).__qualname__ for thing in gc.garbage if _is_ours(thing))
    finally:
        gc.set_debug(0)
        gc.garbage.clear()
        gc.enable()


def _is_ours(thing: object) -> bool:
    return type(thing).__module__.partition(".")[0] in ("aiohttp", "actors", "api", "dispatch", "storage")


# Its future keeps the error that keeps the frame that keeps the future.
until_collected = pytest.mark.fast_path(
    "an answer that waits for room keeps its request until it is collected"
)


@pytest.mark.parametrize(
    "kind",
    [
        slow_body,
        broken_body,
        pytest.param(unread_answer, marks=until_collected),
        refused,
        commands,
        driver_is_cut_off,
        driver_leaves,
    ],
)
async def test_connection_that_ends_leaves_nothing_to_the_collector(
    server: InProcessServer, kind: Callable[[InProcessServer], Awaitable[None]]
) -> None:
    await kind(server)  # what is made once is made now
    with _collecting() as found:
        # A driver has one socket; bodies may be slow all at once.
        for _ in range(1 if kind is slow_body else CLIENTS):
            await kind(server)
        await until(lambda: _gauge("mall_connections", port="public") <= 1)
        await until(lambda: not _gauge("mall_requests_in_flight"))
    assert not found
