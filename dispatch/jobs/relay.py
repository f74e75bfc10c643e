"""Relay: what commits have put into the outbox becomes events of the log, and jobs.

It reads the oldest rows, decides what they become (dispatch/jobs/events.py), and writes everything in one commit that
compares the end of the log with the one it read. So any number of relays may run: one of them wins each batch, and the
others read again. If a relay dies, its commit was made or was not.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Any

from actors.tracing import NO_TRACER, Span, SpanKind, SpanService, Tracer, is_recorded
from dispatch.jobs.events import Event, events_of, jobs_of
from dispatch.jobs.ports import OutboxStore, Relayed
from dispatch.jobs.tasks import NewJob
from storage.errors import StorageError

BATCH = 500
# Rows that nobody announced are found within this time: those of an instance that died after its commit.
POLL_S = 1.0
# From one batch to the next, so that rows gather while orders come fast. The first one after a rest does not wait.
GATHER_S = 0.02
PAUSE_S_MIN, PAUSE_S_MAX = 0.1, 2.0


class Relay:
    """Relay of one process.

    Args:
        following: the jobs that follow from an event.
        relayed: called with the number of rows of each batch.
        failed: called with each failed call of the store.
    """

    def __init__(
        self,
        store: OutboxStore,
        *,
        batch: int = BATCH,
        following: Callable[[Event], Sequence[NewJob]] = jobs_of,
        relayed: Callable[[int], None] = lambda _: None,
        failed: Callable[[StorageError], None] = lambda _: None,
        tracer: Tracer = NO_TRACER,
    ) -> None:
        # Set it after a commit that may have written rows.
        self.due = asyncio.Event()
        self._store = store
        self._batch = batch
        self._following = following
        self._relayed = relayed
        self._failed = failed
        self._tracer = tracer

    async def run(self) -> None:
        """Relay until cancelled. A batch that was under way then is relayed whole or not at all."""
        pause_s, loop = PAUSE_S_MIN, asyncio.get_running_loop()
        while True:
            began = loop.time()
            self.due.clear()
            try:
                if await self.relay_batch() == self._batch:
                    continue
            except StorageError as error:
                self._failed(error)
                await asyncio.sleep(pause_s)
                pause_s = min(PAUSE_S_MAX, pause_s * 2)
                continue
            pause_s = PAUSE_S_MIN
            with suppress(TimeoutError):
                async with asyncio.timeout(POLL_S):
                    await self.due.wait()
                    await asyncio.sleep(max(0.0, began + GATHER_S - loop.time()))

    async def relay_batch(self) -> int:
        """Relay the oldest rows; returns how many rows were read. Another relay may have been faster.

        Raises:
            StorageError: the store is away; nothing is lost.
        """
        rows = await self._store.outbox(self._batch)
        if not rows:
            return 0
        log_end: int = rows[0]["log_end"]
        events: list[dict[str, Any]] = []
        jobs: list[dict[str, Any]] = []
        spans: list[Span] = []
        for row in rows:
            for found in events_of(row):
                event = self._recorded(found, spans) if is_recorded(found.trace) else found
                events.append(event.item(log_end + len(events) + 1))
                jobs += (job.item(event.trace) for job in self._following(event))
        if await self._store.relay(log_end, Relayed([row["id"] for row in rows], events, jobs)):
            self._relayed(len(rows))
            for span in spans:
                span.end()
        return len(rows)

    def _recorded(self, event: Event, spans: list[Span]) -> Event:
        """Begin the span of an event whose trace is recorded; what follows from the event is caused by that. It leaves
        only if this relay wins the batch.
        """
        span = self._tracer.begin(SpanService.JOBS, f"relay {event.type}", event.trace, SpanKind.CONSUMER)
        spans.append(span)
        return replace(event, trace=span.trace)
