"""A mall in a box: one instance over a model store, customers, drivers, and a nemesis.

Between the core and its store every call takes time and may be lost on the way there or on the way
back; the store may restart; the instance may be killed at any await and started anew.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from actors.clock import LoopClock
from actors.errors import ActorError, NotProcessed, Unanswered
from actors.messages import ActorId, Emit, Query
from actors.ports import Claim, SoleLeases
from actors.runtime import Runtime
from actors.steps import Outcome
from dispatch.chores import Chores
from dispatch.domain.geo import Place
from dispatch.driver_actor import DriverBehaviour
from dispatch.messages import Reply
from dispatch.order_actor import OrderBehaviour
from dispatch.service import Caller, Dispatch, NewOrder
from dispatch.zone_actor import ZoneBehaviour
from storage.memory.journal import MemoryJournal
from tests.simulation.checks import Checks

DRIVERS = 8
CUSTOMERS = 3
ZONES = {1: "waves", 2: "open"}


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
class Faults:
    """How bad the world is; `planted` names a defect put in on purpose, to test the checks themselves."""

    lost_request: float = 0.01
    lost_answer: float = 0.02
    slow: float = 0.05
    lands_late: float = 0.01
    late_s: float = 0.6
    kill_every_s: float = 12.0
    restart_every_s: float = 15.0
    planted: str = ""

    def calm(self) -> None:
        """No more faults."""
        self.lost_request = self.lost_answer = self.slow = self.lands_late = 0.0


def _run_now(call: Coroutine[Any, Any, Any]) -> Any:
    """Run a call of the store, which never waits, in this very instant."""
    try:
        call.send(None)
    except StopIteration as done:
        return done.value
    raise AssertionError("the store has waited")


class BadWire:
    """The journal as an instance reaches it."""

    def __init__(self, store: MemoryJournal, rng: random.Random, faults: Faults, checks: Checks) -> None:
        self._store = store
        self._rng = rng
        self._faults = faults
        self._checks = checks
        self.down = False
        self.alive = True

    def _is_down(self) -> bool:
        return self.down

    async def _call(self, call: Callable[[], Coroutine[Any, Any, Any]], *, commits: bool = False) -> Any:
        """One round trip. What was sent happens at the store even if the sender is dead by then."""
        rng, loop = self._rng, asyncio.get_running_loop()
        if not self.alive:
            raise Unanswered("dead")
        if self.down and rng.random() < 0.5:
            await asyncio.sleep(rng.uniform(0.001, 0.05))
            raise Unanswered("no connection", sent=False)
        answer: asyncio.Future[Any] = loop.create_future()
        there = rng.uniform(0.05, 0.4) if rng.random() < self._faults.slow else rng.uniform(0.0005, 0.004)
        back, lost = rng.uniform(0.0002, 0.002), rng.random()

        def lose() -> None:
            if not answer.done():
                answer.set_exception(Unanswered("lost"))

        def give(value: Any) -> None:
            if not answer.done():
                answer.set_result(value)

        def arrive() -> None:
            if self._is_down() or lost < self._faults.lost_request:
                loop.call_later(rng.uniform(0.0, 0.2), lose)
                return
            value = _run_now(call())
            if commits:
                self._checks.at_commit()
            if self._is_down() or lost > 1 - self._faults.lost_answer:
                loop.call_later(back, lose)
            else:
                loop.call_later(back, give, value)

        if commits and rng.random() < self._faults.lands_late:
            # The caller gives up, and only then it arrives.
            loop.call_later(rng.uniform(0.0, 0.05), lose)
            there += rng.uniform(0.0, self._faults.late_s)
        loop.call_later(there, arrive)
        return await answer

    async def claim(
        self, shards: Sequence[int], owner: str, incarnation: str, expected: Sequence[int] | None = None
    ) -> list[Claim]:
        claims: list[Claim]
        claims = await self._call(lambda: self._store.claim(shards, owner, incarnation, expected))
        return claims

    async def load(self, kind: str, numbers: Sequence[int]) -> Mapping[int, Mapping[str, Any]]:
        rows: Mapping[int, Mapping[str, Any]] = await self._call(lambda: self._store.load(kind, numbers))
        return rows

    async def flush(self, lane: int, items: Sequence[Mapping[str, Any]]) -> list[Outcome]:
        async def write() -> list[Outcome]:
            """What the store does, and whether it should have."""
            sent = items
            if self._faults.planted == "no_fence":
                sent = [dict(item) | {"epoch": self._store.epochs[item["shard"]]} for item in items]
            stale = [self._store.epochs[item["shard"]] != item["epoch"] for item in items]
            outcomes = await self._store.flush(lane, sent)
            self._checks.at_flush(stale, outcomes)
            return outcomes

        try:
            done: list[Outcome] = await self._call(write, commits=True)
        except Unanswered:
            if self._faults.planted == "ack_early":
                return [Outcome("ok", {"slot": 0, "seqs": [1] * len(i.get("feed") or ())}) for i in items]
            raise
        return done

    async def due(
        self, shards: Sequence[int], from_ms: int, until_ms: int, limit: int
    ) -> list[tuple[ActorId, int]]:
        rows: list[tuple[ActorId, int]]
        rows = await self._call(lambda: self._store.due(shards, from_ms, until_ms, limit))
        return rows

    async def read(self, query: Query) -> Any:
        return await self._call(lambda: self._store.read(query))

    async def wall(self) -> float:
        wall: float = await self._call(self._store.wall)
        return wall

    async def rows(self, name: str, *args: Any) -> Sequence[Any]:
        rows: Sequence[Any] = await self._call(lambda: self._store.rows(name, *args))
        return rows

    async def place(self, requests: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
        answers: list[dict[str, Any]] = await self._call(lambda: self._store.place(requests), commits=True)
        return answers


@dataclass
class Phone:
    """A driver's app: applies feed entries in order, remembers its position, resumes."""

    driver: int
    epoch: str | None = None
    seq: int | None = None
    session: str = ""
    seen: list[tuple[int, str]] = field(default_factory=list)
    offers: dict[int, str] = field(default_factory=dict)
    orders: set[int] = field(default_factory=set)
    board: dict[int, str] = field(default_factory=dict)
    closed: bool = True


