"""The phases of a run: open, closing (nothing new is begun), over (what is carried is given up)."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class RunClock:
    """The present phase, for all users of the demo.

    Attributes:
        opened: users are there; before that there is nothing to judge.
        closing: no orders, breaks and lost connections any more; what is carried is brought.
        over: what is still carried is given up.
    """

    opened: asyncio.Event = field(default_factory=asyncio.Event)
    closing: asyncio.Event = field(default_factory=asyncio.Event)
    over: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def phase(self) -> str:
        """In a word."""
        if self.over.is_set():
            return "audit"
        return "closing" if self.closing.is_set() else "open"

    async def turn(self, seconds: float) -> None:
        """Wait for the next phase, but no longer than that."""
        following = self.over if self.closing.is_set() else self.closing
        if following.is_set():
            await asyncio.sleep(seconds)
        else:
            await wait_or(following, seconds)


async def wait_or(event: asyncio.Event, seconds: float | None) -> bool:
    """Wait for an event, but no longer than that; true when it has come. None: as long as it takes."""
    with suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await event.wait()
    return event.is_set()
