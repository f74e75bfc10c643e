"""One host with its instance: born, killed, frozen, drained, born again."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Container, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from actors.clock import LoopClock
from actors.cluster.drain import forsake, leave
from actors.cluster.leases import LeasesAway
from actors.cluster.node import Cluster
from actors.cluster.transport import Greeting
from actors.errors import Unanswered
from actors.messages import Delivery, Emit
from actors.runtime import Runtime
from actors.shards import shard_of
from api.feed.resubscription import Resubscription
from api.feed.state import Disposition, FeedState
from dispatch import feed_frames
from dispatch.background import BackgroundTasks
from dispatch.driver_actor import DriverBehaviour, driver_ref
from dispatch.order_actor import OrderBehaviour
from dispatch.plan_steps import step_at_once
from dispatch.service import Dispatch
from dispatch.wire_types import travellers
from dispatch.zone_actor import ZoneBehaviour
from dispatch.zone_planning import STEP
from storage.memory.leases import MemoryLeases
from tests.simulation.wires import LeaseWire, SimNetwork, StoreWire

if TYPE_CHECKING:
    from tests.simulation.world import World


class Killed(BaseException):
    """The instance is gone, as by kill -9: nothing it planned to do afterwards happens."""


class SeededEntropy:
    """Chance from the seed."""

    def __init__(self, rng: random.Random) -> None:
        self._rng = rng

    def token(self) -> str:
        return f"{self._rng.getrandbits(128):032x}"

    trace = token

    def random(self) -> float:
        return self._rng.random()


@dataclass
class Phone:
    """A driver's app: applies feed entries in order, remembers its position, resumes."""

    driver: int
    epoch: str | None = None
    seq: int | None = None
    session: str = ""
    host: Host | None = None
    offers: dict[int, str] = field(default_factory=dict)
    orders: set[int] = field(default_factory=set)
    board: dict[int, str] = field(default_factory=dict)
    closed: bool = True


class Socket:
    """A driver's socket at its edge: what api.feed.session.Session is for the feed, under the same rules."""

    def __init__(self, hub: SimHub, phone: Phone, address: str, opened_ms: int) -> None:
        self.hub = hub
        self.phone = phone
        self.address = address
        self.driver = phone.driver
        self.shard = shard_of(driver_ref(phone.driver))
        self.state = FeedState(hub.clock.monotonic(), float("inf"), phone.epoch, phone.seq)
        self.opened_ms = opened_ms
        self.number: tuple[int, int] | None = None
        self.trace = "t"

    def close(self, code: int) -> None:
        self.state.close(code)
        self.hub.sessions.pop(self.address, None)
        if self.phone.session == self.address:
            self.phone.closed = True

    def push(self, frame: dict[str, Any]) -> None:
        found = self.state.advance(frame)
        if found is Disposition.GAP:
            self.hub.resubscription.want(self)
        elif found is Disposition.LOST:
            self.close(feed_frames.POSITION_LOST)
        elif found is Disposition.SEND and self.phone.session == self.address and not self.phone.closed:
            self.hub.world.checks.frame(self.phone, frame)


class SimHub:
    """The sockets of one instance; the runtime's emitter."""

    def __init__(self, world: World, host: Host, clock: LoopClock) -> None:
        self.world = world
        self.host = host
        self.clock = clock
        self.sessions: dict[str, Socket] = {}
        self._boards: dict[str, dict[int, str]] = {}
        self.alive = True
        self.resubscription: Resubscription

    def emit(self, emit: Emit, trace: str) -> None:
        if not self.alive:
            return
        if (frozen_s := self.host.frozen_s()) > 0:
            asyncio.get_running_loop().call_later(frozen_s, self.emit, emit, trace)
            return
        if emit.delivery is Delivery.TOPIC:
            shown = {int(o["order_id"][4:]): o["offer_id"] for o in emit.made()["data"]["orders"]}
            self._boards[emit.to] = shown
            for socket in list(self.sessions.values()):
                socket.phone.board = dict(self.board)
            return
        found = self.sessions.get(emit.to)
        if found is None:
            return
        if emit.delivery is Delivery.CLOSE:
            found.close(emit.frame)
        else:
            found.push(emit.frame)

    @property
    def board(self) -> dict[int, str]:
        """The orders on all boards."""
        return {order: offer for board in self._boards.values() for order, offer in board.items()}

    def owner_changed(self, shards: Container[int]) -> None:
        """As api.subscriptions.hub.Hub.moved."""
        for socket in list(self.sessions.values()):
            if socket.shard in shards:
                self.resubscription.want(socket)


