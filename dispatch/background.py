"""Background tasks. Each round is bounded and may fail without harm: the next round repairs it.

A missed round costs time or a worse first offer, never correctness.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from typing import Any, Protocol

from actors.values import frozen
from dispatch.domain.geo import Place
from dispatch.service import Dispatch
from dispatch.step_log import SAVE_S, StepLog

# A zone that another instance has created begins within this time; those of shards just taken, at once.
ZONES_S = 5.0
# Positions are written at most this often. After a restart they are this old.
POSITIONS_S = 10.0
# A feed that missed a message is found within this time.
FEEDS_S = 10.0
# Rows that one statement reads or writes.
CHUNK = 1_000


class BackgroundRows(Protocol):
    """Named queries of the background tasks; storage implements them."""

    async def rows(self, name: str, *args: Any) -> Sequence[Any]: ...


@frozen
class BackgroundTask:
    """One background task: its round and its interval. A round begins at once when `due` is set."""

    name: str
    every_s: float
    run_once: Callable[[], Awaitable[None]]
    due: asyncio.Event | None = None


class BackgroundTasks:
    """Background tasks of one instance. `failed` and `done` are called after each round."""

    def __init__(
        self,
        dispatch: Dispatch,
        rows: BackgroundRows,
        *,
        done: Callable[[str, float], None],
        failed: Callable[[str, Exception], None],
        swept: Callable[[int], None],
        zones_due: asyncio.Event | None = None,
        step_log: StepLog | None = None,
    ) -> None:
        self._dispatch = dispatch
        self._rows = rows
        self._done = done
        self._failed = failed
        self._swept = swept
        self._saved: dict[int, Place] = {}
        self._doubts: dict[int, tuple[frozenset[int], frozenset[int]]] = {}
        self.all: tuple[BackgroundTask, ...] = (
            BackgroundTask("wake_zones", ZONES_S, self.wake_zones, zones_due),
            BackgroundTask("save_positions", POSITIONS_S, self.save_positions),
            BackgroundTask("sweep_feeds", FEEDS_S, self.sweep_feeds),
        )
        if step_log is not None:
            self.all += (BackgroundTask("save_plan_steps", SAVE_S, step_log.save),)

    async def run(self, chore: BackgroundTask) -> None:
        """Repeat a task's rounds until cancelled. Failures are counted, not raised."""
        clock = self._dispatch.runtime.clock
        while True:
            await self._pause(chore)
            began = clock.monotonic()
            try:
                await chore.run_once()
            except Exception as error:  # noqa: BLE001 - the next round is the cure
                self._failed(chore.name, error)
            else:
                self._done(chore.name, clock.monotonic() - began)

    async def _pause(self, chore: BackgroundTask) -> None:
        if chore.due is None:
            await asyncio.sleep(chore.every_s)
            return
        with suppress(TimeoutError):
            async with asyncio.timeout(chore.every_s):
                await chore.due.wait()
        chore.due.clear()

    async def wake_zones(self) -> None:
        """Activate every zone of the owned shards, because a zone gets no message while it sleeps."""
        numbers = [row["id"] for row in await self._rows.rows("zones_of_all")]
        self._dispatch.wake_zones(numbers)

    async def save_positions(self) -> None:
        """Write positions that changed since the last round."""
        places = await self._dispatch.places()
        moved = {n: place for n, place in places.items() if self._saved.get(n) != place}
        items = [{"id": n, "lat": p.lat, "lon": p.lon} for n, p in sorted(moved.items())]
        for start in range(0, len(items), CHUNK):
            await self._rows.rows("save_positions", items[start : start + CHUNK])
        self._saved = places  # newer positions are written in the next round

    async def sweep_feeds(self) -> None:
        """Compare connected drivers with their rows: feed positions and carried orders.

        Carried orders are corrected when two reads in a row agree: one read may be older than the newest message.
        """
        known = await self._dispatch.known()
        numbers = sorted(known)
        doubts: dict[int, tuple[frozenset[int], frozenset[int]]] = {}
        for start in range(0, len(numbers), CHUNK):
            for row in await self._rows.rows("feed_positions", numbers[start : start + CHUNK]):
                number, (seq, carried) = row["id"], known[row["id"]]
                if row["feed_seq"] > seq:
                    self._swept(1)
                    self._dispatch.feed_at(number, row["feed_seq"])
                seen = frozenset(row["carrying"])
                if seen != carried:
                    doubts[number] = (carried, seen)
                    if self._doubts.get(number) == doubts[number]:
                        self._swept(1)
                        self._dispatch.carries(number, seen)
        self._doubts = doubts
