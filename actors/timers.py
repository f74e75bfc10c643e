"""Durable timers: due times in actors' rows, polled and fired.

A timer is a due time in the actor's row, written in the same commit as the state, so no crash loses one. The owner
polls the due rows of its shards once a second and keeps near ones in a heap; a commit that sets a near timer adds it at
once. A timer fires as an ordinary message with the due time, and an actor whose timer has another time by now ignores
it. Overdue timers fire once after a takeover, at most `BURST` a second.

The journal's clock may be set. A timer that was written while the clock was an hour ahead would be due an hour late. So
rows whose last change lies in the future are searched after a step and once a minute, and fire after the time that they
were meant to wait.
"""

from __future__ import annotations

import asyncio
import heapq
from collections.abc import Callable, Set
from dataclasses import replace
from typing import Any

from actors.behaviour import Done
from actors.cell_table import CellTable
from actors.clock import Clock, Randomness, now_ms_of
from actors.counters import Counters
from actors.errors import JournalError
from actors.messages import ActorId, Due, Envelope
from actors.ports import Journal
from actors.router import Router
from actors.shards import shard_of

POLL_S = 1.0
# Rows due within this time are fetched ahead: twice the poll, so that one failed poll delays no timer.
HORIZON_S = 2.0
# Limit of timers fired per poll: after a takeover, the overdue offers of a mall must not delay live traffic.
BURST = 500
# A fired timer that its actor leaves in place is not fired again while it is remembered here.
FIRED_MAX = 200_000
BUDGET_S = 10.0
# A poll begins this long before the last successful one, because a row may be committed some seconds after its due
# time. Every WHOLE_EVERY polls, a whole one finds rows that were missed.
LOOK_BACK_S = 5.0
WHOLE_EVERY = 60


