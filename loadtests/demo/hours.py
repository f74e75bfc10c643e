"""Opening hours: first nothing new is begun, then everybody goes home."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field

# How often something is looked at that has no event of its own, in seconds.
LOOK_S = 0.05


@dataclass(frozen=True, slots=True)
class Hours:
    """What all people of the demo look at.

    Attributes:
        opened: people are there; before that there is nothing to judge.
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


async def settled(holds: Callable[[], bool], seconds: float) -> bool:
    """Wait until `holds()`, but no longer than that; whether it does."""
    loop = asyncio.get_running_loop()
    until_s = loop.time() + seconds
    while not holds() and loop.time() < until_s:  # noqa: ASYNC110 - it has no event of its own
        await asyncio.sleep(LOOK_S)
    return holds()
