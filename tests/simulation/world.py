"""A mall in a box: several instances over a model store and a model Redis, customers, drivers, and a nemesis.

Between the core and everything else every call takes time and may be lost on the way there or on the way
back; instances are killed, frozen, cut off and drained; the store restarts, and Redis forgets.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from functools import partial
from itertools import count
from typing import Any

from actors.errors import ActorError, NoSuchActor, NotProcessed
from dispatch.domain import commands as c
from dispatch.domain.geo import Place
from dispatch.messages import Reply
from dispatch.order_creation import NewOrder
from dispatch.service import Caller, Dispatch
from storage.memory.journal import MemoryJournal
from storage.memory.leases import LeaseTable
from tests.simulation.checks import Checks
from tests.simulation.node import Host, Phone, Socket
from tests.simulation.wires import Faults, LineWire
from tests.simulation.work import BackgroundWork

HOSTS = 3
DRIVERS = 9
CUSTOMERS = 3
# The third one is planned; with every other seed its trips are assigned and not offered.
ZONES = {1: "waves", 2: "open", 3: "waves"}
PLANNED_ZONE = 3
# Everything is near, so that trips take seconds.
PLANNING = {"speed_m_per_s": 300.0, "pickup_s": 1, "dropoff_s": 1, "rest_s": 2}
# With every third seed the zone has a ladder of its own: orders that nobody takes come on the board.
LADDER = (
    {"times": 1, "offer_s": 4},
    {"mode": "nearest", "drivers": 2, "times": 1, "offer_s": 4},
    {"mode": "board"},
)
PREPARATION_S = 4
WINS = ("won", "already_yours")
# Log lines of the core that no fault of the world excuses.
FAULTS_OF_OURS = (
    "crashed_turn", "crashed_actor", "failed_read", "failed_load", "unreadable_row", "failed_settling",
    "garbled_frame", "failed_call", "crashed_look", "untransferable_reply",
)  # fmt: skip


class World:
    """One seeded run.

    Attributes:
        upgrades: every life of an instance is of a newer version than the one before; with every other seed.
    """

    def __init__(self, seed: int, faults: Faults | None = None, *, tell: bool = False) -> None:
        self.rng = random.Random(seed)
        # Draws of their own, so that a kept seed has its faults where it had them.
        self.wishes = random.Random(f"wishes {seed}")
        self.upgrades = seed % 2 == 0
        self.faults = faults or Faults()
        self.loop = asyncio.get_running_loop()
        self.store = MemoryJournal(lambda: 1_800_000_000.0 + self.loop.time())
        self.checks = Checks(self.store)
        self.phones = {n: Phone(n) for n in range(1, DRIVERS + 1)}
        self.lives = count(1)
        self.table = LeaseTable(lambda: self.loop.time())
        self.cables = LineWire(self.rng)
        self.redis_is_down = self.store_is_down = False
        self.hosts = [Host(f"host-{n}", self) for n in range(1, HOSTS + 1)]
        self.work = BackgroundWork(self, seed)
        self.quiet = False
        self.tell = tell
        self._sessions = 0
        self._keys = 0
        for number, mode in ZONES.items():
            plan = ("planned", "direct")[seed // 2 % 2] if number == PLANNED_ZONE else None
            planning: dict[str, Any] = dict(PLANNING)
            if plan is not None and seed % 3 == 1:
                planning["ladder"] = [{"mode": plan, **LADDER[0]}, *LADDER[1:]]
            rules = {"offer_ahead_s": 600, "dropoff_pin": number == 1, "cancellation_fee_minor": 50}
            self.store.add_zone(
                number, mode, wave_size=2, offer_ttl_s=4, plan=plan, planning=planning, delivery_rules=rules
            )
            self.store.add_store(number, number, lat=0.01 * number)
            self.store.add_product(number, number, stock=10_000 if number == 1 else None)
        self.store.stores[PLANNED_ZONE]["preparation_s"] = PREPARATION_S
        for number in self.phones:
            self.store.add_driver(number, 1 + number % len(ZONES), capacity=1 + (number - 1) // 3)
            self.store.drivers[number] |= {"lat": 0.01, "lon": 0.001 * number}

    # -- the instances ------------------------------------------------------------------------

    def note(self, event: str, **values: object) -> None:
        """What an instance would log; `python -m tests.simulation --tell` shows it."""
        if self.tell:
            shown = " ".join(f"{k}={v}" for k, v in values.items() if k != "exc_info")
            print(f"{self.loop.time() - 1000:8.3f} {event} {shown}")
        if event in FAULTS_OF_OURS:
            self.checks.broken.append(f"{event}: {values}")

    def now_ms(self) -> int:
        """The wall clock of all instances."""
        return round((1_800_000_000.0 + self.loop.time()) * 1000)

    def serving(self) -> list[Host]:
        """Instances that can be talked to."""
        return [h for h in self.hosts if h.dispatch is not None and h.hub is not None and not h.frozen_s()]

    def actors(self, kind: str) -> list[Any]:
        """States of the actors in memory, wherever they are."""
        owned = [o for h in self.hosts if h.dispatch for o in h.dispatch.runtime.cells.owned if o]
        return [c.state for o in owned for c in o.cells.values() if c.id.kind == kind and c.state is not None]

    def crashes(self) -> dict[str, int]:
        """Turns that failed in the instances that live now."""
        found: dict[str, int] = {}
        for host in self.hosts:
            if host.dispatch is not None:
                found |= dict(host.dispatch.runtime.counters.crashes)
        return found

    def owners(self) -> list[list[str]]:
        """For each shard, who believes to serve it."""
        served: list[list[str]] = [[] for _ in self.store.epochs]
        for host in self.hosts:
            for o in host.dispatch.runtime.cells.owned if host.dispatch else ():
                if o is not None and o.parked is None:
                    served[o.shard].append(host.name)
        return served

    # -- people -------------------------------------------------------------------------------

    def _key(self) -> str:
        self._keys += 1
        return f"key-{self._keys:06d}"

    async def _command(
        self, call: Callable[[Dispatch], Awaitable[Any]], tries: int = 20, doubts: list[str] | None = None
    ) -> Any:
        """Repeat a command under its key, at any instance, until there is an answer, as a client's library does.

        Args:
            doubts: where attempts are noted of which nobody knows what they did.
        """
        doubts = [] if doubts is None else doubts
        for _ in range(tries):
            serving = self.serving()
            if serving:
                host = self.rng.choice(serving)
                life, dispatch = host.lives, host.dispatch
                assert dispatch is not None
                try:
                    answer = await call(dispatch)
                    if host.frozen_s():
                        await asyncio.sleep(host.frozen_s())
                    if host.lives == life and host.alive:
                        return answer
                    doubts.append("died with the socket")
                except NoSuchActor:
                    return None
                except NotProcessed:
                    pass
                except ActorError as error:
                    self.checks.unknowns += 1
                    doubts.append(type(error).__name__)
            await asyncio.sleep(self.rng.uniform(0.05, 0.6))
        return None

    async def customer(self, number: int) -> None:
        """Orders, looks, sometimes cancels."""
        while not self.quiet:
            await asyncio.sleep(self.rng.expovariate(1.2))
            zone, key = self.rng.choice(list(ZONES)), self._key()
            caller = Caller("customer", 100 + number, key, key, b"body")
            payment = "card" if self.rng.random() < 0.05 else "cash"
            new = NewOrder(((zone, 1),), Place(0.02, 0.02), "door", payment, None, **self._wish(zone))
            placed: Any = None
            for _ in range(1 + (self.rng.random() < 0.2)):
                placed = await self._command(lambda d, c=caller, n=new: d.create_order(c, n))  # type: ignore[misc]
                if placed is not None and placed.code == "created":
                    self.checks.acked_creation(key, placed.facts["id"])
            if placed is not None and self.rng.random() < 0.1 and placed.code == "created":
                await asyncio.sleep(self.rng.expovariate(0.5))
                await self._do("cancel", caller.number, placed.facts["id"], "customer")

    def _wish(self, zone: int) -> dict[str, Any]:
        """Now and then a tip, or a time for which the goods are ready at once or some seconds after that."""
        if self.wishes.random() < 0.9:
            return {}
        if self.wishes.random() < 0.5:
            return {"tip_minor": 100}
        store = self.store.stores[zone]
        now_ms = int((1_800_000_000 + self.loop.time()) * 1000)
        door = {"lat": 0.02, "lon": 0.02}
        earliest_ms = self.store.promise_ms(store, door, now_ms + 1000 * store["preparation_s"])[0]
        return {"deliver_ms": earliest_ms + self.wishes.randint(-1_000, 8_000)}

    async def driver(self, number: int) -> None:
        """Goes online, connects, accepts what it sees, delivers, loses the line, resumes."""
        phone = self.phones[number]
        while True:
            await asyncio.sleep(self.rng.uniform(0.05, 0.6))
            if phone.closed:
                await self._connect(phone)
            elif not self.quiet and self.rng.random() < 0.03:
                self._hang_up(phone)
            elif phone.orders and self.rng.random() < 0.6:
                await self._carry_on(number, self.rng.choice(sorted(phone.orders)))
            elif self.quiet and self.store.drivers[number]["status"] == "offline":
                # Who is still off duty when the storm is over comes back, or nobody may be left to deliver.
                caller = Caller("driver", number, "t", self._key(), b"online")
                await self._command(lambda d, c=caller: d.set_availability(c, "online"))  # type: ignore[misc]
            elif phone.offers or phone.board:
                await self._accept(phone)
            elif not self.quiet and self.rng.random() < 0.05:
                status = self.rng.choice(("online", "offline"))
                caller = Caller("driver", number, "t", self._key(), status.encode())
                await self._command(lambda d, c=caller, s=status: d.set_availability(c, s))  # type: ignore[misc]

    async def _connect(self, phone: Phone) -> None:
        serving = self.serving()
        if not serving:
            return
        host = self.rng.choice(serving)
        hub, dispatch = host.hub, host.dispatch
        assert hub is not None
        assert dispatch is not None
        self._sessions += 1
        address = f"s{self._sessions}@{dispatch.runtime.incarnation}"
        socket = Socket(hub, phone, address, int(hub.clock.wall() * 1000))
        hub.sessions[address] = socket
        phone.board = dict(hub.board)
        phone.session, phone.host, phone.closed = address, host, False
        try:
            socket.number = await dispatch.connect(
                phone.driver, address, phone.epoch, phone.seq, "t", opened_ms=socket.opened_ms
            )
        except ActorError:
            socket.close(4100)
            return
        caller = Caller("driver", phone.driver, "t", self._key(), b"online")
        await self._command(lambda d: d.set_availability(caller, "online"))

    def _hang_up(self, phone: Phone) -> None:
        phone.closed = True
        hub = None if phone.host is None else phone.host.hub
        if hub is not None and phone.session in hub.sessions:
            del hub.sessions[phone.session]
            assert phone.host is not None
            if phone.host.dispatch is not None:
                phone.host.dispatch.disconnect(phone.driver, phone.session)
        if self.rng.random() < 0.1:
            phone.epoch = phone.seq = None  # a new phone
            phone.orders.clear()
            phone.offers.clear()

    async def _accept(self, phone: Phone) -> None:
        source = phone.offers or phone.board
        order, offer = self.rng.choice(sorted(source.items()))
        source.pop(order, None)
        if self.rng.random() < 0.15 and phone.offers is source:
            await self._do("decline", phone.driver, order, "driver", offer)
            return
        await self._do("accept", phone.driver, order, "driver", offer)

    async def _carry_on(self, number: int, order: int) -> None:
        await self._do("pick_up", number, order, "driver")
        await asyncio.sleep(self.rng.uniform(0.05, 1.0))
        if self.wishes.random() < 0.05:
            await self._do("bring_back", number, order, "driver")
            await asyncio.sleep(self.rng.uniform(0.05, 1.0))
            await self._do("return", number, order, "driver")
            return
        if self.wishes.random() < 0.05:
            await self._do("deliver", number, order, "driver", "no PIN")
        pin = (self.store.orders[order].get("terms") or {}).get("pin")
        await self._do("deliver", number, order, "driver", pin)

    async def _do(self, name: str, who: int, order: int, role: str, offer: str | None = None) -> None:
        """One command with its key, perhaps sent twice at once; the answers go into the history.

        `offer`: what it is about, or the PIN of a delivery.
        """
        caller = Caller(role, who, f"t{self._keys}", self._key(), (offer or "").encode())

        async def call(dispatch: Dispatch) -> Reply:
            match name:
                case "accept":
                    return await dispatch.command(caller, order, c.Accept(who, offer))
                case "decline":
                    return await dispatch.command(caller, order, c.Decline(who, offer, "busy"))
                case "pick_up":
                    return await dispatch.command(caller, order, c.PickUp(who))
                case "deliver":
                    return await dispatch.command(caller, order, c.Deliver(who, offer))
                case "bring_back":
                    return await dispatch.command(caller, order, c.BringBack(who, "nobody there"))
                case "return":
                    return await dispatch.command(caller, order, c.ReturnGoods(who))
                case _:
                    return await dispatch.command(caller, order, c.Cancel(caller.by, "changed my mind"))

        answers, doubts = [], list[str]()
        for _ in range(2 if self.rng.random() < 0.15 else 1):
            answers.append(await self._command(call, doubts=doubts))
        self.checks.answered(name, who, order, answers)
        if name == "accept" and not doubts and all(a is None or a.code not in WINS for a in answers):
            self.checks.refused(order, caller.command(name, order, c.Accept(who, offer)))

    async def reader(self) -> None:
        """Looks at orders: every change that somebody was told of must be there."""
        while not self.quiet:
            await asyncio.sleep(self.rng.expovariate(3.0))
            if self.checks.told:
                order = self.rng.choice(sorted(self.checks.told))
                known = self.checks.told[order]
                seen = await self._command(lambda d, n=order: d.order(n), tries=1)  # type: ignore[misc]
                if seen is not None:
                    self.checks.read(order, known, seen.version)

    async def admin(self) -> None:
        """Releases and assigns orders, changes drivers, now and then."""
        while not self.quiet:
            await asyncio.sleep(self.rng.expovariate(0.4))
            held = sorted(self.store.assignments)
            key, number = self._key(), self.rng.randint(1, DRIVERS)
            if self.rng.random() < 0.4:
                caller, capacity = Caller("admin", 999, "t", key, b""), self.rng.randint(1, 3)
                zone = self.rng.choice([None, 1 + number % len(ZONES)])
                await self._command(partial(_set_driver, caller, number, zone, capacity))
            elif self.rng.random() < 0.3:
                waiting = [n for n, row in self.store.orders.items() if row["status"] == "confirmed"]
                if waiting:
                    caller, order = Caller("admin", 999, "t", key, b""), self.rng.choice(waiting)
                    await self._command(partial(_want, caller, order, c.Assign(caller.by, number)))
            elif held:
                caller, order = Caller("admin", 999, "t", key, b""), self.rng.choice(held)
                await self._command(partial(_want, caller, order, c.Release(caller.by, "test")))


async def _want(caller: Caller, order: int, wish: c.Wish, dispatch: Dispatch) -> Reply:
    return await dispatch.command(caller, order, wish)


async def _set_driver(
    caller: Caller, number: int, zone: int | None, capacity: int, dispatch: Dispatch
) -> Reply:
    return await dispatch.set_driver(caller, number, zone, capacity)