class Timers:
    """Near timers of this instance."""

    def __init__(
        self,
        *,
        journal: Journal,
        clock: Clock,
        entropy: Randomness,
        counters: Counters,
        cells: CellTable,
        router: Router,
        log: Callable[..., None],
    ) -> None:
        self._journal = journal
        self._clock = clock
        self._entropy = entropy
        self._counters = counters
        self._cells = cells
        self._router = router
        self._log = log
        self._heap: list[tuple[int, ActorId, int]] = []  # time to fire, actor, and the due time in its row
        self._armed: dict[ActorId, int] = {}
        self._fired: dict[ActorId, int] = {}
        self._changed = asyncio.Event()
        self._polls = 0
        self._read_ms = 0

    def __len__(self) -> int:
        return len(self._armed)

    def arm(self, actor: ActorId, due_ms: int) -> None:
        """Arm a timer if it is near. A later poll finds a far one."""
        if due_ms > now_ms_of(self._clock) + HORIZON_S * 1000:
            if self._armed.get(actor) != due_ms:
                self._armed.pop(actor, None)
            return
        self._arm(actor, due_ms, due_ms)

    def _arm(self, actor: ActorId, due_ms: int, fire_ms: int) -> None:
        if self._armed.get(actor) == due_ms or self._fired.get(actor) == due_ms:
            return
        self._armed[actor] = due_ms
        heapq.heappush(self._heap, (fire_ms, actor, due_ms))
        self._changed.set()

    def without_echo(self, actor: ActorId, done: Done, now_ms: int) -> Done:
        """Effects of a new actor's activation without its first timer, if they stay on this instance.

        A new row is due at once, so that the actor tells its zone even if no message activates it. An actor that was
        activated and told a zone of this instance need not do so again.
        """
        owned = self._cells.owned
        is_due = done.due_ms is not None and done.due_ms <= now_ms
        if not is_due or any(owned[shard_of(tell.to)] is None for tell in done.tells):
            return done
        self.settle(actor, done.due_ms or 0)
        return replace(done, due_ms=None)

    def settle(self, actor: ActorId, due_ms: int) -> None:
        """Remember that a timer has done its work, so that it is not fired again."""
        if len(self._fired) >= FIRED_MAX:
            self._fired.clear()
        self._fired[actor] = due_ms

    def forget(self, shards: Set[int]) -> None:
        """Forget armed and fired timers of shards that were just claimed; the next poll reads them again."""
        for memory in (self._armed, self._fired):
            for actor in [actor for actor in memory if shard_of(actor) in shards]:
                del memory[actor]
        self._polls = 0

    async def run_poll(self) -> None:
        """Poll due rows once a second until cancelled. Retries when the journal is away."""
        while True:
            shards = self._cells.held()
            if shards:
                try:
                    await self._anchor()
                    await self._poll(shards)
                except Exception as error:  # noqa: BLE001 - the next poll is the cure
                    if not isinstance(error, JournalError):
                        self._log("failed_poll", exc_info=error)
            await asyncio.sleep(POLL_S)

    async def _anchor(self) -> None:
        """Read the journal's clock. After a step of it, all armed timers are read again."""
        clock = self._clock
        asked_at = clock.monotonic()
        wall_s = await self._journal.wall()
        step_s = clock.anchor(wall_s, clock.monotonic() - asked_at)
        if step_s:
            self._counters.clock_steps += 1
            self._log("stepped_clock", step_s=round(step_s, 3))
            self._armed.clear()
            self._heap.clear()
            self._polls = 0

    async def _poll_ahead(self, shards: list[int]) -> None:
        """Arm timers that were written while the clock was ahead."""
        now_ms = now_ms_of(self._clock)
        for actor, due_ms, wait_ms in await self._journal.due_ahead(shards, now_ms, BURST):
            self._arm(actor, due_ms, now_ms + wait_ms)

    async def _poll(self, shards: list[int]) -> None:
        """Arm due timers. Timers that were fired and left in place are not read every second."""
        now_ms = now_ms_of(self._clock)
        whole = self._polls % WHOLE_EVERY == 0
        since_ms = 0 if whole else int(self._read_ms - LOOK_BACK_S * 1000)
        until_ms = int(now_ms + HORIZON_S * 1000)
        limit = BURST + len(self._fired)
        rows = await self._journal.due(shards, since_ms, until_ms, limit)
        fresh = [row for row in rows if self._fired.get(row[0]) != row[1]]
        if whole:
            await self._poll_ahead(shards)
        if len(fresh) <= BURST:
            self._read_ms = now_ms
        for actor, due_ms in fresh[:BURST]:
            self.arm(actor, due_ms)
        if not whole or len(fresh) <= BURST:
            self._polls += 1  # a backlog needs whole polls

    async def run_fire(self) -> None:
        """Fire due timers until cancelled."""
        while True:
            wait_s = self._fire()
            self._changed.clear()
            try:
                async with asyncio.timeout(wait_s):
                    await self._changed.wait()
            except TimeoutError:
                continue

    def _fire(self) -> float:
        """Fire due timers. Returns the seconds to sleep."""
        now_ms = now_ms_of(self._clock)
        while self._heap and self._heap[0][0] <= now_ms:
            fire_ms, actor, due_ms = heapq.heappop(self._heap)
            if self._armed.get(actor) != due_ms:
                continue
            del self._armed[actor]
            if self._cells.owned[shard_of(actor)] is None:
                continue  # its new owner has it in its heap
            self.settle(actor, due_ms)
            self._counters.timers_fired += 1
            self._counters.timer_late_s.add((now_ms - fire_ms) / 1000)
            self._send(actor, due_ms)
        if not self._heap:
            return POLL_S
        return min(POLL_S, max(0.001, (self._heap[0][0] - now_ms) / 1000))

    def _send(self, actor: ActorId, due_ms: int) -> None:
        """Fire one timer. If its message has no effect, the next poll finds the row again."""
        handled: asyncio.Future[Any] = asyncio.get_running_loop().create_future()

        def check(future: asyncio.Future[Any]) -> None:
            if not future.cancelled() and future.exception() is not None:
                # After a pause, because the actor itself may be failing.
                asyncio.get_running_loop().call_later(POLL_S, again)

        def again() -> None:
            if self._fired.get(actor) == due_ms:
                del self._fired[actor]
                self._polls = 0  # the row may be older than the overlap of polls

        handled.add_done_callback(check)
        until = self._clock.monotonic() + BUDGET_S
        message = Envelope(actor, Due(due_ms), until, trace=self._entropy.trace(), reply=handled)
        self._router.deliver(message)