class Host:
    """A place where an instance runs, life after life, under one name."""

    def __init__(self, name: str, world: World) -> None:
        self.name = name
        self.world = world
        self.alive = False
        self.dispatch: Dispatch | None = None
        self.cluster: Cluster | None = None
        self.hub: SimHub | None = None
        self.frozen_until = 0.0
        self.no_leases = False
        self.no_store = False
        self.lives = 0
        self.drains = False
        self.away_s = 0.0
        self._kill = asyncio.Event()

    # -- what can go wrong --------------------------------------------------------------------

    def frozen_s(self) -> float:
        """How long nothing goes in or out any more."""
        return max(0.0, self.frozen_until - self.world.loop.time())

    def leases_are_away(self) -> bool:
        return self.no_leases or self.world.redis_is_down

    def store_is_down(self) -> bool:
        return self.no_store or self.world.store_is_down

    def kill(self, away_s: float) -> None:
        """kill -9; a new life begins after `away_s`."""
        self.away_s, self.drains = away_s, False
        self._kill.set()

    def drain(self, away_s: float) -> None:
        """SIGTERM; a new life begins after `away_s`."""
        self.away_s, self.drains = away_s, True
        self._kill.set()

    # -- life ---------------------------------------------------------------------------------

    async def live(self) -> None:
        """Life after life, until cancelled."""
        while True:
            try:
                async with asyncio.TaskGroup() as tasks:
                    tasks.create_task(self._life(), name=self.name)
            except* Killed:
                pass
            await asyncio.sleep(self.away_s or self.world.rng.uniform(0.2, 1.0))

    async def _life(self) -> None:
        world, rng = self.world, self.world.rng
        self.lives += 1
        self._kill.clear()
        entropy = SeededEntropy(rng)
        drift = rng.uniform(0.97, 1.03)
        clock = LoopClock(world.loop, 1_800_000_000.0, boot=lambda: world.loop.time() * drift)
        me = Greeting(self.name, f"{self.name}.{entropy.token()[:6]}")
        store = StoreWire(self, world.store, rng, world.faults, world.checks)
        lease_wire = LeaseWire(self, rng, world.faults)
        hub = SimHub(world, self, clock)
        zones_due = asyncio.Event()

        def taken(shards: Sequence[int]) -> None:
            del shards
            zones_due.set()

        cluster = Cluster(
            me=me, transport=SimNetwork(world.cables, self),
            leases=MemoryLeases(world.table, clock.boot, entropy, wire=lease_wire),
            emitter=hub, codec=travellers(), clock=clock, entropy=entropy, taken=taken,
            owner_changed=hub.owner_changed, log=world.note,
            life=next(world.lives), version=f"1.{self.lives if world.upgrades else 0}.0",
        )  # fmt: skip
        runtime = Runtime(
            instance=self.name, incarnation=me.incarnation,
            behaviours=[OrderBehaviour(), DriverBehaviour("e1"), ZoneBehaviour()],
            journal=store, emitter=cluster.peers, peers=cluster.forwarding, lost=cluster.lost,
            clock=clock, entropy=entropy, log=world.note, computed={STEP: step_at_once},
        )  # fmt: skip
        cluster.attach(runtime)
        dispatch = Dispatch(runtime, store)
        hub.resubscription = Resubscription(hub, dispatch)
        self.alive = True
        try:
            async with runtime.running(), cluster.running(), asyncio.TaskGroup() as tasks:
                loops = [
                    tasks.create_task(dispatch.run(), name="creations"),
                    tasks.create_task(hub.resubscription.run(), name="rebinding"),
                ]
                background = BackgroundTasks(
                    dispatch, store, done=_ignore, failed=_ignore, swept=_ignore, zones_due=zones_due
                )
                loops += [
                    tasks.create_task(background.run(chore), name=chore.name) for chore in background.all
                ]
                self.dispatch, self.cluster, self.hub = dispatch, cluster, hub
                await self._kill.wait()
                if self.drains:
                    await self._leave(cluster, runtime)
                    for loop in loops:
                        loop.cancel()
                else:
                    self._die(store, lease_wire, hub, runtime)
                    raise Killed
            await forsake(cluster.reconciler)
        except* Unanswered:
            pass  # the store was away at start: try again
        finally:
            self._die(store, lease_wire, hub, runtime)

    async def _leave(self, cluster: Cluster, runtime: Runtime) -> None:
        """As at SIGTERM: new sockets are refused, the old ones are sent away, shards are handed over."""
        hub, self.hub = self.hub, None
        assert hub is not None
        await leave(cluster.reconciler, 9.0)
        for socket in list(hub.sessions.values()):
            socket.close(4200)
        self.dispatch = None
        self.world.note("left", host=self.name, kept=len(runtime.cells.held()))

    def _die(self, store: StoreWire, leases: LeaseWire, hub: SimHub, runtime: Runtime) -> None:
        """No more words; only what is on its way still arrives."""
        self.alive = store.alive = leases.alive = hub.alive = False
        runtime.drain_s = 0.0
        self.dispatch = self.cluster = self.hub = None
        self.world.cables.down(self)
        for socket in list(hub.sessions.values()):
            socket.close(1006)


def _ignore(*_: object) -> None:
    """Nobody counts here."""


__all__ = ["Host", "Killed", "LeasesAway", "Phone", "SimHub", "Socket"]
