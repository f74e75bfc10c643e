"""Carries the plan out: injects each fault, ends it, and records its time span."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Awaitable, Callable, Iterable, Iterator
from pathlib import Path
from time import time

from redis.asyncio import Redis

from loadtests.chaos import plan
from loadtests.chaos.instance import ProxiedCluster, ProxiedInstance
from loadtests.chaos.plan import HELD_BACK, PlannedFault
from loadtests.chaos.probes import FaultSpan
from loadtests.chaos.proxy import PASS
from loadtests.faults.history import History, Violation
from loadtests.kit.stores import Stores

# A stale flush of a victim counts for its fault until this time after the fault's end.
STALE_S = 3.0
# Writes of this time are on their way to Postgres when an instance freezes: a flush under any load, and no timeout yet.
ON_ITS_WAY_S = 1.0
# The time they take to arrive, before their sender can withdraw them.
ARRIVES_S = 0.25
# How long an instance may take until it is ready, while other faults may still be on.
READY_S = 45.0
# Between two looks whether an instance has ended by itself.
MIND_S = 0.25


def process_tree(pid: int) -> Iterator[int]:
    """A process, and its children."""
    yield pid
    yield from map(int, Path(f"/proc/{pid}/task/{pid}/children").read_text().split())


class Nemesis:
    """Needs the main thread: embedded servers can only be started there."""

    def __init__(self, cluster: ProxiedCluster, stores: Stores, history: History) -> None:
        self.cluster = cluster
        self.spans: list[FaultSpan] = []
        self.violations: list[Violation] = []
        self._postgres = stores.postgres
        self._valkey = stores.valkey
        self._history = history
        self._taken: set[str] = set()
        self._frozen_s: dict[PlannedFault, float] = {}
        self._freed = asyncio.Event()
        self._loop = asyncio.get_running_loop()
        self._actions: dict[str, Callable[[PlannedFault, list[ProxiedInstance]], Awaitable[None]]] = {
            plan.KILL: self._kill, plan.KILL_ALL: self._kill, plan.FREEZE: self._freeze,
            plan.RESTART: self._restart, plan.SCALE: self._restart, plan.ROLLING: self._roll,
            plan.FLUSH: self._flush, plan.REDIS_RESTART: self._kill_redis, plan.REDIS_FREEZE: self._freeze_redis,
            plan.POSTGRES_RESTART: self._stop_postgres, plan.POSTGRES_FREEZE: self._freeze_postgres,
            plan.CUT_REDIS: self._cut, plan.CUT_POSTGRES: self._cut, plan.CUT_PEERS: self._cut,
        }  # fmt: skip

    async def run(self, faults: Iterable[PlannedFault], seconds: float, say: Callable[[str], None]) -> None:
        """Fault after fault until the time is up; returns when the last one is over."""
        until_s = self._loop.time() + seconds
        async with asyncio.TaskGroup() as tasks:
            for fault in faults:
                if self._loop.time() > until_s:
                    break
                while fault.needs & self._taken:
                    self._freed.clear()
                    await self._freed.wait()
                say(str(fault))
                task = tasks.create_task(self._inflict(fault), name=fault.name)
                if not fault.overlaps:
                    await asyncio.wait([task])
                await asyncio.sleep(fault.gap_s)

    async def mind(self) -> None:
        """Notice instances that end by themselves, and start them again as a supervisor would; for ever."""
        while True:
            await asyncio.sleep(MIND_S)
            for instance in self.cluster.instances:
                if instance.wanted and not instance.running:
                    tail = instance.log_path.read_text(errors="replace")[-600:]
                    self.violations.append(Violation("instance_ended", f"{instance.name} by itself: {tail}"))
                    instance.ready = False
                    await self._start([instance])

    async def _inflict(self, fault: PlannedFault) -> None:
        """One fault, from its beginning until everything is in order again."""
        victims = [self.cluster.instances[number] for number in fault.victims]
        names = tuple(victim.name for victim in victims)
        kept_away = () if fault.kind in (plan.ROLLING, plan.KILL_ALL) else names
        span = FaultSpan(fault.name, kept_away, self._loop.time(), total=fault.kind == plan.KILL_ALL)
        span.text, span.wall_s = str(fault), time()
        for earlier in self.spans:
            if earlier.until_s == float("inf") and earlier.over_s != float("inf"):
                earlier.until_s = span.began_s
        self.spans.append(span)
        self._taken |= fault.needs
        refused = sum(victim.stale for victim in victims)
        try:
            await self._actions[fault.kind](fault, victims)
            span.over_s, span.frozen_s = self._loop.time(), self._frozen_s.pop(fault, 0.0)
        finally:
            self._taken -= fault.needs
            self._freed.set()
        await asyncio.sleep(STALE_S if fault.kind == plan.FREEZE else 0)
        span.stale = sum(victim.stale for victim in victims) - refused

    # -- instances ----------------------------------------------------------------------------

    async def _start(self, instances: list[ProxiedInstance]) -> None:
        """Start all of these and wait until they are ready; one that takes too long is a violation."""
        for instance in instances:
            await instance.launch()
        for instance in instances:
            try:
                async with asyncio.timeout(READY_S):
                    await instance.wait_ready()
            except (RuntimeError, TimeoutError) as error:
                self.violations.append(Violation("not_ready", f"{instance.name}: {error}"))

    async def _kill(self, fault: PlannedFault, victims: list[ProxiedInstance]) -> None:
        for victim in victims:
            await victim.kill()
        await asyncio.sleep(fault.length_s)
        await self._start(victims)

    async def _freeze(self, fault: PlannedFault, victims: list[ProxiedInstance]) -> None:
        """Processes stop with writes on their way, which arrive just before they go on: after a freeze beyond
        the lease somebody else has claimed their shards by then. That is what the fence is for. Answers pass until
        then, or an instance that commits one batch after the other would have sent its last one before.
        """
        for victim in victims:
            victim.proxies[plan.CUT_POSTGRES].cut(HELD_BACK)
        await asyncio.sleep(ON_ITS_WAY_S)
        began_s = self._loop.time()
        for victim in victims:
            victim.freeze()
        await asyncio.sleep(fault.length_s)
        for victim in victims:
            victim.proxies[plan.CUT_POSTGRES].cut(PASS)
        await asyncio.sleep(ARRIVES_S)
        for victim in victims:
            victim.thaw()
        self._frozen_s[fault] = self._loop.time() - began_s

    async def _restart(self, fault: PlannedFault, victims: list[ProxiedInstance]) -> None:
        """SIGTERM, wait, start; several leave and come back together, as when a cluster is scaled."""
        async with asyncio.TaskGroup() as tasks:
            for victim in victims:
                tasks.create_task(self._leave(victim), name=f"{victim.name} leaves")
        await asyncio.sleep(fault.length_s)
        await self._start(victims)

    async def _leave(self, victim: ProxiedInstance) -> None:
        code = await victim.stop(signal.SIGTERM)
        if code != 0:
            self.violations.append(Violation("bad_exit", f"{victim.name} left with {code}"))

    async def _roll(self, fault: PlannedFault, victims: list[ProxiedInstance]) -> None:
        """One after the other: the next one leaves when the last one is ready."""
        for victim in victims:
            await self._restart(fault, [victim])

    async def _cut(self, fault: PlannedFault, victims: list[ProxiedInstance]) -> None:
        for victim in victims:
            self.cluster.cut(victim, fault.kind, fault.mode)
        await asyncio.sleep(fault.length_s)
        for victim in victims:
            self.cluster.cut(victim, fault.kind, PASS)

    # -- Redis --------------------------------------------------------------------------------

    async def _flush(self, fault: PlannedFault, victims: list[ProxiedInstance]) -> None:
        del fault, victims
        async with Redis.from_url(self._valkey.redis_url) as redis:
            await redis.flushall()

    async def _kill_redis(self, fault: PlannedFault, victims: list[ProxiedInstance]) -> None:
        """Nothing of it is on disk, so it comes back empty."""
        del victims
        self._valkey.kill()
        await asyncio.sleep(fault.length_s)
        self._valkey.launch()
        await asyncio.to_thread(self._valkey.wait_ready)

    async def _freeze_redis(self, fault: PlannedFault, victims: list[ProxiedInstance]) -> None:
        del victims
        pid = self._valkey.pid
        assert pid is not None
        os.kill(pid, signal.SIGSTOP)
        await asyncio.sleep(fault.length_s)
        os.kill(pid, signal.SIGCONT)

    # -- Postgres -----------------------------------------------------------------------------

    async def _stop_postgres(self, fault: PlannedFault, victims: list[ProxiedInstance]) -> None:
        del victims
        await asyncio.to_thread(self._postgres.stop, "immediate")
        down_s = time()
        await asyncio.sleep(fault.length_s)
        self._history.outages.append((down_s, time()))
        self._postgres.launch()
        await asyncio.to_thread(self._postgres.wait_ready)

    async def _freeze_postgres(self, fault: PlannedFault, victims: list[ProxiedInstance]) -> None:
        """All of its processes; the first one first, so that it makes no more."""
        del victims
        pid = self._postgres.pid
        assert pid is not None
        os.kill(pid, signal.SIGSTOP)
        family = list(process_tree(pid))
        for member in family:
            self._signal(member, signal.SIGSTOP)
        down_s = time()
        await asyncio.sleep(fault.length_s)
        self._history.outages.append((down_s, time()))
        for member in reversed(family):
            self._signal(member, signal.SIGCONT)

    def _signal(self, pid: int, number: signal.Signals) -> None:
        try:
            os.kill(pid, number)
        except ProcessLookupError:  # it ended meanwhile
            return
