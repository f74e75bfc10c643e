"""Drivers' phones that reconnect when the server sends them away, and repeat what was not answered.

A phone is told `drain`, hears a close code that says so, or finds its line cut; it reconnects at once, resumes
from its position, and repeats every unanswered command under its key, as PROTOCOL.md asks of it.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from random import Random
from typing import Any

import orjson

from loadtests.kit.fixtures import MintedUser
from loadtests.kit.report import LoadReport
from loadtests.swarm.drivers import BRISK, WorkingDrivers
from loadtests.swarm.phone import SwarmPhone

CONNECT, REFUSED = "driver connects", "upgrade refused"
COMMANDS = ("offer.accept", "order.pickup", "order.delivery", "availability")
# Between two tries to get in; and the longest a phone tries before it counts as lost.
RETRY_S = (0.05, 0.25)
LOST_S = 30.0
LATER = range(4200, 4300)


class ReconnectingDrivers(WorkingDrivers):
    """Brisk drivers who reconnect.

    Attributes:
        sent_away: how often each driver was told to reconnect since `new_round`, by number.
        cut: lines that ended without a close frame.
    """

    def __init__(
        self, report: LoadReport, url: str, tag: str, chance: Random, tasks: asyncio.TaskGroup
    ) -> None:
        super().__init__(report, url, tag, chance, BRISK)
        self.connect = CONNECT
        self.tasks = tasks
        self.sent_away: Counter[int] = Counter()
        self.rounds: Counter[int] = Counter()
        self.worst = 0
        self.cut = 0

    def new_round(self, drivers: int) -> None:
        """End a round: count how many drivers were sent away how often."""
        times = Counter(self.sent_away.values())
        times[0] = drivers - len(self.sent_away)
        self.rounds.update(times)
        self.worst = max(self.worst, *self.sent_away.values(), 0)
        self.sent_away.clear()

    def welcomed(self, phone: SwarmPhone, frame: dict[str, Any], now: float) -> None:
        """A phone is back: repeat what was not answered."""
        super().welcomed(phone, frame, now)
        if isinstance(phone, ReconnectingPhone):
            phone.repeat()

    def gone(self, phone: ReconnectingPhone, code: int) -> None:
        """A connection has ended that the phone has not cut."""
        if self.over:
            return
        if code in LATER:
            self.sent_away[phone.person.number] += 1
        else:
            self.cut += 1
            self.report.failed("line", f"closed with {code}")
        self.tasks.create_task(phone.come_back(), name=f"driver {phone.person.number}")


class ReconnectingPhone(SwarmPhone):
    """One driver's phone."""

    __slots__ = ("drivers", "frames")

    def __init__(self, group: ReconnectingDrivers, person: MintedUser, zone: int) -> None:
        super().__init__(group, person, zone)
        self.drivers = group
        self.frames: dict[int, bytes] = {}

    def ask(self, name: str, **body: Any) -> None:
        """Send a command, and keep it until it is answered."""
        super().ask(name, **body)
        key = f"{self.group.tag}-{self.person.number}-{self.sent}"
        self.frames = {number: frame for number, frame in self.frames.items() if number in self.asked}
        self.frames[self.sent] = orjson.dumps({"t": name, "id": self.sent, "key": key, **body})

    def repeat(self) -> None:
        """Send again what was not answered, with the same keys."""
        for number in self.asked:
            self.send(self.frames[number])

    async def come_back(self) -> None:
        """Connect until it is welcome."""
        async with asyncio.timeout(LOST_S):
            while not self.group.over and not await self.open():  # noqa: ASYNC110 - a phone has no event for it
                await asyncio.sleep(self.drivers.chance.uniform(*RETRY_S))

    def _end(self, code: int) -> None:
        opening = self.opening is not None and not self.opening.done()
        if opening:
            self._opened(f"closed with {code}")
            return
        self._down()
        self.drivers.gone(self, code)
