"""Effects of a turn: tells, frames, reads and timers, carried out after the commit."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from actors.behaviour import Done
from actors.cell import Cell
from actors.cell_table import CellTable
from actors.errors import JournalError
from actors.messages import ActorId, Query, QueryAnswer, QueryFailed, Wake
from actors.ports import Emitter, Journal
from actors.router import Router
from actors.timers import Timers
from actors.tracing import RUNNING_TRACE

QUERIES_MAX = 16
QUERY_TRIES = 5


class Effects:
    """Carries out the effects of the turns of one instance."""

    def __init__(
        self,
        *,
        journal: Journal,
        emitter: Emitter,
        cells: CellTable,
        router: Router,
        timers: Timers,
        log: Callable[..., None],
        computed: Mapping[str, Callable[..., Awaitable[Any]]],
    ) -> None:
        self._journal = journal
        self._computed = computed
        self._emitter = emitter
        self._cells = cells
        self._router = router
        self._timers = timers
        self._log = log
        self._loop: asyncio.AbstractEventLoop | None = None
        self._tasks: asyncio.TaskGroup | None = None
        self._queries = asyncio.Semaphore(QUERIES_MAX)

    def start(self, tasks: asyncio.TaskGroup) -> None:
        """Run reads as tasks of this group from now on."""
        self._loop = asyncio.get_running_loop()
        self._tasks = tasks

    def carry_out(self, cell: Cell, done: Done, trace: str) -> None:
        """Carry out all effects of a turn: all but its reply and its state."""
        for tell in done.tells:
            told = trace if tell.trace is None else tell.trace
            self._router.tell(tell.to, tell.message, trace=told, latest=tell.latest)
        for emit in done.emits:
            self._emitter.emit(emit, trace)
        for query in done.queries:
            assert self._tasks is not None, "the runtime is not running"
            self._tasks.create_task(self._read(cell.id, query, trace), name=f"read {query.name}")
        if done.due_ms is not None:
            self._timers.arm(cell.id, done.due_ms)
        if done.wake_s is not None and self._loop is not None:
            self._loop.call_later(done.wake_s, self._wake, cell, done.wake, trace)

    def _wake(self, cell: Cell, tag: str, trace: str) -> None:
        if self._cells.is_current(cell):
            self._router.tell(cell.id, Wake(tag), trace=trace, latest=f"wake:{tag}")

    async def _read(self, to: ActorId, query: Query, trace: str) -> None:
        """Run a query and tell the actor its result, or `QueryFailed` after some tries."""
        RUNNING_TRACE.set(trace)
        async with self._queries:
            for tries in range(QUERY_TRIES):
                try:
                    compute = self._computed.get(query.name)
                    if compute is not None:
                        result = await compute(*query.params)
                    else:
                        result = await self._journal.read(query)
                    self._router.tell(to, QueryAnswer(query, result), trace=trace)
                    return
                except JournalError:
                    await asyncio.sleep(0.1 * 2**tries)
                except Exception as error:  # noqa: BLE001 - one bad read must not end the instance
                    self._log("failed_read", actor=str(to), query=query.name, exc_info=error)
                    break
        self._log("gave_up_read", actor=str(to), query=query.name)
        self._router.tell(to, QueryFailed(query), trace=trace)
