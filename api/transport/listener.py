"""The connections of one port, and the sweep that ends those which take too long."""

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
# A twentieth of the connections at a time: each that ends wakes its handler, and those of a thousand at once kept
# the loop for 20 ms and more.
PARTS = 20
# So long it may keep the loop; so many connections are looked at, or ended, between two looks at the clock.
SLICE_S = 0.002
SLICE = 16


class ConnectionListener(web.Server):
    """The `Server` of aiohttp with connections of ours.

    Attributes:
        open: every connection until it is lost, also those that close already.
        visitors: the same by address.
        fresh_trace: makes a trace id.
        prompts: what is answered without a task.
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
        """A new connection; returns which part of the sweep it belongs to."""
        part = next(self._turn)
        self.open.add(connection)
        self._parts[part].add(connection)
        return part

    def leave(self, connection: Connection, part: int) -> None:
        """A connection that is lost."""
        self.open.discard(connection)
        self._parts[part].discard(connection)

    def defer_close(self, end: Callable[[], None]) -> None:
        """Have the rest of a lost connection done in its turn.

        When a network fails, thousands of sockets are lost in one turn of the loop, and those that come back at once
        would wait until the last session has ended: half a second for 10,000 (`make swarm SCENARIO=storm`).
        What waits is no more than the connections that were open.
        """
        self._lost.append(end)
        if len(self._lost) == 1:
            self._loop.call_soon(self._bury_some)

    def _bury_some(self) -> None:
        # By number and not by the clock: what each one wakes comes after it, and takes four times as long.
        for _ in range(min(SLICE, len(self._lost))):
            try:
                self._lost.popleft()()
            except Exception as error:
                log.error("failed_burial", exc_info=error)
        if self._lost:
            self._loop.call_soon(self._bury_some)

    async def sweep(self) -> None:
        """Look at every connection once a second, for ever."""
        due = self._loop.time()
        while True:
            for part in self._parts:
                # By the clock, or each part would add the loop's lag to the second.
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
    """An `AppRunner` whose connections are ours, with the limits of a head."""

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
        """How many connections are open."""
        return len(self.listening.open)

    async def sweep(self) -> None:
        """End connections that take too long, for ever."""
        await self.listening.sweep()

    async def _make_server(self) -> web.Server:
        stock, fast_path = await super()._make_server(), self.app.get(PROMPTS)
        self.listening = ConnectionListener(stock, self._connection_counts, self._fresh_trace, fast_path)
        return self.listening
