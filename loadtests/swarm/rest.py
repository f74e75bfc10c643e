"""People who call the REST API, each over a kept-alive connection of its own, and orders at a steady rate."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Sequence
from random import Random
from time import perf_counter

import orjson

from loadtests.scene import Person, Zone, order_body
from loadtests.verdict import Report
from loadtests.wire import HttpWire, open_wire, request_bytes

CALL_S = 10.0


class Caller:
    """A person and a connection, opened when it is needed."""

    __slots__ = ("_wire", "person", "reconnects", "url")

    def __init__(self, person: Person, url: str) -> None:
        self.person = person
        self.url = url
        self.reconnects = 0
        self._wire: HttpWire | None = None

    async def call(
        self, method: str, path: str, body: bytes | None = None, key: str = ""
    ) -> tuple[int, bytes]:
        """Status and body; status 0 when there was no answer. A connection that the server has closed
        while it was idle is opened again, once, as every app does.
        """
        request = request_bytes(method, path, token=self.person.token, body=body, key=key)
        status, answer = 0, b""
        try:
            async with asyncio.timeout(CALL_S):
                for _ in range(2):
                    fresh = self._wire is None
                    status, answer = await self._ask(request)
                    if status or fresh:
                        break
                    self.reconnects += 1
        except (TimeoutError, OSError):
            self.close()
        return status, answer

    async def _ask(self, request: bytes) -> tuple[int, bytes]:
        if self._wire is None:
            self._wire = await open_wire(self.url)
        answered: asyncio.Future[tuple[int, bytes]] = asyncio.get_running_loop().create_future()

        def then(status: int, body: bytes) -> None:
            if not answered.done():
                answered.set_result((status, body))

        self._wire.ask(request, then)
        status, body = await answered
        if not status:
            self.close()
        return status, body

    async def timed(
        self, report: Report, name: str, method: str, path: str, body: bytes | None = None, key: str = ""
    ) -> bytes:
        """A call that goes into the report; its answer, or nothing when it failed."""
        began = perf_counter()
        status, answer = await self.call(method, path, body, key)
        if 200 <= status < 300:
            report.done(name, perf_counter() - began)
            return answer
        report.failed(name, f"{status} {problem_code(answer)}")
        return b""

    def close(self) -> None:
        """Hang up."""
        wire, self._wire = self._wire, None
        if wire is not None:
            wire.close()


def problem_code(answer: bytes) -> str:
    """The code of a problem; nothing when the answer is none."""
    try:
        found = orjson.loads(answer)
    except orjson.JSONDecodeError:
        return ""
    return str(found.get("code", "")) if isinstance(found, dict) else ""


async def place_steadily(
    callers: Sequence[Caller],
    zones: Sequence[Zone],
    report: Report,
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

    async def one(caller: Caller, body: bytes) -> None:
        key = f"swarm-{chance.getrandbits(96):024x}"
        await caller.timed(report, "order", "POST", "/api/v2/orders", body, key)
        free.append(caller)

    began = perf_counter()
    async with asyncio.TaskGroup() as tasks:
        for index in range(count):
            await asyncio.sleep(max(0.0, began + index / per_s - perf_counter()))
            if free:
                tasks.create_task(one(free.popleft(), bodies[index % len(bodies)]))
            else:
                report.failed("order", "no caller free")
    return count
