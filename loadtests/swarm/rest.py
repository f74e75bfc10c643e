"""Users who call the REST API, each over a kept-alive connection of its own, and orders at a steady rate."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Sequence
from random import Random
from time import perf_counter

import orjson

from loadtests.kit.fixtures import MintedUser, Zone, order_body
from loadtests.kit.keep_alive import HttpAnswer, KeepAliveClient
from loadtests.kit.report import LoadReport
from loadtests.kit.waiting import sleep_until
from loadtests.kit.wire import request_bytes


class RestClient(KeepAliveClient):
    """A user's app: a request that a connection from before did not carry is sent once more, on a new one."""

    def __init__(self, user: MintedUser, url: str) -> None:
        super().__init__([url])
        self.user = user

    @property
    def reconnects(self) -> int:
        """Connections that had to be opened again."""
        return max(0, self.opened - 1)

    async def call(self, request: bytes) -> HttpAnswer:
        """Send a whole request; returns what came of it."""
        opened = self.opened
        answer = await super().call(request)
        if answer.fault == "cut" and self.opened == opened:
            answer = await super().call(request)
        return answer

    async def send(
        self, report: LoadReport, name: str, method: str, path: str, body: bytes | None = None, key: str = ""
    ) -> bytes:
        """A call that goes into the report; its answer, or nothing when it failed."""
        request = request_bytes(method, path, token=self.user.token, body=body, key=key)
        answer = await self.timed(report, name, request)
        return answer.body if answer.good else b""


async def place_steadily(
    callers: Sequence[RestClient],
    zones: Sequence[Zone],
    report: LoadReport,
    *,
    per_s: float,
    seconds: float,
    chance: Random,
) -> int:
    """Orders at fixed moments, in one zone after the other; returns how many were asked for.

    A moment that finds every caller busy is an error: the rate would not be what the report says.
    """
    free = deque(callers)
    bodies = [orjson.dumps(order_body(zone.products)) for zone in zones]
    count = max(1, int(per_s * seconds))

    async def one(caller: RestClient, body: bytes) -> None:
        key = f"swarm-{chance.getrandbits(96):024x}"
        await caller.send(report, "order", "POST", "/api/v2/orders", body, key)
        free.append(caller)

    began = perf_counter()
    async with asyncio.TaskGroup() as tasks:
        for index in range(count):
            await sleep_until(began + index / per_s)
            if free:
                tasks.create_task(one(free.popleft(), bodies[index % len(bodies)]))
            else:
                report.failed("order", "no caller free")
    return count
