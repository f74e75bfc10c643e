"""Stores the inputs of steps that led to offers, in the background, so that each decision can be made again later.

Nothing waits for it: a zone notes a step and goes on. What cannot be stored in time is dropped and counted; the offer
and its reasons are in the history of the order all the same.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any, Protocol

from dispatch.step_inputs import PACKED_BYTES_MAX, StepInput, pack, planner_version
from storage.errors import StorageError

# Steps that wait for the database; a zone makes four a second at most.
WAITING_MAX = 256
# From one round to the next.
SAVE_S = 1.0
# Rows of a statement.
ROWS_MAX = 16
# Time for what waits when the instance ends.
LAST_SAVE_S = 1.0
# Why a step was not stored: too many waited, it is too large, the database was away.
DROPS = ("full", "large", "failed")


class StepRows(Protocol):
    """Named queries of stored steps; storage implements them."""

    async def rows(self, name: str, *args: Any) -> Sequence[Any]: ...


def _unheard(*_: object) -> None:
    """Ignore the call."""


class StepLog:
    """The steps of one instance that are to be stored.

    Args:
        stored: called after each statement with the sizes of what was stored, in bytes.
        dropped: called with one of `DROPS` and the number of steps.
    """

    def __init__(
        self,
        rows: StepRows,
        stored: Callable[[Sequence[int]], None] = _unheard,
        dropped: Callable[[str, int], None] = _unheard,
    ) -> None:
        self._rows = rows
        self._stored = stored
        self._dropped = dropped
        self._waiting: deque[StepInput] = deque()

    def note(self, told: StepInput) -> None:
        """Store a step soon, if there is room."""
        if len(self._waiting) >= WAITING_MAX:
            self._dropped("full", 1)
        else:
            self._waiting.append(told)

    async def save(self) -> None:
        """Store what waits, as far as it waited at the beginning.

        Raises:
            StorageError: the database is away. What could not be stored is dropped, the rest waits.
        """
        left = len(self._waiting)
        while left > 0:
            many = min(left, ROWS_MAX)
            left -= many
            await self._save([self._waiting.popleft() for _ in range(many)])

    async def _save(self, steps: Sequence[StepInput]) -> None:
        # In a thread: a large step takes longer than the loop may be kept.
        packed = await asyncio.to_thread(_packed, steps)
        small = [
            (told, text) for told, text in zip(steps, packed, strict=True) if len(text) <= PACKED_BYTES_MAX
        ]
        if len(small) < len(steps):
            self._dropped("large", len(steps) - len(small))
        if not small:
            return
        try:
            await self._rows.rows(
                "save_plan_steps",
                [told.zone_id for told, _ in small],
                [told.asked_ms for told, _ in small],
                [told.state.number for told, _ in small],
                planner_version(),
                [text for _, text in small],
            )
        except StorageError:
            self._dropped("failed", len(small))
            raise
        self._stored([len(text) for _, text in small])

    async def close(self) -> None:
        """Store what still waits, if the database is quick."""
        with suppress(StorageError, TimeoutError):
            async with asyncio.timeout(LAST_SAVE_S):
                await self.save()


def _packed(steps: Sequence[StepInput]) -> list[bytes]:
    planner_version()
    return [pack(told) for told in steps]
