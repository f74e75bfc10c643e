"""An instance repeats a command for its client: once an attempt is answered, those before it are dead."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import orjson

from actors.cluster.network import Greeting
from actors.shards import Ownership, shard_of
from dispatch.domain.geo import Place
from dispatch.messages import Reply
from dispatch.order_actor import order_ref
from dispatch.service import Caller, Dispatch, NewOrder
from tests.simulation.loop import simulated
from tests.simulation.node import Host
from tests.simulation.wires import Faults
from tests.simulation.world import World

DRIVER = 3  # one slot, in the open zone
# Longer than a lease, shorter than the patience with a silent line; and when in it the driver accepts, so that the
# shard has another owner before its time is up.
FROZEN_S, ASKED_S = 4.8, 2.2


@asynccontextmanager
async def _calm_world() -> AsyncIterator[World]:
    """Three instances that share the shards, and nothing that goes wrong."""
    faults = Faults()
    faults.calm()
    world = World(1, faults)
    async with asyncio.TaskGroup() as tasks:
        lives = [tasks.create_task(host.live()) for host in world.hosts]
        await asyncio.sleep(15.0)
        yield world
        for life in lives:
            life.cancel()


async def _open_order(dispatch: Dispatch, key: str) -> int:
    new = NewOrder(((2, 1),), Place(0.02, 0.02), "door", "cash", None)
    placed = await dispatch.create_order(Caller("customer", 100, key, key, b"body"), new)
    return int(placed.facts["id"])


def _shards(host: Host) -> list[Ownership | None]:
    return [] if host.dispatch is None else host.dispatch.runtime.shards.owned


def _owner(world: World, order: int, but: Host | None = None) -> Host:
    shard = shard_of(order_ref(order))
    return next(h for h in world.hosts if h is not but and h.dispatch and _shards(h)[shard] is not None)


async def _story() -> tuple[Reply, str]:
    """A driver without a free slot accepts an order whose owner is frozen: the answer, and the order's status when
    the slot was free again and the frozen instance had read what waited in its sockets.
    """
    caller = Caller("driver", DRIVER, "t", "online")
    async with _calm_world() as world:
        first: Dispatch = world.hosts[0].dispatch  # type: ignore[assignment]
        await first.set_availability(caller, "online")
        carried = await _open_order(first, "carried")
        assert (await first.accept(caller, carried, None)).code == "won"
        wanted = await _open_order(first, "wanted")
        frozen = _owner(world, wanted)
        edge: Dispatch = next(h for h in world.hosts if h is not frozen).dispatch  # type: ignore[assignment]
        frozen.frozen_until = world.loop.time() + FROZEN_S
        await asyncio.sleep(ASKED_S)
        reply = await edge.accept(Caller("driver", DRIVER, "t", "wanted"), wanted, None)
        await edge.release(Caller("admin", 999, "t", "released"), carried, "test")
        await edge.accept(Caller("driver", 1, "t", "other"), carried, None)
        await _until_it_writes(frozen, wanted)
        _hear_of(_owner(world, wanted, but=frozen), frozen, wanted)
        await asyncio.sleep(FROZEN_S)
    return reply, str(world.store.orders[wanted]["status"])


async def _until_it_writes(host: Host, order: int) -> None:
    """The attempt that waited at its door has had its turn there, and is on its way to the journal."""
    ownership = _shards(host)[shard_of(order_ref(order))]
    assert ownership is not None
    while True:
        cell = ownership.cells.get(order_ref(order))
        if cell is not None and cell.pending is not None and cell.pending[0].hop:
            return
        await asyncio.sleep(0.0001)


def _hear_of(owner: Host, host: Host, order: int) -> None:
    """What the new owner said when it took the shard was in another socket, and is read only now."""
    ownership = _shards(owner)[shard_of(order_ref(order))]
    assert ownership is not None
    assert owner.cluster is not None
    assert host.cluster is not None
    host.cluster.keeper.owned_by(
        owner.cluster.keeper.member.incarnation, [(ownership.shard, ownership.epoch)]
    )


def test_attempt_that_waited_at_a_frozen_instance_has_no_effect_after_a_later_one_was_refused() -> None:
    with simulated(1) as loop:
        reply, status = loop.run_until_complete(_story())
    assert (reply.code, status) == ("driver_busy", "confirmed")


class FakeLine:
    """A line of a peer to an instance of the world; what is said to the peer can be read."""

    def __init__(self, world: World, host: Host) -> None:
        self.peer = Greeting("peer", "peer.1")
        self.said: list[list[Any]] = []
        self.closed = False
        self._receive = world.cables.receiver(host)

    def send(self, frame: bytes) -> bool:
        self.said.append(orjson.loads(frame))
        return True

    def close(self) -> None:
        self.closed = True

    def bring(self, *frame: Any) -> None:
        """A frame of the peer arrives."""
        self._receive(self, orjson.dumps(frame))


def _asked(order: int, epoch: int) -> list[Any]:
    accept = ["Accept", {"driver_id": DRIVER, "offer_id": None}]
    return ["A", 1, "order", order, epoch, 2000, f"command-{epoch}", "body", "t", accept]


async def _answers_to_an_ask_before_and_after_the_shard_was_taken() -> tuple[list[Any], list[Any], str]:
    async with _calm_world() as world:
        order = await _open_order(world.hosts[0].dispatch, "order")  # type: ignore[arg-type]
        owner = _owner(world, order)
        line, ownership = FakeLine(world, owner), _shards(owner)[shard_of(order_ref(order))]
        assert ownership is not None
        for epoch in (ownership.first - 1, ownership.first):
            line.bring(*_asked(order, epoch))
            await asyncio.sleep(0.5)
        here = [ownership.shard, owner.cluster.keeper.member.incarnation, ownership.epoch]  # type: ignore[union-attr]
    late, timely = [frame for frame in line.said if frame[0] != "P"]
    assert late == ["M", 1, *here]
    return late, timely, str(world.store.orders[order]["status"])


def test_ask_that_was_meant_for_an_owner_before_us_is_sent_back_and_told_who_we_are() -> None:
    with simulated(1) as loop:
        late, timely, status = loop.run_until_complete(
            _answers_to_an_ask_before_and_after_the_shard_was_taken()
        )
    assert (late[0], timely[0], status) == ("M", "R", "confirmed")
    assert timely[2][1][0] == "driver_offline"


async def _lines_of_one_peer() -> tuple[bool, bool, bool]:
    async with _calm_world() as world:
        host = world.hosts[0]
        older, newer, another = FakeLine(world, host), FakeLine(world, host), FakeLine(world, host)
        another.peer = Greeting("another", "another.1")
        for line in (older, another, newer):
            line.bring("N")
        return older.closed, newer.closed, another.closed


def test_new_line_of_a_peer_ends_the_one_before_it() -> None:
    with simulated(1) as loop:
        assert loop.run_until_complete(_lines_of_one_peer()) == (True, False, False)
