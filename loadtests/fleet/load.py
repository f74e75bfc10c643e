"""A steady rate of reads and commands over all shards, by callers with a kept-alive connection each.

What is refused, cut or late is an error by its code: nothing here is repeated.
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from time import perf_counter

import orjson

from loadtests.fleet.connection import Caller
from loadtests.fleet.stage import Stage
from loadtests.scene import Person, order_body
from loadtests.swarm.opening import until
from loadtests.wire import request_bytes

# Each asks a few times a second: a caller that waits for an answer holds up little else.
CALLERS = 40
DRIVERS = 200
READ, READY, AVAILABILITY, PLACE, CANCEL = "read", "ready time", "availability", "order", "cancellation"
NAMES = (READ, READY, AVAILABILITY, PLACE, CANCEL)
# Of ten calls; each order that is placed is cancelled, so that nothing piles up.
MIX = (READ, READY, AVAILABILITY, READ, PLACE, READ, READY, AVAILABILITY, READ, READY)
SWITCH_S = 15.0


class Load:
    """Runs while `running()` is open. Callers begin at different addresses; `use` sends them elsewhere."""

    def __init__(self, stage: Stage, drivers: Sequence[Person], per_s: float) -> None:
        self._stage = stage
        self._pace_s = CALLERS / per_s
        self._orders = itertools.cycle(stage.chance.sample(sorted(stage.orders.values()), len(stage.orders)))
        self._drivers = itertools.cycle(drivers)
        self._status = itertools.cycle(("online", "offline"))
        assert stage.zone is not None
        self._body = orjson.dumps(order_body(stage.zone.products))
        self.callers = [Caller(_turned(stage.fleet.urls, index)) for index in range(CALLERS)]

    async def use(self, urls: Sequence[str]) -> None:
        """Send everybody to these addresses, and wait until nobody is anywhere else.

        Raises:
            TimeoutError: somebody stays.
        """
        for index, caller in enumerate(self.callers):
            caller.use(_turned(urls, index))
        if not await until(lambda: all(caller.url in urls for caller in self.callers), SWITCH_S):
            raise TimeoutError("a caller does not leave")

    def spread(self, urls: Sequence[str]) -> None:
        """Have everybody begin at another of these addresses, with the next connection."""
        for index, caller in enumerate(self.callers):
            caller.use(_turned(urls, index), anew=True)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[Load]:
        """Call at the steady rate until the block ends, then let the last answers arrive."""
        over = asyncio.Event()
        try:
            async with asyncio.TaskGroup() as tasks:
                for index, caller in enumerate(self.callers):
                    tasks.create_task(self._work(caller, over, index / CALLERS))
                try:
                    yield self
                finally:
                    over.set()
        finally:
            for caller in self.callers:
                caller.close()

    async def _work(self, caller: Caller, over: asyncio.Event, phase: float) -> None:
        mix = itertools.cycle(_turned(MIX, int(phase * len(MIX))))
        due = perf_counter() + phase * self._pace_s
        while not over.is_set():
            await asyncio.sleep(max(0.0, due - perf_counter()))
            # Who was held up does not hurry afterwards: it would be another load.
            due = max(due + self._pace_s, perf_counter())
            await self._one(caller, next(mix))

    async def _one(self, caller: Caller, name: str) -> None:
        stage = self._stage
        if name == PLACE:
            await self._place(caller)
            return
        if name == READ:
            request = stage.reading(next(self._orders))
        elif name == READY:
            request = stage.ready_time(next(self._orders))
        else:
            request = stage.availability(next(self._drivers), next(self._status))
        await caller.timed(stage.report, name, request)

    async def _place(self, caller: Caller) -> None:
        stage = self._stage
        answer = await caller.timed(stage.report, PLACE, stage.creation(self._body))
        if answer.good:
            path = f"/api/v2/orders/{orjson.loads(answer.body)['id']}/cancellation"
            cancel = request_bytes(
                "POST", path, token=stage.customer.token, body=b'{"reason":"load"}', key=stage.key()
            )
            await caller.timed(stage.report, CANCEL, cancel)

    def failed(self) -> int:
        """Calls of all kinds that came to nothing."""
        return sum(self._stage.report.tally(name).failed for name in NAMES)


def _turned(items: Sequence[str], by: int) -> list[str]:
    """The same items, beginning elsewhere."""
    by %= max(1, len(items))
    return [*items[by:], *items[:by]]


@asynccontextmanager
async def open_load(stage: Stage, per_s: float) -> AsyncIterator[Load]:
    """An order in every shard, drivers in a zone without orders, and the load over them."""
    await stage.cover()
    drivers = await stage.mint("driver", DRIVERS, await stage.open_zone("open"))
    async with Load(stage, drivers, per_s).running() as load:
        yield load
