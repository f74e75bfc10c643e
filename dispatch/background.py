"""Background rounds. Each is bounded, repeats for ever, and may fail without harm: the next one repairs it.

Losing any of them costs time or a worse first offer, never truth.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from typing import Any, Protocol

from actors.values import frozen
from dispatch.domain.geo import Place
from dispatch.service import Dispatch

# A zone that was made on another instance plans by then; those of shards just taken at once.
ZONES_S = 5.0
# Places are written at most this often: a restart begins with places this old.
POSITIONS_S = 10.0
# A feed that missed its hint is found by then.
FEEDS_S = 10.0
TRIM_S = 600.0
# Feed entries are kept this long; a client that was away longer gets a snapshot.
FEED_DAYS = 7
TRIM_ROWS = 5_000
# At most a million rows a round, and room for others between the bites.
TRIM_BITES = 200
TRIM_PAUSE_S = 0.05
# Rows asked for or written by one statement.
CHUNK = 1_000


class BackgroundRows(Protocol):
    """The named blocks that chores need; storage provides them."""

    async def rows(self, name: str, *args: Any) -> Sequence[Any]: ...


@frozen
class BackgroundTask:
    """A round and how often it runs; at once when `due` is set."""

    name: str
    every_s: float
    run_once: Callable[[], Awaitable[None]]
    due: asyncio.Event | None = None


class BackgroundTasks:
    """The rounds of one instance. `failed` and `done` are told about each."""

    def __init__(
        self,
        dispatch: Dispatch,
        rows: BackgroundRows,
        *,
        done: Callable[[str, float], None],
        failed: Callable[[str, Exception], None],
        swept: Callable[[int], None],
        zones_due: asyncio.Event | None = None,
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
            BackgroundTask("trim_expired", TRIM_S, self.trim_expired),
        )

    async def run(self, chore: BackgroundTask) -> None:
        """Repeat a chore until cancelled. Its failure is counted, not passed on."""
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
        """Have every zone of our shards in memory: nobody else would wake them."""
        numbers = [row["id"] for row in await self._rows.rows("zones_of_all")]
        self._dispatch.wake_zones(numbers)

    async def save_positions(self) -> None:
        """Write the places that changed since the last round."""
        places = await self._dispatch.places()
        moved = {n: place for n, place in places.items() if self._saved.get(n) != place}
        items = [{"id": n, "lat": p.lat, "lon": p.lon} for n, p in sorted(moved.items())]
        for start in range(0, len(items), CHUNK):
            await self._rows.rows("save_positions", items[start : start + CHUNK])
        self._saved = places  # not what they are by now: that is written in the next round

    async def sweep_feeds(self) -> None:
        """Compare connected drivers with their rows: feeds that are behind, orders that they do not carry.

        What is carried is corrected when two looks in a row agree: one may be older than the newest hint.
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

    async def trim_expired(self) -> None:
        """Delete feed entries, idempotency keys and sessions past their time, in small bites."""
        for _ in range(TRIM_BITES):
            found = await self._rows.rows("trim_expired", FEED_DAYS, TRIM_ROWS)
            if not found or found[0][0] < TRIM_ROWS:
                break
            await asyncio.sleep(TRIM_PAUSE_S)
        await self._rows.rows("sessions_trim")
