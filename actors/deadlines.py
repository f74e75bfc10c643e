"""Deadlines of asks.

A timer per question is wasted: nearly all are answered within milliseconds, and setting
and cancelling a timer of the loop takes 1.2 us. So questions are put into slots of 50 ms
by their deadline, and one task looks at a slot when its time has come. An answered one is taken out at
once: kept until its deadline, two seconds of questions would be memory that every answer moves through.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict

from actors.clock import Clock
from actors.errors import DeadlinePassed
from actors.messages import Envelope

SLOT_S = 0.05


class Deadlines:
    """Gives up on questions whose time has passed; at most two slots late."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        # Dictionaries as sets that keep their order: a simulated run must be the same each time.
        self._slots: defaultdict[int, dict[Envelope, None]] = defaultdict(dict)

    def __len__(self) -> int:
        return sum(map(len, self._slots.values()))

    def watch(self, envelope: Envelope) -> None:
        """Answer it with an error at its deadline, if nobody has answered it by then."""
        self._slots[int(envelope.until / SLOT_S)][envelope] = None

    def forget(self, envelope: Envelope) -> None:
        """It is answered."""
        slot = self._slots.get(int(envelope.until / SLOT_S))
        if slot is not None:
            slot.pop(envelope, None)

    async def run(self) -> None:
        """Look until cancelled."""
        while True:
            await asyncio.sleep(SLOT_S)
            self.look()

    def look(self) -> None:
        """Give up on everything that is late."""
        now = int(self._clock.monotonic() / SLOT_S)
        for slot in [slot for slot in self._slots if slot < now]:
            for envelope in self._slots.pop(slot):
                if not envelope.given_up:
                    envelope.give_up(DeadlinePassed())
