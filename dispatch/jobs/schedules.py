"""Schedules: jobs that are made at times, by whichever worker looks first."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import field
from typing import Any

from actors.values import frozen
from dispatch.jobs.ports import ScheduleStore
from storage.errors import StorageError

# A job is made at most this much after its time.
LOOK_S = 5.0


@frozen
class Schedule:
    """A job every so many seconds, or daily at a time of the day in UTC (`HH:MM`)."""

    name: str
    task: str
    every_s: int | None = None
    daily_at: str | None = None
    payload: Mapping[str, Any] = field(default_factory=dict, hash=False)

    def __post_init__(self) -> None:
        if (self.every_s is None) == (self.daily_at is None):
            raise ValueError(f"schedule {self.name} needs every_s or daily_at")

    def item(self) -> dict[str, Any]:
        """As set_schedules() takes it (storage/postgres/functions/jobs.sql)."""
        return {
            "name": self.name,
            "task": self.task,
            "payload": self.payload,
            "every_s": self.every_s,
            "daily_at": self.daily_at,
        }


async def run_schedules(
    store: ScheduleStore, schedules: Sequence[Schedule], failed: Callable[[StorageError], None]
) -> None:
    """Make jobs of due schedules until cancelled."""
    names = [schedule.name for schedule in schedules]
    known = False
    while True:
        try:
            if not known:
                await store.set_schedules([schedule.item() for schedule in schedules])
                known = True
            await store.fire(names)
        except StorageError as error:
            failed(error)
        await asyncio.sleep(LOOK_S)
