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

from loadtests.fleet.setup import FleetSetup
from loadtests.kit.fixtures import MintedUser, order_body
from loadtests.kit.keep_alive import KeepAliveClient
from loadtests.kit.waiting import sleep_until, until
from loadtests.kit.wire import request_bytes

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

    def __init__(self, setup: FleetSetup, drivers: Sequence[MintedUser], per_s: float) -> None:
        self._setup = setup
        self._pace_s = CALLERS / per_s
        self._orders = itertools.cycle(setup.chance.sample(sorted(setup.orders.values()), len(setup.orders)))
        self._drivers = itertools.cycle(drivers)
        self._status = itertools.cycle(("online", "offline"))
        assert setup.zone is not None
        self._body = orjson.dumps(order_body(setup.zone.products))
        self.callers = [KeepAliveClient(_turned(setup.cluster.urls, index)) for index in range(CALLERS)]

    async def use(self, urls: Sequence[str]) -> None:
        """Send all callers to these addresses, and wait until none is anywhere else.

        Raises:
            TimeoutError: one stays.
        """
        for index, caller in enumerate(self.callers):
            caller.use(_turned(urls, index))
        if not await until(lambda: all(caller.url in urls for caller in self.callers), SWITCH_S):
            raise TimeoutError("a caller does not leave")

    def spread(self, urls: Sequence[str]) -> None:
        """Have every caller begin at another of these addresses, with the next connection."""
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

    async def _work(self, caller: KeepAliveClient, over: asyncio.Event, phase: float) -> None:
        mix = itertools.cycle(_turned(MIX, int(phase * len(MIX))))
        due = perf_counter() + phase * self._pace_s
        while not over.is_set():
            await sleep_until(due)
            # Who was held up does not hurry afterwards: it would be another load.
            due = max(due + self._pace_s, perf_counter())
            await self._one(caller, next(mix))

    async def _one(self, caller: KeepAliveClient, name: str) -> None:
        setup = self._setup
        if name == PLACE:
            await self._place(caller)
            return
        if name == READ:
            request = setup.reading(next(self._orders))
        elif name == READY:
            request = setup.ready_time(next(self._orders))
        else:
            request = setup.availability(next(self._drivers), next(self._status))
        await caller.timed(setup.report, name, request)

    async def _place(self, caller: KeepAliveClient) -> None:
        setup = self._setup
        answer = await caller.timed(setup.report, PLACE, setup.creation(self._body))
        if answer.good:
            path = f"/api/v2/orders/{orjson.loads(answer.body)['id']}/cancellation"
            cancel = request_bytes(
                "POST", path, token=setup.customer.token, body=b'{"reason":"load"}', key=setup.key()
            )
            await caller.timed(setup.report, CANCEL, cancel)

    def failed(self) -> int:
        """Calls of all kinds that came to nothing."""
        return sum(self._setup.report.tally(name).failed for name in NAMES)


def _turned(items: Sequence[str], by: int) -> list[str]:
    """The same items, beginning elsewhere."""
    by %= max(1, len(items))
    return [*items[by:], *items[:by]]


@asynccontextmanager
async def open_load(setup: FleetSetup, per_s: float) -> AsyncIterator[Load]:
    """An order in every shard, drivers in a zone without orders, and the load over them."""
    await setup.cover()
    drivers = await setup.mint("driver", DRIVERS, await setup.open_zone("open"))
    async with Load(setup, drivers, per_s).running() as load:
        yield load
