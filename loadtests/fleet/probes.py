"""Asks one order of a shard again and again, over a connection of its own."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from time import perf_counter

from loadtests.kit.keep_alive import KeepAliveClient


class ShardProbe:
    """One shard's. The next request follows `pace_s` after the last one was sent, or at once after an answer
    that came later than that; so one is under way at any time, as with a client that waits.

    Args:
        request: makes the next request.

    Attributes:
        longest_s: the longest time between two good answers; what it shows is at least `pace_s`.
        failed: answers that were not good, by what they said.
    """

    def __init__(self, shard: int, request: Callable[[], bytes], urls: Sequence[str], pace_s: float) -> None:
        self.shard = shard
        self.caller = KeepAliveClient(urls)
        self.longest_s = 0.0
        self.failed: list[str] = []
        self._request = request
        self._pace_s = pace_s
        self._last: float | None = None

    async def connect(self) -> None:
        """One answer ahead of the measurement: connection, token and actor are warm."""
        await self.caller.call(self._request())

    async def ask(self) -> bool:
        """One request; True when the answer is good."""
        sent = perf_counter()
        answer = await self.caller.call(self._request())
        now = perf_counter()
        if answer.good:
            if self._last is not None:
                self.longest_s = max(self.longest_s, now - self._last)
            self._last = now
        else:
            self.failed.append(answer.error)
        await asyncio.sleep(max(0.0, sent + self._pace_s - now))
        return answer.good

    async def until_good(self, since: float) -> float:
        """Ask until an answer is good; returns the seconds from `since` to that answer."""
        while not await self.ask():
            continue
        assert self._last is not None
        return self._last - since

    def begin(self) -> None:
        """Measure from the next good answer on."""
        self.longest_s, self._last = 0.0, None
        self.failed.clear()

    async def watch(self, over: asyncio.Event, phase: float) -> None:
        """Ask until it is over; `phase` from 0 to 1 spreads the probes over their pace."""
        await asyncio.sleep(phase * self._pace_s)
        while not over.is_set():
            await self.ask()


async def connect_all(probes: Sequence[ShardProbe]) -> None:
    """Open all connections, one after the other: it is not the server's speed that is asked for."""
    for probe in probes:
        await probe.connect()