class Hub:
    """The emitter: delivers frames to phones at once, as the sockets of one instance would."""

    def __init__(self, world: World) -> None:
        self._world = world
        self.alive = True

    def emit(self, emit: Emit, trace: str) -> None:
        del trace
        if not self.alive:
            return
        if emit.lane == "topic":
            phone: Phone
            for phone in self._world.phones.values():
                phone.board = {int(o["order_id"][4:]): o["offer_id"] for o in emit.frame["data"]["orders"]}
            return
        found = self._world.by_session.get(emit.to)
        if found is not None and found.session == emit.to:
            phone = found
            if emit.lane == "close":
                phone.closed = True
            else:
                self._world.checks.frame(phone, emit.frame)


class World:
    """One seeded run."""

    def __init__(self, seed: int, faults: Faults | None = None) -> None:
        self.rng = random.Random(seed)
        self.faults = faults or Faults()
        self.loop = asyncio.get_running_loop()
        self.store = MemoryJournal(lambda: 1_800_000_000.0 + self.loop.time())
        self.checks = Checks(self.store)
        self.phones = {n: Phone(n) for n in range(1, DRIVERS + 1)}
        self.by_session: dict[str, Phone] = {}
        self.dispatch: Dispatch | None = None
        self.wire: BadWire | None = None
        self.quiet = False
        self._sessions = 0
        self._keys = 0
        for number, mode in ZONES.items():
            self.store.add_zone(number, mode, wave_size=2, offer_ttl_s=4)
            self.store.add_store(number, number, lat=0.01 * number)
            self.store.add_product(number, number, stock=10_000 if number == 1 else None)
        for number in self.phones:
            self.store.add_driver(number, 1 + number % 2, capacity=1 + number % 3)

    # -- the instance -------------------------------------------------------------------------

    async def serve(self) -> None:
        """Start the instance, and again whenever it is killed."""
        while True:
            try:
                async with asyncio.TaskGroup() as tasks:
                    self._instance = tasks.create_task(self._live(), name="instance")
            except* _Killed:
                pass
            await asyncio.sleep(self.rng.uniform(0.2, 1.5))

    async def _live(self) -> None:
        wire = self.wire = BadWire(self.store, self.rng, self.faults, self.checks)
        hub = Hub(self)
        runtime = Runtime(
            instance="one",
            behaviours=[OrderBehaviour(), DriverBehaviour("e1"), ZoneBehaviour()],
            journal=wire,
            leases=SoleLeases(),
            emitter=hub,
            clock=LoopClock(self.loop, 1_800_000_000.0),
            entropy=SeededEntropy(self.rng),
        )
        dispatch = Dispatch(runtime, wire)
        try:
            async with runtime.running(), asyncio.TaskGroup() as tasks:
                tasks.create_task(dispatch.run())
                chores = Chores(dispatch, wire, done=_ignore, failed=_ignore, swept=_ignore)
                for chore in chores.all:
                    tasks.create_task(chores.run(chore))
                for zone in ZONES:
                    dispatch.wake_zone(zone)
                self.dispatch = dispatch
                await self._until_killed(wire, hub, runtime)
        except* Unanswered:
            pass  # the store was away at start: try again

    def actors(self, kind: str) -> list[Any]:
        """States of the actors in memory."""
        runtime = self.dispatch.runtime if self.dispatch is not None else None
        owned = runtime.shards.owned if runtime is not None else ()
        cells = [c for o in owned if o is not None for c in o.cells.values()]
        return [c.state for c in cells if c.id.kind == kind and c.state is not None]

    def crashes(self) -> dict[str, int]:
        """Turns that failed in the instance that lives now."""
        return {} if self.dispatch is None else dict(self.dispatch.runtime.gauges.crashes)

    async def _until_killed(self, wire: BadWire, hub: Hub, runtime: Runtime) -> None:
        limit = 1e9 if self.quiet else self.rng.expovariate(1 / self.faults.kill_every_s)
        try:
            await asyncio.sleep(limit)
        finally:
            # As by kill -9: no farewell, no more words; only what is on its way still arrives.
            wire.alive = hub.alive = False
            runtime.drain_s = 0.0
            self.dispatch = None
            for phone in self.phones.values():
                phone.closed = True
        raise _Killed

    async def torment_store(self) -> None:
        """Restart the store now and then: everything under way is lost, nothing that was committed."""
        while not self.quiet:
            await asyncio.sleep(self.rng.expovariate(1 / self.faults.restart_every_s))
            wire = self.wire
            if wire is not None and not self.quiet:
                wire.down = True
                long = self.rng.random() < 0.2
                await asyncio.sleep(self.rng.uniform(3.0, 8.0) if long else self.rng.uniform(0.1, 2.0))
                wire.down = False

    # -- people -------------------------------------------------------------------------------

    def _key(self) -> str:
        self._keys += 1
        return f"key-{self._keys:06d}"

    async def _command(self, call: Callable[[Dispatch], Awaitable[Any]], tries: int = 12) -> Any:
        """Repeat a command under its key until there is an answer, as a client's library does."""
        for _ in range(tries):
            if self.dispatch is not None:
                try:
                    return await call(self.dispatch)
                except NotProcessed:
                    pass
                except ActorError as error:
                    if type(error).__name__ == "NoSuchActor":
                        return None
            await asyncio.sleep(self.rng.uniform(0.05, 0.6))
        return None

    async def customer(self, number: int) -> None:
        """Orders, looks, sometimes cancels."""
        while not self.quiet:
            await asyncio.sleep(self.rng.expovariate(1.2))
            zone, key = self.rng.choice(list(ZONES)), self._key()
            caller = Caller("customer", 100 + number, key, key, b"body")
            payment = "card" if self.rng.random() < 0.05 else "cash"
            new = NewOrder(((zone, 1),), Place(0.02, 0.02), "door", payment, None)
            placed: Any = None
            for _ in range(1 + (self.rng.random() < 0.2)):
                placed = await self._command(lambda d, c=caller, n=new: d.create_order(c, n))  # type: ignore[misc]
                if placed is not None and placed.code == "created":
                    self.checks.acked_creation(key, placed.facts["id"])
            if placed is not None and self.rng.random() < 0.1:
                await asyncio.sleep(self.rng.expovariate(0.5))
                await self._do("cancel", caller.number, placed.facts["id"], "customer")

    async def driver(self, number: int) -> None:
        """Goes online, connects, accepts what it sees, delivers, loses the line, resumes."""
        phone = self.phones[number]
        while True:
            await asyncio.sleep(self.rng.uniform(0.05, 0.6))
            if self.dispatch is None:
                continue
            if phone.closed:
                await self._connect(phone)
            elif not self.quiet and self.rng.random() < 0.03:
                self._hang_up(phone)
            elif phone.orders and self.rng.random() < 0.6:
                await self._carry_on(number, self.rng.choice(sorted(phone.orders)))
            elif phone.offers or phone.board:
                await self._accept(phone)
            elif not self.quiet and self.rng.random() < 0.05:
                status = self.rng.choice(("online", "offline"))
                caller = Caller("driver", number, "t", self._key(), status.encode())
                await self._command(lambda d, c=caller, s=status: d.set_availability(c, s))  # type: ignore[misc]

    async def _connect(self, phone: Phone) -> None:
        self._sessions += 1
        phone.session, phone.closed = f"s{self._sessions}", False
        self.by_session[phone.session] = phone
        dispatch, caller = self.dispatch, Caller("driver", phone.driver, "t", self._key(), b"online")
        assert dispatch is not None
        try:
            await dispatch.connect(phone.driver, phone.session, phone.epoch, phone.seq, "t")
        except ActorError:
            phone.closed = True
            return
        await self._command(lambda d: d.set_availability(caller, "online"))

    def _hang_up(self, phone: Phone) -> None:
        phone.closed = True
        if self.dispatch is not None:
            self.dispatch.disconnect(phone.driver, phone.session)
        if self.rng.random() < 0.1:
            phone.epoch = phone.seq = None  # a new phone
            phone.orders.clear()
            phone.offers.clear()

    async def _accept(self, phone: Phone) -> None:
        source = phone.offers or phone.board
        order, offer = self.rng.choice(sorted(source.items()))
        source.pop(order, None)
        if self.rng.random() < 0.1 and phone.offers is source:
            await self._do("decline", phone.driver, order, "driver", offer)
            return
        await self._do("accept", phone.driver, order, "driver", offer)

    async def _carry_on(self, number: int, order: int) -> None:
        await self._do("pick_up", number, order, "driver")
        await asyncio.sleep(self.rng.uniform(0.05, 1.0))
        await self._do("deliver", number, order, "driver")

    async def _do(self, name: str, who: int, order: int, role: str, offer: str | None = None) -> None:
        """One command with its key, perhaps sent twice at once; the answers go into the history."""
        caller = Caller(role, who, f"t{self._keys}", self._key(), (offer or "").encode())

        async def call(dispatch: Dispatch) -> Reply:
            match name:
                case "accept":
                    return await dispatch.accept(caller, order, offer)
                case "decline":
                    return await dispatch.decline(caller, order, offer, "busy")
                case "pick_up":
                    return await dispatch.pick_up(caller, order)
                case "deliver":
                    return await dispatch.deliver(caller, order)
                case _:
                    return await dispatch.cancel(caller, order, "changed my mind")

        answers = []
        for _ in range(2 if self.rng.random() < 0.15 else 1):
            answers.append(await self._command(call))
        self.checks.answered(name, who, order, answers)

    async def admin(self) -> None:
        """Releases and assigns orders, changes drivers, now and then."""
        while not self.quiet:
            await asyncio.sleep(self.rng.expovariate(0.4))
            held = sorted(self.store.assignments)
            key, number = self._key(), self.rng.randint(1, DRIVERS)
            if self.rng.random() < 0.4:
                caller, capacity = Caller("admin", 999, "t", key, b""), self.rng.randint(1, 3)
                zone = self.rng.choice([None, 1 + number % 2])
                await self._command(partial(_set_driver, caller, number, zone, capacity))
            elif self.rng.random() < 0.3:
                waiting = [n for n, row in self.store.orders.items() if row["status"] == "confirmed"]
                if waiting:
                    caller, order = Caller("admin", 999, "t", key, b""), self.rng.choice(waiting)
                    await self._command(lambda d, c=caller, o=order, n=number: d.assign(c, o, n))  # type: ignore[misc]
            elif held:
                caller, order = Caller("admin", 999, "t", key, b""), self.rng.choice(held)
                await self._command(lambda d, c=caller, o=order: d.release(c, o, "test"))  # type: ignore[misc]


def _ignore(*_: object) -> None:
    """Nobody counts here."""


async def _set_driver(
    caller: Caller, number: int, zone: int | None, capacity: int, dispatch: Dispatch
) -> Reply:
    return await dispatch.set_driver(caller, number, zone, capacity)


class _Killed(BaseException):
    """The instance is gone, as by kill -9: nothing it planned to do afterwards happens."""
