"""One seed: a storm, then calm, then the verdict."""

from __future__ import annotations

import asyncio
import gc
from dataclasses import dataclass
from hashlib import blake2b

from tests.simulation.checks import Violation
from tests.simulation.evil import Nemesis
from tests.simulation.loop import simulated
from tests.simulation.wires import Faults
from tests.simulation.world import CUSTOMERS, DRIVERS, World

STORM_S = 25.0
CALM_S = 40.0
# Not before: two sweeps and two looks at the leases.
REST_S = 12.0


@dataclass(frozen=True)
class Result:
    """What a run was: its trace hash proves that the same seed is the same run."""

    seed: int
    trace: str
    orders: int
    wins: int
    simulated_s: float
    jobs: int
    repeats: int
    sent: int
    sent_again: int


async def _calm(world: World) -> None:
    """Until everything has come to rest, which must be within CALM_S.

    Raises:
        Violation: it has not.
    """
    await asyncio.sleep(REST_S)
    end = world.loop.time() + CALM_S - REST_S
    while True:
        world.checks.heard(world.now_ms())
        broken = list(world.checks.broken)
        try:
            world.checks.at_end(world.phones)
            world.checks.owners_at_end(world.owners())
            world.checks.actors_at_end(world.actors("driver"), world.crashes())
            world.work.checks.at_end()
            world.work.hooks.at_end()
        except Violation:
            if broken or world.loop.time() >= end:
                raise
            world.checks.broken = broken
        else:
            return
        await asyncio.sleep(1.0)


async def _story(seed: int, faults: Faults | None, tell: bool) -> Result:
    world = World(seed, faults, tell=tell)
    began = world.loop.time()
    world.loop.set_exception_handler(lambda _, context: world.checks.broken.append(str(context)))
    people = []
    async with asyncio.TaskGroup() as tasks:
        people += [tasks.create_task(host.live(), name=host.name) for host in world.hosts]
        people.append(tasks.create_task(Nemesis(world).run(), name="nemesis"))
        people.append(tasks.create_task(world.reader(), name="reader"))
        people += [tasks.create_task(world.customer(n), name=f"customer {n}") for n in range(CUSTOMERS)]
        people += [tasks.create_task(world.driver(n), name=f"driver {n}") for n in range(1, DRIVERS + 1)]
        people.append(tasks.create_task(world.admin(), name="admin"))
        workers = [tasks.create_task(host.live(), name=host.name) for host in world.work.hosts]
        people.append(tasks.create_task(world.work.torment(), name="nemesis of work"))
        people.append(tasks.create_task(world.work.poison(), name="poison"))
        await asyncio.sleep(STORM_S)
        world.quiet = True
        world.faults.calm()
        world.work.hooks.recover()
        await _calm(world)
        for person in people:
            person.cancel()
        await world.work.probe()
        for worker in workers:
            worker.cancel()
    work = world.work
    events = [(e["order_id"], e["version"], e["type"], e["driver_id"]) for e in world.store.order_events]
    facts = repr((events, work.jobs.runs, work.hooks.store.attempts))
    return Result(
        seed,
        blake2b(facts.encode(), digest_size=8).hexdigest(),
        len(world.store.orders),
        world.checks.accepts["won"],
        world.loop.time() - began,
        len({job for job, _, _ in work.jobs.runs}),
        work.checks.repeats,
        len(work.hooks.store.attempts),
        work.hooks.repeats,
    )


def run_seed(seed: int, faults: Faults | None = None, *, tell: bool = False) -> Result:
    """Run one seed.

    Raises:
        Violation: an invariant was broken; the seed is all that is needed to see it again.
    """
    gc.disable()  # a tenth of the time: next to nothing of a run is garbage before its end
    try:
        with simulated(seed) as loop:
            return loop.run_until_complete(_story(seed, faults, tell))
    except BaseExceptionGroup as group:
        broken = group.subgroup(Violation)
        if broken is not None:
            leaf: BaseException = broken
            while isinstance(leaf, BaseExceptionGroup):
                leaf = leaf.exceptions[0]
            raise Violation(f"seed {seed}: {leaf}") from group
        raise
    finally:
        gc.enable()
        gc.collect()
