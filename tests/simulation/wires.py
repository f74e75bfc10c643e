"""Everything that lies between an instance and the rest of its world, and what can go wrong there."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Callable, Collection, Coroutine, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

from actors.behaviour import Outcome
from actors.cluster.leases import LeasesAway
from actors.cluster.transport import Ended, Greeting, LinkLost, Receive
from actors.errors import NotWritten, Unanswered
from actors.messages import ActorId, Query
from actors.ports import Blocker, Claim, ShardRow
from storage.memory.journal import MemoryJournal
from tests.simulation.checks import Checks

if TYPE_CHECKING:
    from tests.simulation.node import Host

T = TypeVar("T")


@dataclass
class Faults:
    """How bad the world is; `planted` names a defect put in on purpose, to test the checks themselves."""

    lost_request: float = 0.01
    lost_answer: float = 0.02
    slow: float = 0.05
    lands_late: float = 0.01
    late_s: float = 0.6
    lease_lost: float = 0.02
    kill_every_s: float = 15.0
    evil_every_s: float = 4.0
    planted: str = ""

    def calm(self) -> None:
        """No more faults."""
        self.lost_request = self.lost_answer = self.slow = self.lands_late = self.lease_lost = 0.0


def _run_now(call: Coroutine[Any, Any, Any]) -> Any:
    """Run a call of the store, which never waits, in this very instant; a refusal is an answer, too."""
    try:
        call.send(None)
    except StopIteration as done:
        return done.value
    except NotWritten as refused:
        return refused
    raise AssertionError("the store has waited")


def _settle(answer: asyncio.Future[Any], value: Any) -> None:
    if isinstance(value, NotWritten):
        answer.set_exception(value)
    else:
        answer.set_result(value)


class StoreWire:
    """The journal as one life of an instance reaches it."""

    def __init__(self, host: Host, store: MemoryJournal, rng: random.Random, faults: Faults, checks: Checks):
        self._host = host
        self._store = store
        self._rng = rng
        self._faults = faults
        self._checks = checks
        self.alive = True

    async def _call(self, call: Callable[[], Coroutine[Any, Any, Any]], *, commits: bool = False) -> Any:
        """One round trip. What was sent happens at the store even if the sender is dead by then."""
        rng, loop, host = self._rng, asyncio.get_running_loop(), self._host
        if not self.alive:
            raise Unanswered("dead")
        if host.store_is_down() and rng.random() < 0.5:
            await asyncio.sleep(rng.uniform(0.001, 0.05))
            raise Unanswered("no connection", sent=False)
        answer: asyncio.Future[Any] = loop.create_future()
        there = rng.uniform(0.05, 0.4) if rng.random() < self._faults.slow else rng.uniform(0.0005, 0.004)
        back, lost = rng.uniform(0.0002, 0.002), rng.random()

        def lose() -> None:
            if not answer.done():
                answer.set_exception(Unanswered("lost"))

        def give(value: Any) -> None:
            if host.frozen_s():
                loop.call_later(host.frozen_s(), give, value)
            elif not answer.done():
                _settle(answer, value)

        def arrive() -> None:
            if host.store_is_down() or lost < self._faults.lost_request:
                loop.call_later(rng.uniform(0.0, 0.2), lose)
                return
            value = _run_now(call())
            if commits:
                self._checks.at_commit()
                host.world.work.announce()
            if host.store_is_down() or lost > 1 - self._faults.lost_answer:
                loop.call_later(back, lose)
            else:
                loop.call_later(back, give, value)

        if commits and rng.random() < self._faults.lands_late:
            # The caller gives up, and only then it arrives.
            loop.call_later(rng.uniform(0.0, 0.05), lose)
            there += rng.uniform(0.0, self._faults.late_s)
        loop.call_later(there + host.frozen_s(), arrive)
        return await answer

    async def claim(
        self, shards: Sequence[int], owner: str, incarnation: str, expected: Sequence[int] | None = None
    ) -> list[Claim]:
        async def raise_epochs() -> list[Claim]:
            before = list(self._store.epochs)
            if self._faults.planted == "epochs_in_redis":
                self._count_in_redis(shards)
                claims = [Claim(s, self._store.epochs[s], before[s]) for s in sorted(shards)]
                self._checks.at_claim(before, claims)
                return claims
            claims = await self._store.claim(shards, owner, incarnation, expected)
            self._checks.at_claim(before, claims)
            return claims

        claims: list[Claim] = await self._call(raise_epochs)
        return claims

    def _count_in_redis(self, shards: Sequence[int]) -> None:
        """A defect: the counters live where they may be forgotten."""
        table = self._host.world.table
        memory, gen = table.__dict__, table.snapshot().gen
        if memory.get("counted_gen") != gen:
            memory["counted_gen"], memory["counted"] = gen, {}
        for shard in shards:
            memory["counted"][shard] = memory["counted"].get(shard, 0) + 1
            self._store.epochs[shard] = memory["counted"][shard]

    async def shards(self) -> Sequence[ShardRow]:
        rows: Sequence[ShardRow] = await self._call(self._store.shards)
        return rows

    async def load(self, kind: str, numbers: Sequence[int]) -> Mapping[int, Mapping[str, Any]]:
        rows: Mapping[int, Mapping[str, Any]] = await self._call(lambda: self._store.load(kind, numbers))
        return rows

    async def flush(self, lane: int, items: Sequence[Mapping[str, Any]]) -> list[Outcome]:
        async def write() -> list[Outcome]:
            """What the store does, and whether it should have."""
            sent = items
            if self._faults.planted == "no_fence":
                sent = [dict(item) | {"epoch": self._store.epochs[item["shard"]]} for item in items]
            if self._faults.planted == "check_then_write" and checked:
                sent = [dict(item) | {"epoch": self._store.epochs[item["shard"]]} for item in items]
            stale = [self._store.epochs[item["shard"]] != item["epoch"] for item in items]
            outcomes = await self._store.flush(lane, sent)
            self._checks.at_flush(items, stale, outcomes)
            return outcomes

        checked = False
        if self._faults.planted == "check_then_write":
            rows = await self.shards()
            checked = all(rows[item["shard"]].epoch == item["epoch"] for item in items)
        try:
            done: list[Outcome] = await self._call(write, commits=True)
        except Unanswered:
            if self._faults.planted == "ack_early":
                return [Outcome("ok", {"slot": 0, "seqs": [1] * len(i.get("feed") or ())}) for i in items]
            raise
        return done

    def needs(self, item: Mapping[str, Any]) -> Collection[str]:
        return self._store.needs(item)

    async def blocked(self, items: Sequence[Mapping[str, Any]]) -> list[Blocker | None]:
        blockers: list[Blocker | None] = await self._call(lambda: self._store.blocked(items))
        return blockers

    async def due(
        self, shards: Sequence[int], from_ms: int, until_ms: int, limit: int
    ) -> list[tuple[ActorId, int]]:
        rows: list[tuple[ActorId, int]]
        rows = await self._call(lambda: self._store.due(shards, from_ms, until_ms, limit))
        return rows

    async def due_ahead(
        self, shards: Sequence[int], now_ms: int, limit: int
    ) -> list[tuple[ActorId, int, int]]:
        rows: list[tuple[ActorId, int, int]]
        rows = await self._call(lambda: self._store.due_ahead(shards, now_ms, limit))
        return rows

    async def read(self, query: Query) -> Any:
        return await self._call(lambda: self._store.read(query))

    async def wall(self) -> float:
        wall: float = await self._call(self._store.wall)
        return wall

    async def rows(self, name: str, *args: Any) -> Sequence[Any]:
        rows: Sequence[Any] = await self._call(lambda: self._store.rows(name, *args))
        return rows

    async def place(self, requests: Sequence[dict[str, Any]]) -> list[Any]:
        answers: list[Any] = await self._call(lambda: self._store.place(requests), commits=True)
        return answers


class LeaseWire:
    """One round trip to the lease store: slow, lost on the way there, lost on the way back."""

    def __init__(self, host: Host, rng: random.Random, faults: Faults) -> None:
        self._host = host
        self._rng = rng
        self._faults = faults
        self.alive = True

    async def __call__(self, call: Callable[[], T], /) -> T:
        await asyncio.sleep(self._rng.uniform(0.0002, 0.002) + self._host.frozen_s())
        lost = self._rng.random()
        if not self.alive or self._host.leases_are_away() or lost < self._faults.lease_lost:
            await asyncio.sleep(self._rng.uniform(0.0, 0.4))
            raise LeasesAway("away")
        value = call()
        await asyncio.sleep(self._rng.uniform(0.0002, 0.002))
        if self._host.leases_are_away() or lost > 1 - self._faults.lease_lost:
            await asyncio.sleep(self._rng.uniform(0.0, 0.4))
            raise LeasesAway("no answer")
        if (frozen_s := self._host.frozen_s()) > 0:
            await asyncio.sleep(frozen_s)
        return value


class SimLine:
    """One end of a connection. Frames arrive in order, late, or not at all when it ends."""

    def __init__(self, wire: LineWire, host: Host, peer: Greeting, receive: Receive, ended: Ended) -> None:
        self.peer = peer
        self.other: SimLine = self
        self.host = host
        self._wire = wire
        self._receive = receive
        self._ended = ended
        self._open = True
        self._next_at = 0.0
        self._held: list[bytes] = []

    def send(self, frame: bytes) -> bool:
        if not self._open:
            return False
        loop = asyncio.get_running_loop()
        delay = self._wire.delay_s() + self.host.frozen_s()
        self._next_at = max(self._next_at + 1e-6, loop.time() + delay)
        loop.call_at(self._next_at, self.other.arrive, frame)
        return True

    def arrive(self, frame: bytes) -> None:
        """A frame is there, unless the cable is cut or the host frozen: then it waits, as in TCP."""
        wait_s = max(self.host.frozen_s(), 0.2 if self._wire.is_cut(self.host, self.other.host) else 0.0)
        if not self._open:
            return
        if wait_s > 0:
            # What comes behind it waits as well: the line keeps the order.
            self._held.append(frame)
            if len(self._held) == 1:
                asyncio.get_running_loop().call_later(wait_s, self._release)
        elif self._held:
            self._held.append(frame)
        else:
            self._receive(self, frame)

    def _release(self) -> None:
        held, self._held = self._held, []
        for frame in held:
            self.arrive(frame)

    def close(self) -> None:
        self.end(self._wire.delay_s())

    def end(self, after_s: float = 0.0) -> None:
        """The connection ends: here now, at the other end a little later."""
        if self._open:
            self._open = False
            self._wire.links.pop(self, None)
            if self.host.alive:
                asyncio.get_running_loop().call_soon(self._ended, self)
            if self.other._open:
                asyncio.get_running_loop().call_later(after_s + self.other.host.frozen_s(), self.other.end)


class LineWire:
    """All cables between the hosts."""

    def __init__(self, rng: random.Random) -> None:
        # In order of their making: the run must not depend on where objects lie in memory.
        self.links: dict[SimLine, None] = {}
        self.cuts: set[frozenset[str]] = set()
        self._rng = rng
        self._doors: dict[str, tuple[Host, Greeting, Receive, Ended]] = {}

    def delay_s(self) -> float:
        slow = self._rng.random() < 0.02
        return self._rng.uniform(0.02, 0.2) if slow else self._rng.uniform(0.0001, 0.001)

    def is_cut(self, one: Host, other: Host) -> bool:
        return frozenset((one.name, other.name)) in self.cuts

    def open_door(self, host: Host, me: Greeting, receive: Receive, ended: Ended) -> None:
        self._doors[host.name] = (host, me, receive, ended)

    def receiver(self, host: Host) -> Receive:
        """What takes the frames that arrive at this host."""
        return self._doors[host.name][2]

    def down(self, host: Host) -> None:
        """The process is gone: its sockets are reset, nobody listens."""
        self._doors.pop(host.name, None)
        for link in [link for link in self.links if link.host is host]:
            link.end(0.001)

    async def dial(self, host: Host, address: str, me: Greeting, receive: Receive, ended: Ended) -> SimLine:
        await asyncio.sleep(self.delay_s() + host.frozen_s())
        door = self._doors.get(address.partition(":")[0])
        if door is None:
            raise LinkLost("refused", refused=True)
        there, peer, their_receive, their_ended = door
        if self.is_cut(host, there) or there.frozen_s() > 1.0:
            await asyncio.sleep(1.0)
            raise LinkLost("no answer")
        mine = SimLine(self, host, peer, receive, ended)
        theirs = SimLine(self, there, me, their_receive, their_ended)
        mine.other, theirs.other = theirs, mine
        self.links |= {mine: None, theirs: None}
        return mine


class SimNetwork:
    """Implements actors.cluster.transport.Network for one life of an instance."""

    def __init__(self, wire: LineWire, host: Host) -> None:
        self._wire = wire
        self._host = host

    @asynccontextmanager
    async def serving(self, me: Greeting, receive: Receive, ended: Ended) -> AsyncIterator[str]:
        self._wire.open_door(self._host, me, receive, ended)
        try:
            yield f"{self._host.name}:1"
        finally:
            self._wire.down(self._host)

    async def dial(self, address: str, me: Greeting, receive: Receive, ended: Ended) -> SimLine:
        return await self._wire.dial(self._host, address, me, receive, ended)
