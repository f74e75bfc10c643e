"""Listener: the connections of one port, and the sweep that closes connections over a limit."""

from __future__ import annotations

import asyncio
import itertools
from collections import deque
from collections.abc import Callable
from typing import Any

import structlog
from aiohttp import web

from api.transport.aiohttp_internals import options_of
from api.transport.connection import Connection
from api.transport.connection_limits import ConnectionCounts
from api.transport.fast_path import PROMPTS, FastPath
from api.transport.malformed import HEAD_LIMITS

log = structlog.get_logger()

SWEEP_S = 1.0
# The sweep takes a twentieth of the connections at a time: each closed one wakes its handler, and a thousand closed
# at once kept the loop for 20 ms and more.
PARTS = 20
# Time that one slice may keep the loop, and number of connections between two looks at the clock.
SLICE_S = 0.002
SLICE = 16


class ConnectionListener(web.Server):
    """aiohttp's `Server`, which makes our `Connection`s.

    Attributes:
        open: every connection until it is lost, closing ones included.
        visitors: connection counts by address.
        fresh_trace: makes a trace id.
        prompts: routes of the fast path.
    """

    def __init__(
        self,
        stock: web.Server,
        connection_counts: ConnectionCounts,
        fresh_trace: Callable[[], str],
        fast_path: FastPath | None = None,
    ) -> None:
        super().__init__(stock.request_handler, request_factory=stock.request_factory, **options_of(stock))
        self.fast_path = fast_path
        self.swept_at = self._loop.time()
        self.open: set[Connection] = set()
        self._parts: list[set[Connection]] = [set() for _ in range(PARTS)]
        self._turn = itertools.cycle(range(PARTS))
        self._lost: deque[Callable[[], None]] = deque()
        self.connection_counts = connection_counts
        self.fresh_trace = fresh_trace

    def __call__(self) -> Connection:
        return Connection(self, loop=self._loop, **self._kwargs)

    def enter(self, connection: Connection) -> int:
        """Register a new connection; returns the part of the sweep that it belongs to."""
        part = next(self._turn)
        self.open.add(connection)
        self._parts[part].add(connection)
        return part

    def leave(self, connection: Connection, part: int) -> None:
        """Remove a lost connection."""
        self.open.discard(connection)
        self._parts[part].discard(connection)

    def defer_close(self, end: Callable[[], None]) -> None:
        """Run the rest of a lost connection's end later, in order.

        When a network fails, thousands of sockets are lost in one turn of the loop. Without the delay, clients that
        reconnect would wait until the last session has ended: half a second for 10,000 (`make swarm SCENARIO=storm`).
        The queue is never longer than the number of connections that were open.
        """
        self._lost.append(end)
        if len(self._lost) == 1:
            self._loop.call_soon(self._close_some)

    def _close_some(self) -> None:
        # By count and not by the clock: the work that each one wakes runs later, and takes four times as long.
        for _ in range(min(SLICE, len(self._lost))):
            try:
                self._lost.popleft()()
            except Exception as error:
                log.error("failed_burial", exc_info=error)
        if self._lost:
            self._loop.call_soon(self._close_some)

    async def sweep(self) -> None:
        """Sweep all connections once a second, for ever."""
        due = self._loop.time()
        while True:
            for part in self._parts:
                # By the clock, otherwise each part would add the loop's lag to the second.
                due = max(due + SWEEP_S / PARTS, self._loop.time() - SWEEP_S)
                await asyncio.sleep(max(0.0, due - self._loop.time()))
                now = since = self.swept_at = self._loop.time()
                for number, connection in enumerate(tuple(part), 1):
                    try:
                        connection.sweep(now)
                    except Exception as error:
                        log.error("failed_sweep", exc_info=error)
                        connection.force_close()
                    if number % SLICE == 0 and self._loop.time() - since > SLICE_S:
                        await asyncio.sleep(0)
                        since = self._loop.time()


class Runner(web.AppRunner):
    """aiohttp's `AppRunner` with our listener and the limits of a head."""

    __slots__ = ("_connection_counts", "_fresh_trace", "listening")

    listening: ConnectionListener

    def __init__(
        self,
        app: web.Application,
        connection_counts: ConnectionCounts,
        fresh_trace: Callable[[], str],
        **options: Any,
    ) -> None:
        super().__init__(app, **HEAD_LIMITS, **options)
        self._connection_counts = connection_counts
        self._fresh_trace = fresh_trace

    def count_open(self) -> int:
        """Number of open connections."""
        return len(self.listening.open)

    async def sweep(self) -> None:
        """Close connections that are over a limit, for ever."""
        await self.listening.sweep()

    async def _make_server(self) -> web.Server:
        stock, fast_path = await super()._make_server(), self.app.get(PROMPTS)
        self.listening = ConnectionListener(stock, self._connection_counts, self._fresh_trace, fast_path)
        return self.listening
