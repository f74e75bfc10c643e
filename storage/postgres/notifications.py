"""Notifications of Postgres: LISTEN on a connection of its own, which is made again when it is lost.

A notification is a hint. Whoever waits for one also polls, so a lost hint costs a second.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any

import asyncpg

from storage.postgres.database import CONNECT_S, SERVER_SETTINGS

PAUSE_S_MIN, PAUSE_S_MAX = 0.2, 5.0
# A connection whose other end is gone says nothing for ever, so it is asked.
ASK_S = 10.0


async def listen(url: str, channels: Mapping[str, Callable[[], None]]) -> None:
    """Call a channel's function at each notification, until cancelled; all of them after each new connection."""
    pause_s = PAUSE_S_MIN
    while True:
        with suppress(asyncpg.PostgresError, asyncpg.InterfaceError, OSError, TimeoutError):
            await _listen_once(url, channels)
            pause_s = PAUSE_S_MIN
        await asyncio.sleep(pause_s)
        pause_s = min(PAUSE_S_MAX, pause_s * 2)


async def _listen_once(url: str, channels: Mapping[str, Callable[[], None]]) -> None:
    """Listen until the connection is lost."""
    connection: Any = await asyncpg.connect(
        url,
        timeout=CONNECT_S,
        command_timeout=CONNECT_S,
        server_settings=SERVER_SETTINGS | {"application_name": "mall listener"},
    )
    lost = asyncio.Event()
    connection.add_termination_listener(lambda _: lost.set())
    try:
        for channel, call in channels.items():
            await connection.add_listener(channel, lambda *_, call=call: call())
            call()
        while not lost.is_set():
            with suppress(TimeoutError):
                async with asyncio.timeout(ASK_S):
                    await lost.wait()
            if not lost.is_set():
                await connection.fetchval("SELECT 1")
    finally:
        connection.terminate()
