"""Whether the service is there: open-loop probes of every instance, and how long faults were felt.

A probe is a durable command: a driver of a zone without orders goes on- or offline. It goes to one instance
and is not repeated; its driver, and so the shard, is another one each time. A probe that takes more than a second
has failed.
"""

from __future__ import annotations

import asyncio
import itertools
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import aiohttp

from loadtests.chaos.instance import ProxiedInstance
from loadtests.kit.client import Mall

# Of each instance.
INTERVAL_S = 0.1
PATIENCE_S = 1.0
# A failure later than this after a fault is not counted for it.
AFTERMATH_S = 15.0


class ProbeResult(NamedTuple):
    """One probe: when it was sent and when that was over (loop's seconds), to which instance, what came (""
    for success), and whether that instance was meant to serve when it was sent.
    """

    at_s: float
    over_s: float
    instance: str
    why: str
    well: bool


@dataclass(slots=True)
class FaultSpan:
    """A fault that has happened, in the loop's seconds.

    Attributes:
        kind: what it is counted under.
        victims: names of the instances that it keeps from serving, while others serve on.
        total: nobody serves on, so every failed probe tells how long it was felt.
        began_s, over_s: from the first harm to the last repair, the start of what was killed included.
        until_s: when the next fault began, or infinity.
        text, wall_s: for people: what it was, and when by the clock of the logs.
        stale: flushes of its victims that the fence refused, from its beginning to some seconds after it.
        frozen_s: how long its victims stood still.
    """

    kind: str
    victims: tuple[str, ...]
    began_s: float
    over_s: float = float("inf")
    until_s: float = float("inf")
    stale: int = 0
    frozen_s: float = 0.0
    total: bool = False
    text: str = ""
    wall_s: float = 0.0


@dataclass(slots=True)
class FaultImpact:
    """How a fault was felt. Seconds; `back_s` is None where there was no victim.

    Attributes:
        why: what the probes of others came to that failed, and how often.
        degraded_s: from the fault to the last failed probe of an instance that it did not hit.
        back_s: from its end to the last failed probe of its victims.
    """

    why: Counter[str]
    degraded_s: float
    back_s: float | None


def impact_of(span: FaultSpan, probes: Iterable[ProbeResult]) -> FaultImpact:
    """How a fault was felt by the probes that failed between it and the next, at most some seconds after its end.

    A probe that was on its way when the next fault came, and failed then, failed for that one.
    """
    until_s = min(span.over_s + AFTERMATH_S, max(span.until_s, span.began_s))
    why: Counter[str] = Counter()
    degraded_s = back_s = 0.0
    for probe in probes:
        if not probe.why or not span.began_s <= probe.over_s < until_s:
            continue
        if probe.instance not in span.victims:
            if probe.well or span.total:
                why[probe.why] += 1
                degraded_s = max(degraded_s, probe.at_s - span.began_s)
        elif probe.at_s >= span.over_s:
            back_s = max(back_s, probe.at_s - span.over_s)
    return FaultImpact(why, degraded_s, back_s if span.victims else None)


@dataclass(slots=True)
class AvailabilityProber:
    """Sends probes, and keeps what came of them.

    Attributes:
        lag_s_max: how late this process has woken at worst: beyond that the tool was slow, not the server.
    """

    instances: Sequence[ProxiedInstance]
    http: aiohttp.ClientSession
    tokens: Sequence[str]
    probes: list[ProbeResult] = field(default_factory=list)
    lag_s_max: float = 0.0
    _count: itertools.count[int] = field(default_factory=itertools.count)

    async def run(self) -> None:
        """Until cancelled."""
        loop = asyncio.get_running_loop()
        async with asyncio.TaskGroup() as tasks:
            due_s = loop.time()
            while True:
                for instance in self.instances:
                    tasks.create_task(self._probe(instance, next(self._count)), name="probe")
                due_s += INTERVAL_S
                await asyncio.sleep(max(0.0, due_s - loop.time()))
                self.lag_s_max = max(self.lag_s_max, loop.time() - due_s)

    async def _probe(self, instance: ProxiedInstance, number: int) -> None:
        turn, driver = divmod(number, len(self.tokens))
        mall = Mall(self.http, instance.url, self.tokens[driver])
        at_s, well = asyncio.get_running_loop().time(), instance.well
        body = {"status": "offline" if turn % 2 else "online"}
        why = ""
        try:
            async with asyncio.timeout(PATIENCE_S):
                status, answer, _ = await mall.call("PUT", "/api/v2/drivers/me/availability", body)
            if status != 200:
                why = f"{status} {answer.get('code')}"
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            why = type(error).__name__
        self.probes.append(ProbeResult(at_s, asyncio.get_running_loop().time(), instance.name, why, well))
