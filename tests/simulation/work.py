"""Background work in the world: hosts with a relay and a worker, tasks that note what they did, and a nemesis.

What is said to a host (a notification, an answer) waits while it is frozen, and is lost when it is dead.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from actors.clock import LoopClock
from dispatch.jobs.events import Event
from dispatch.jobs.relay import Relay
from dispatch.jobs.stored import StoredJobs
from dispatch.jobs.tasks import Job, NewJob, Payload, Retries, Snooze, Task
from dispatch.jobs.worker import Worker
from dispatch.webhooks.sender import Sender
from dispatch.webhooks.store import QueryStore
from storage.memory.jobs import MemoryJobs
from tests.simulation import webhook_world
from tests.simulation.node import Killed, SeededEntropy
from tests.simulation.webhook_world import WebhookPost, Webhooks
from tests.simulation.work_checks import WorkChecks, is_probe
from tests.simulation.work_wire import WorkWire

if TYPE_CHECKING:
    from tests.simulation.world import World

HOSTS = 2
# Two extensions may be lost; a freeze may outlive it.
LEASE_S = 6.0
DRAIN_S = 1.0
FREEZES_S = (0.3, 1.0, 4.0, 7.0, 9.0)
# Nobody fails so often by chance.
RETRIES = Retries(failures_max=1000, first_s=0.2, max_s=1.0)
# From the commit of a row to the start of its job, when nothing is wrong. A poll would take a second.
PROBE_S = 0.25
PROBES = 10


class Subject(Payload):
    """Payload of a job that follows from an event."""

    type: str
    ref: int
    version: int


class Nothing(Payload):
    """Payload of jobs that need none."""


def follow(event: Event) -> Sequence[NewJob]:
    """Each event is noted; those of one subject one after the other."""
    payload = {"type": event.type, "ref": event.ref, "version": event.version}
    return [NewJob("note", payload, f"note/{event.topic}/{event.ref}")]


class BackgroundWork:
    """All background work of a world."""

    def __init__(self, world: World, seed: int) -> None:
        self.world = world
        # Of its own, so that the orders of a seed do not depend on draws here.
        self.rng = random.Random(seed + 1_000_003)
        clock = LoopClock(world.loop, 1_800_000_000.0 + world.loop.time())
        self.jobs = MemoryJobs(clock, world.store.outbox)
        self.checks = WorkChecks(self.jobs, world.store, world.checks.broken)
        self.hooks = Webhooks(self, clock)
        self.hosts = [WorkHost(f"work-{number}", self) for number in range(1, HOSTS + 1)]
        self._probes = 0

    def announce(self) -> None:
        """An instance says that its commit may have written to the outbox; that may be lost."""
        self._tell(lambda host: None if host.relay is None else host.relay.due.set)

    def notify(self) -> None:
        """The commit of a relay says that there may be jobs; that may be lost."""
        self._tell(lambda host: None if host.worker is None else host.worker.due.set)
        self._tell(lambda host: None if host.sender is None else host.sender.wake)

    def _tell(self, due: Callable[[WorkHost], Callable[[], None] | None]) -> None:
        for host in self.hosts:
            wake = due(host)
            if wake is not None and self.rng.random() >= self.world.faults.lost_answer:
                self.world.loop.call_later(self.rng.uniform(0.0002, 0.002) + host.frozen_s(), wake)

    # -- what is done in a storm ----------------------------------------------------------------

    async def poison(self) -> None:
        """In some worlds a job ends each worker that does it. It comes with neighbours."""
        if self.rng.random() < 0.4:
            return
        await asyncio.sleep(self.rng.uniform(1.0, 12.0))
        neighbour = {"type": "neighbour", "ref": 0, "version": 0}
        new = [NewJob("note", neighbour), NewJob("poison", {}), NewJob("note", neighbour)]
        await StoredJobs(self.jobs).enqueue(new, "t")
        self.notify()

    async def torment(self) -> None:
        """Kill, stop and freeze hosts, and cut them off the store, until the world is quiet."""
        rng, world = self.rng, self.world
        while not world.quiet:
            await asyncio.sleep(rng.expovariate(1 / world.faults.evil_every_s))
            host = rng.choice(self.hosts)
            if host.is_tried() or world.quiet:
                continue
            deed = rng.choices(("kill", "stop", "freeze", "cut"), (3.0, 2.0, 3.0, 1.0))[0]
            world.note("deed", name=f"{deed} {host.name}")
            if deed == "kill":
                host.kill(rng.uniform(0.2, 6.0))
            elif deed == "stop":
                host.stop(rng.uniform(0.2, 3.0))
            elif deed == "freeze":
                host.frozen_until = world.loop.time() + rng.choice(FREEZES_S)
                host.troubled_at = host.frozen_until
            else:
                host.cut_until = world.loop.time() + rng.uniform(0.5, 8.0)

    # -- when it is calm --------------------------------------------------------------------------

    async def probe(self) -> None:
        """Rows that come while somebody looks for the last time before it waits are not left to a poll.

        Raises:
            Violation: one was.
        """
        for _ in range(PROBES):
            await asyncio.sleep(self.rng.uniform(0.05, 0.6))
            for _ in range(3):
                self._probes += 1
                self.world.store.outbox.rows.append(self._row(self._probes))
                self.checks.wait_for(self._probes, self.world.loop.time())
                self.announce()
                await asyncio.sleep(self.rng.choice((0.0005, 0.002, 0.005, 0.025, 0.027)))
        await asyncio.sleep(1.5)
        self.checks.probes_at_end(PROBE_S)
        self.hooks.at_end()

    def _row(self, number: int) -> dict[str, Any]:
        row = {"id": 1_000_000_000 + number, "topic": "stock", "ref": number, "version": number, "trace": "t"}
        facts = {"data": {"event": "low", "stock": 1, "limit": 5}, "store_id": 1, "product_name": "Tea"}
        return row | facts | {"product_zone_id": 1, "at_ms": round(self.world.store._wall() * 1000)}


class WorkHost:
    """A place where a worker process runs, life after life, under one name."""

    def __init__(self, name: str, work: BackgroundWork) -> None:
        self.name = name
        self.work = work
        self.worker: Worker | None = None
        self.relay: Relay | None = None
        self.sender: Sender | None = None
        self.frozen_until = self.cut_until = 0.0
        # When something that is not the fault of a job last happened to it.
        self.troubled_at = 0.0
        self._away_s = 0.0
        self._lives = 0
        self._kill = asyncio.Event()
        self._stop = asyncio.Event()
        self._wire: WorkWire | None = None

    def frozen_s(self) -> float:
        """How long nothing goes in or out any more."""
        return max(0.0, self.frozen_until - self.work.world.loop.time())

    def store_is_down(self) -> bool:
        """No call of it arrives."""
        world = self.work.world
        return world.store_is_down or self.cut_until > world.loop.time()

    def is_tried(self) -> bool:
        """It does a suspect alone, to see whether that ends it. Nobody else should, meanwhile."""
        running = () if self.worker is None else self.worker.running
        return any(job.deaths >= 2 for job in running)

    def kill(self, away_s: float, *, by_job: bool = False) -> None:
        """kill -9; a new life begins after `away_s`."""
        if self._wire is not None:
            self._wire.alive = False
        if not by_job:
            self.troubled_at = self.work.world.loop.time()
        self._away_s = away_s
        self._kill.set()

    def stop(self, away_s: float) -> None:
        """SIGTERM; a new life begins after `away_s`."""
        self._away_s = away_s
        self._stop.set()

    async def live(self) -> None:
        """Life after life, until cancelled."""
        while True:
            self._kill.clear()
            self._stop.clear()
            self._away_s = 0.2
            try:
                async with asyncio.TaskGroup() as tasks:
                    await self._life(tasks)
            except* Killed:
                pass
            finally:
                self.worker = self.relay = self.sender = None
            await asyncio.sleep(self._away_s)

    async def _life(self, tasks: asyncio.TaskGroup) -> None:
        work = self.work
        self._lives += 1
        wire = self._wire = WorkWire(self, self._lives)
        store, loop = StoredJobs(wire), work.world.loop
        self.worker = Worker(
            store, self._tasks(wire), LoopClock(loop, 1_800_000_000.0 + loop.time()), SeededEntropy(work.rng),
            name=self.name, life=str(self._lives), lease_s=LEASE_S,
        )  # fmt: skip
        self.relay = Relay(store, batch=20, following=follow)
        self.sender = self._sender(wire)
        sending = tasks.create_task(self.sender.run(self._stop))
        others = [tasks.create_task(self.relay.run()), tasks.create_task(self._killed())]
        await self.worker.run(self._stop, DRAIN_S)
        await sending
        wire.alive = False
        for other in others:
            other.cancel()

    def _sender(self, wire: WorkWire) -> Sender:
        loop, post = self.work.world.loop, WebhookPost(self, wire)
        clock = LoopClock(loop, 1_800_000_000.0 + loop.time())
        store = QueryStore(wire, clock, name=self.name, life=str(self._lives))
        return Sender(
            store, post, clock, SeededEntropy(self.work.rng), post, lease_s=webhook_world.LEASE_S,
            request_s=webhook_world.REQUEST_S, grace_s=DRAIN_S,
        )  # fmt: skip

    async def _killed(self) -> None:
        await self._kill.wait()
        raise Killed

    # -- tasks ------------------------------------------------------------------------------------

    def _tasks(self, wire: WorkWire) -> list[Task[Any]]:
        async def note(payload: Subject, job: Job) -> None:
            del payload
            await self._note(wire, job)

        async def poison(payload: Nothing, job: Job) -> None:
            del payload
            self._begin(wire, job)
            self.kill(self.work.rng.uniform(0.2, 3.0), by_job=True)
            await asyncio.Event().wait()

        return [
            Task("note", Subject, note, RETRIES, width=6, deadline_s=4.0),
            Task("poison", Nothing, poison, RETRIES, width=1, deadline_s=4.0),
        ]

    def _begin(self, wire: WorkWire, job: Job) -> None:
        wire.begun.add((job.id, job.attempts))
        assert self.worker is not None
        alone = [other.id for other in self.worker.running] == [job.id]
        self.work.checks.begun(job, self.work.world.loop.time(), alone=alone)

    async def _note(self, wire: WorkWire, job: Job) -> None:
        rng, world = self.work.rng, self.work.world
        self._begin(wire, job)
        await asyncio.sleep(self._takes_s(is_probe(job.payload)))
        await self._thawed()
        if not world.quiet and rng.random() < 0.1:
            raise OSError("the receiver is away")
        if not world.quiet and rng.random() < 0.03:
            raise Snooze(round(self.work.jobs._now_s() * 1000) + 500)
        if wire.alive:
            self.work.checks.noted(job, world.loop.time())

    def _takes_s(self, is_short: bool) -> float:
        """How long a job takes. Some end while their worker still looks for more, and some after their deadline."""
        rng = self.work.rng
        if is_short:
            return rng.uniform(0.0, 0.01)
        if rng.random() < 0.03 and not self.work.world.quiet:
            return rng.uniform(1.0, 8.0)
        return rng.expovariate(20.0)

    async def _thawed(self) -> None:
        while self.frozen_s():  # noqa: ASYNC110 - it may be frozen again meanwhile
            await asyncio.sleep(self.frozen_s())
