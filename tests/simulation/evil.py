"""The nemesis: what goes wrong, drawn from the seed."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tests.simulation.node import Host
    from tests.simulation.world import World


# Unnoticed, within a lease, after it but with all lines still up, and after everything.
FREEZES_S = (0.3, 1.0, 3.0, 4.5, 6.0, 9.0)


class Nemesis:
    """Torments a world until it is told to be quiet; every deed ends by itself."""

    def __init__(self, world: World) -> None:
        self._world = world
        self.deeds: list[str] = []

    async def run(self) -> None:
        """One deed after the other; several may overlap."""
        world = self._world
        deeds: list[tuple[str, float, Callable[[], Coroutine[Any, Any, None]]]] = [
            ("kill", 3.0, self._kill), ("drain", 2.0, self._drain), ("freeze", 3.0, self._freeze),
            ("cut hosts", 2.0, self._cut), ("cut leases", 1.5, self._cut_leases),
            ("cut store", 1.0, self._cut_store), ("redis forgets", 1.5, self._forget),
            ("redis remembers wrongly", 0.7, self._misremember), ("redis down", 1.0, self._redis_down),
            ("store restart", 1.5, self._store_restart), ("lock rows", 1.5, self._lock_rows),
            ("kill all", 0.3, self._kill_all),
        ]  # fmt: skip
        async with asyncio.TaskGroup() as tasks:
            while not world.quiet:
                await asyncio.sleep(world.rng.expovariate(1 / world.faults.evil_every_s))
                if world.quiet:
                    return
                name, _, deed = world.rng.choices(deeds, [weight for _, weight, _ in deeds])[0]
                self.deeds.append(name)
                world.note("deed", name=name)
                tasks.create_task(deed(), name=name)

    def _victim(self) -> Host:
        return self._world.rng.choice(self._world.hosts)

    async def _kill(self) -> None:
        self._victim().kill(self._world.rng.uniform(0.2, 6.0))

    async def _kill_all(self) -> None:
        for host in self._world.hosts:
            host.kill(self._world.rng.uniform(0.2, 2.0))

    async def _drain(self) -> None:
        if sum(host.dispatch is not None for host in self._world.hosts) > 1:
            self._victim().drain(self._world.rng.uniform(0.2, 6.0))

    async def _freeze(self) -> None:
        host = self._victim()
        host.frozen_until = self._world.loop.time() + self._world.rng.choice(FREEZES_S)

    async def _cut(self) -> None:
        one, other = self._world.rng.sample(self._world.hosts, 2)
        cut = frozenset((one.name, other.name))
        self._world.cables.cuts.add(cut)
        await asyncio.sleep(self._world.rng.uniform(0.2, 8.0))
        self._world.cables.cuts.discard(cut)

    async def _cut_leases(self) -> None:
        host = self._victim()
        host.no_leases = True
        await asyncio.sleep(self._world.rng.uniform(0.5, 9.0))
        host.no_leases = False

    async def _cut_store(self) -> None:
        host = self._victim()
        host.no_store = True
        await asyncio.sleep(self._world.rng.uniform(0.2, 9.0))
        host.no_store = False

    async def _forget(self) -> None:
        self._world.table.flush()

    async def _misremember(self) -> None:
        """A replica takes over that has not heard of the last second or two."""
        old = self._world.table.snapshot()
        await asyncio.sleep(self._world.rng.uniform(0.3, 3.0))
        self._world.table.restore(old)

    async def _redis_down(self) -> None:
        self._world.redis_is_down = True
        await asyncio.sleep(self._world.rng.uniform(0.3, 12.0))
        self._world.redis_is_down = False

    async def _store_restart(self) -> None:
        self._world.store_is_down = True
        long = self._world.rng.random() < 0.2
        await asyncio.sleep(self._world.rng.uniform(3.0, 8.0) if long else self._world.rng.uniform(0.1, 2.0))
        self._world.store_is_down = False

    async def _lock_rows(self) -> None:
        """A person at the store's console begins to change something, and goes for a coffee."""
        rng, store = self._world.rng, self._world.store
        rows = [f"driver {number}" for number in store.drivers] + [
            f"order {number}" for number in store.orders
        ]
        held = rng.sample(rows, min(len(rows), rng.choice((1, 1, 2, 8))))
        store.locks |= dict.fromkeys(held, (4711, "ann", "psql", "idle in transaction"))
        await asyncio.sleep(rng.uniform(0.1, 8.0))
        for row in held:
            store.locks.pop(row, None)
