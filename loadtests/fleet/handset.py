"""Drivers' phones that come back when they are sent away, and ask again for what was not answered.

A phone is told `drain`, hears a close code that says so, or finds its line cut; it reconnects at once, resumes
from its position, and repeats every unanswered command under its key, as PROTOCOL.md asks of it.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from random import Random
from typing import Any

import orjson

from loadtests.scene import Person
from loadtests.swarm.couriers import BRISK, Couriers
from loadtests.swarm.line import Line
from loadtests.verdict import Report

CONNECT, REFUSED = "driver connects", "upgrade refused"
COMMANDS = ("offer.accept", "order.pickup", "order.delivery", "availability")
# Between two tries to get in; and the longest a phone tries before it counts as lost.
RETRY_S = (0.05, 0.25)
LOST_S = 30.0
LATER = range(4200, 4300)


class Handsets(Couriers):
    """The crew: brisk couriers who reconnect.

    Attributes:
        sent_away: how often each driver was told to reconnect since `new_round`, by number.
        cut: lines that ended without a close frame.
    """

    def __init__(self, report: Report, url: str, tag: str, chance: Random, tasks: asyncio.TaskGroup) -> None:
        super().__init__(report, url, tag, chance, BRISK)
        self.connect = CONNECT
        self.tasks = tasks
        self.sent_away: Counter[int] = Counter()
        self.rounds: Counter[int] = Counter()
        self.worst = 0
        self.cut = 0

    def new_round(self, drivers: int) -> None:
        """Close the books of a round: how many drivers were sent away how often."""
        times = Counter(self.sent_away.values())
        times[0] = drivers - len(self.sent_away)
        self.rounds.update(times)
        self.worst = max(self.worst, *self.sent_away.values(), 0)
        self.sent_away.clear()

    def welcomed(self, line: Line, frame: dict[str, Any], now: float) -> None:
        """A line is back: repeat what was not answered."""
        super().welcomed(line, frame, now)
        if isinstance(line, Handset):
            line.repeat()

    def gone(self, line: Handset, code: int) -> None:
        """A line has ended that the phone has not cut."""
        if self.over:
            return
        if code in LATER:
            self.sent_away[line.person.number] += 1
        else:
            self.cut += 1
            self.report.failed("line", f"closed with {code}")
        self.tasks.create_task(line.come_back(), name=f"driver {line.person.number}")


class Handset(Line):
    """One driver's phone."""

    __slots__ = ("frames", "handsets")

    def __init__(self, crew: Handsets, person: Person, zone: int) -> None:
        super().__init__(crew, person, zone)
        self.handsets = crew
        self.frames: dict[int, bytes] = {}

    def ask(self, name: str, order: str = "", **body: Any) -> None:
        """Send a command, and keep it until it is answered."""
        super().ask(name, order, **body)
        key = f"{self.crew.tag}-{self.person.number}-{self.sent}"
        self.frames = {number: frame for number, frame in self.frames.items() if number in self.asked}
        self.frames[self.sent] = orjson.dumps({"t": name, "id": self.sent, "key": key, **body})

    def repeat(self) -> None:
        """Send again what was not answered, with the same keys."""
        for number in self.asked:
            self.send(self.frames[number])

    async def come_back(self) -> None:
        """Connect until it is welcome."""
        async with asyncio.timeout(LOST_S):
            while not self.crew.over and not await self.open():  # noqa: ASYNC110 - a phone has no event for it
                await asyncio.sleep(self.handsets.chance.uniform(*RETRY_S))

    def _end(self, code: int) -> None:
        opening = self.opening is not None and not self.opening.done()
        if opening:
            self._opened(f"closed with {code}")
            return
        self._down()
        self.handsets.gone(self, code)
