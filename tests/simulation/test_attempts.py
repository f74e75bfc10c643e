"""An instance repeats a command for its client: once an attempt is answered, those before it are dead."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import orjson
import pytest

from actors.cluster.transport import Greeting
from actors.shards import Ownership, shard_of
from dispatch.domain.commands import Accept, Release
from dispatch.domain.geo import Place
from dispatch.messages import Reply
from dispatch.order_actor import order_ref
from dispatch.order_creation import NewOrder
from dispatch.service import Caller, Dispatch
from tests.simulation.loop import simulated
from tests.simulation.node import Host
from tests.simulation.wires import Faults
from tests.simulation.world import World

DRIVER = 1  # one slot, in the open zone
# Longer than a lease, shorter than the patience with a silent line; and when in it the driver accepts, so that the
# shard has another owner before its time is up.
FROZEN_S, ASKED_S = 4.8, 3.0


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
    return [] if host.dispatch is None else host.dispatch.runtime.cells.owned


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
        assert (await first.command(caller, carried, Accept(DRIVER))).code == "won"
        wanted = await _open_order(first, "wanted")
        frozen = _owner(world, wanted)
        edge: Dispatch = next(h for h in world.hosts if h is not frozen).dispatch  # type: ignore[assignment]
        frozen.frozen_until = world.loop.time() + FROZEN_S
        await asyncio.sleep(ASKED_S)
        reply = await edge.command(Caller("driver", DRIVER, "t", "wanted"), wanted, Accept(DRIVER))
        admin = Caller("admin", 999, "t", "released")
        await edge.command(admin, carried, Release(admin.by, "test"))
        await edge.command(Caller("driver", 1, "t", "other"), carried, Accept(1))
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
    host.cluster.reconciler.owned_by(
        owner.cluster.reconciler.member.incarnation, [(ownership.shard, ownership.epoch)]
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


@asynccontextmanager
async def _asking() -> AsyncIterator[tuple[World, Host, int, FakeLine]]:
    """A calm world, an order's owner, the order, and a line of a peer to that owner."""
    async with _calm_world() as world:
        order = await _open_order(world.hosts[0].dispatch, "order")  # type: ignore[arg-type]
        owner = _owner(world, order)
        yield world, owner, order, FakeLine(world, owner)


def _ownership(host: Host, order: int) -> Ownership:
    ownership = _shards(host)[shard_of(order_ref(order))]
    assert ownership is not None
    return ownership


async def _answer_to_an_ask_of(epoch: Callable[[Ownership], int]) -> tuple[list[Any], list[Any], bool]:
    """The answer, who serves the shard by the word of its owner, and whether that still does."""
    async with _asking() as (_, owner, order, line):
        ownership = _ownership(owner, order)
        me = owner.cluster.reconciler.member.incarnation  # type: ignore[union-attr]
        line.bring(*_asked(order, epoch(ownership)))
        await asyncio.sleep(0.01)
        served = _shards(owner)[ownership.shard] is ownership
        [answer] = [frame for frame in line.said if frame[0] != "P"]
    return answer, ["M", 1, ownership.shard, me, ownership.epoch], served


def _answer(epoch: Callable[[Ownership], int]) -> tuple[list[Any], list[Any], bool]:
    with simulated(1) as loop:
        return loop.run_until_complete(_answer_to_an_ask_of(epoch))


def test_ask_that_was_meant_for_an_owner_before_us_is_sent_back_and_told_who_we_are() -> None:
    answer, us, served = _answer(lambda ownership: ownership.first - 1)
    assert (answer, served) == (us, True)


@pytest.mark.parametrize("hops", [0, 1])
def test_ask_of_a_build_that_names_no_epoch_is_served(hops: int) -> None:
    answer, _, served = _answer(lambda _: hops)
    assert (answer[0], answer[2][1][0], served) == ("R", "driver_offline", True)


def test_ask_of_somebody_who_has_heard_of_a_newer_claim_ends_our_ownership() -> None:
    answer, us, served = _answer(lambda ownership: ownership.epoch + 1)
    assert (answer[:3], answer[3], served) == (us[:3], "", False)


async def _news_of_a_known_owner() -> list[Any]:
    """What an edge tells its sessions when an ask comes back from the owner that it knew already."""
    async with _calm_world() as world:
        order = await _open_order(world.hosts[0].dispatch, "order")  # type: ignore[arg-type]
        owner = _owner(world, order)
        edge = next(h for h in world.hosts if h is not owner)
        heard: list[Any] = []
        assert edge.cluster is not None
        assert edge.dispatch is not None
        assert owner.cluster is not None
        edge.cluster.routing_table._owner_changed = heard.append
        member, ownership = owner.cluster.reconciler.member, _ownership(owner, order)
        line = edge.cluster.peers.links[member.incarnation]
        asking = asyncio.ensure_future(edge.dispatch.order(order))
        while not edge.cluster.forwarding.under_way:  # noqa: ASYNC110 - a turn or two of a loop without a clock
            await asyncio.sleep(0)
        [asked] = edge.cluster.forwarding._asked
        back = ["M", asked, ownership.shard, member.incarnation, ownership.epoch]
        edge.cluster.forwarding.receive(line, back)
        await asking
    return heard


def test_ask_that_comes_back_from_the_owner_that_was_known_is_no_news() -> None:
    with simulated(1) as loop:
        assert loop.run_until_complete(_news_of_a_known_owner()) == []


async def _lines_of_one_peer(*numbers: int) -> list[bool]:
    """Which of the lines of one peer were closed, when their first frames were read in this order; and another's."""
    async with _calm_world() as world:
        links = [FakeLine(world, world.hosts[0]) for _ in range(len(numbers) + 1)]
        links[-1].peer = Greeting("another", "another.1")
        for line, number in zip(links, (*numbers, 1), strict=True):
            line.bring(*(["N", number] if number else ["N"]))
        return [line.closed for line in links]


@pytest.mark.parametrize(
    ("numbers", "closed"),
    [((1, 2), [True, False, False]), ((2, 1), [False, True, False]), ((0, 0), [True, False, False])],
    ids=["in order", "the older one's frames were late", "of a build that does not count"],
)
def test_newest_line_of_a_peer_ends_those_before_it(numbers: tuple[int, ...], closed: list[bool]) -> None:
    with simulated(1) as loop:
        assert loop.run_until_complete(_lines_of_one_peer(*numbers)) == closed
