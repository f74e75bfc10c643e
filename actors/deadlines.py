"""Deadlines of asks.

A loop timer per ask would be wasteful: nearly all asks are answered within milliseconds, and setting and cancelling a
timer takes 1.2 us. So asks are put into slots of 50 ms by deadline, and one task checks each slot when its time comes.
An answered ask is removed at once, so that two seconds of answered asks do not stay in memory.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict

from actors.clock import Clock
from actors.errors import DeadlinePassed
from actors.messages import Envelope

SLOT_S = 0.05


class Deadlines:
    """Fails asks whose deadline has passed, at most two slots late."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        # Dictionaries are used as ordered sets: a simulated run must be reproducible.
        self._slots: defaultdict[int, dict[Envelope, None]] = defaultdict(dict)

    def __len__(self) -> int:
        return sum(map(len, self._slots.values()))

    def watch(self, envelope: Envelope) -> None:
        """Fail the ask at its deadline unless it is answered before."""
        self._slots[int(envelope.until / SLOT_S)][envelope] = None

    def forget(self, envelope: Envelope) -> None:
        """Remove an answered ask."""
        slot = self._slots.get(int(envelope.until / SLOT_S))
        if slot is not None:
            slot.pop(envelope, None)

    async def run(self) -> None:
        """Check deadlines until cancelled."""
        while True:
            await asyncio.sleep(SLOT_S)
            self.look()

    def look(self) -> None:
        """Fail all asks whose deadline has passed."""
        now = int(self._clock.monotonic() / SLOT_S)
        for slot in [slot for slot in self._slots if slot < now]:
            for envelope in self._slots.pop(slot):
                if not envelope.given_up:
                    envelope.give_up(DeadlinePassed())
