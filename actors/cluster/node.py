"""Assembly of the cluster's parts for one instance."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any

from actors.cancellation import end
from actors.clock import Clock, Randomness
from actors.cluster.codec import Codec
from actors.cluster.forwarding import Forwarding
from actors.cluster.leases import LeaseStore
from actors.cluster.peer_links import PeerLinks
from actors.cluster.reconciler import Reconciler
from actors.cluster.routing_table import RoutingTable
from actors.cluster.transport import Greeting, Transport
from actors.ports import Emitter
from actors.runtime import Runtime
from actors.shards import SHARD_COUNT


def _ignore(*_: Any, **__: Any) -> None:
    """Ignore the call."""


async def _nothing() -> dict[str, Any]:
    """Empty status."""
    return {}


class Cluster:
    """Cluster node of one instance.

    Give `peers` to the runtime as its emitter, `forwarding` as its peers, and `lost` as its `lost`. Then `attach` the
    runtime, and open `running()` inside the runtime's.

    Args:
        codec: encodes messages and replies that travel.
        life: the number of this life of the instance, see leases.Member.
        taken: called with shards that this instance has just begun to serve.
        owner_changed: called with shards that have a new owner, or whose owner's frames may be lost: sessions of their
            actors must be bound again.
        usurped: called when a younger life of this instance runs.
        status: makes the status that peers ask for.
    """

    def __init__(
        self,
        *,
        me: Greeting,
        transport: Transport,
        leases: LeaseStore,
        emitter: Emitter,
        codec: Codec,
        clock: Clock,
        entropy: Randomness,
        version: str = "",
        life: int = 0,
        log: Callable[..., None] = _ignore,
        taken: Callable[[Sequence[int]], None] = _ignore,
        owner_changed: Callable[[frozenset[int]], None] = _ignore,
        usurped: Callable[[], None] = _ignore,
        status: Callable[[], Awaitable[Any]] = _nothing,
    ) -> None:
        self.me = me
        self.leases = leases
        self.peers = PeerLinks(me, transport, emitter, clock, log)
        self.routing_table = RoutingTable(self._owner_changed)
        self.forwarding = Forwarding(self.peers, self.routing_table, codec, entropy.random)
        self.version, self.life = version, life
        self._taken, self._listener, self._status, self._usurped = taken, owner_changed, status, usurped
        self._reconciler: Reconciler | None = None

    def attach(self, runtime: Runtime) -> None:
        """Set the runtime. To be called once, before `running`."""
        self.forwarding.runtime = runtime
        self._reconciler = Reconciler(
            runtime,
            self.leases,
            self.peers,
            self.routing_table,
            version=self.version,
            life=self.life,
            taken=self._taken,
            cut_off=self._cut_off,
            usurped=self._usurped,
            status=self._status,
        )
        self.peers.connect(self.forwarding, self._reconciler)

    @property
    def reconciler(self) -> Reconciler:
        assert self._reconciler is not None, "no runtime is attached"
        return self._reconciler

    def lost(self, shard: int) -> None:
        """Tell the reconciler that another instance has claimed a shard."""
        self.reconciler.lost(shard)

    def _cut_off(self, incarnation: str) -> None:
        """A link to a peer has ended: frames of its actors for sessions here may be lost."""
        self._listener(frozenset(s for s in range(SHARD_COUNT) if self.routing_table.owner(s) == incarnation))

    def _owner_changed(self, shards: list[int]) -> None:
        self.forwarding.owner_changed(shards)
        self._listener(frozenset(shards))

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Take part in the cluster until the block ends."""
        async with self.peers.running(), asyncio.TaskGroup() as tasks:
            waiting = tasks.create_task(self.forwarding.run(), name="messages without an owner")
            try:
                async with self.reconciler.running():
                    yield
            finally:
                await end([waiting])
                self.forwarding.abandon()
