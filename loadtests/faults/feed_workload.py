"""Virtual drivers of the crash test: they accept, carry, and lose their connection all the time."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import aiohttp

from loadtests.faults.history import NOT_PROCESSED, OK, REFUSED, UNKNOWN, Intent, LogEntry, PhoneLog, Snapshot
from loadtests.faults.workload import AttemptResult, VirtualUser, Workload
from loadtests.kit.client import Closed, Mall, Phone
from loadtests.kit.fixtures import number_of

# A phone that is not welcomed by then hangs up and tries again.
WELCOME_S = 8.0
ACK_EVERY = 16
# Mean seconds between two losses of a connection, and the share of them after which the app has
# forgotten its position.
CONNECTION_S, FORGET = 5.0, 0.1
# Orders accepted by one frame, at most.
FRAME_ORDERS = 3
BY_REST, DECLINE, IGNORE, FAIL = 0.4, 0.05, 0.05, 0.04
FRAMES = {"pickup": "order.pickup", "delivery": "order.delivery", "failure": "order.failure"}
ENDS = frozenset({"order.delivered", "order.cancelled", "order.undeliverable"})
_GOOD = frozenset({"won", "already_yours", "declined"})
_UNKNOWN_CODES = frozenset({"outcome_unknown", "internal"})


def results_of_frame(answer: dict[str, Any], orders: Sequence[int]) -> list[AttemptResult]:
    """What a reply or error frame says about each order."""
    if answer["t"] == "error":
        code = str(answer["code"])
        if code in _UNKNOWN_CODES:
            return [AttemptResult(UNKNOWN, code)] * len(orders)
        came_to_nothing = answer.get("not_processed") is True or answer["temporary"]
        return [AttemptResult(NOT_PROCESSED if came_to_nothing else REFUSED, code)] * len(orders)
    if "results" in answer:
        return [
            AttemptResult(_outcome(result), result["result"], order, result.get("version"))
            for result, order in zip(answer["results"], orders, strict=True)
        ]
    return [AttemptResult(OK if answer["ok"] else REFUSED, answer["result"], orders[0], answer["version"])]


def _outcome(result: dict[str, Any]) -> str:
    """Of one order in a frame with several, which may each have come to something else."""
    if result.get("temporary"):
        return NOT_PROCESSED if result.get("not_processed") else UNKNOWN
    return OK if result["result"] in _GOOD else REFUSED


class DriverUser(VirtualUser):
    """One driver with its phone, in a zone of either mode."""

    def __init__(
        self, workload: Workload, mall: Mall, number: int, seed: str, zone: int, capacity: int
    ) -> None:
        super().__init__(workload, mall, f"drv_{number}", seed)
        self.number = number
        self.zone = zone
        self.capacity = capacity
        self.phone = Phone(mall)
        self.log = PhoneLog(number, faults=self.phone.position.faults)
        self.connections = 0
        self.unwelcomed = 0
        # Raised once at the end, so that every phone reconnects; and that of the present connection.
        self.generation = 0
        self.connected_generation = 0
        self.welcomed = False
        self._offers: asyncio.Queue[tuple[int, str]] = asyncio.Queue()
        self._assigned: dict[int, int] = {}
        self._busy: set[int] = set()
        self._tried: set[str] = set()
        self._tasks: asyncio.TaskGroup | None = None
        workload.history.phones.append(self.log)
        self.phone.on_event = self._event
        self.phone.on_snapshot = self._snapshot

    async def run(self) -> None:
        """Until all is over."""
        async with asyncio.TaskGroup() as tasks:
            self._tasks = tasks
            tasks.create_task(self._live())
            tasks.create_task(self._hunt())
            tasks.create_task(self._answer_offers())

    # -- the phone ----------------------------------------------------------------------------

    @property
    def resumed(self) -> int:
        """Connections that continued the position."""
        return self.phone.position.resumed

    @property
    def online(self) -> bool:
        """True while frames may be sent."""
        return self.welcomed and not self.phone.closed

    @property
    def reconnected(self) -> bool:
        """True while frames may be sent over a connection that began after the generation was raised."""
        return self.online and self.connected_generation == self.generation

    async def _live(self) -> None:
        while not self.workload.over:
            if not self.workload.closing and self.chance.random() < FORGET:
                self.phone.position.forget()
            generation = self.generation
            try:
                async with asyncio.timeout(WELCOME_S) as patience, self.phone.connected():
                    patience.reschedule(None)
                    self.welcomed, self.connected_generation = True, generation
                    self.connections += 1
                    await self._stay()
            except* TimeoutError:
                self.unwelcomed += not self.welcomed
            except* (Closed, aiohttp.ClientError, OSError):
                pass
            self.welcomed = False
            await asyncio.sleep(self.chance.uniform(0.02, 0.3))

    async def _stay(self) -> None:
        """Hold the connection until it is lost, or we lose it."""
        loop = asyncio.get_running_loop()
        until = loop.time() + self.chance.expovariate(1 / CONNECTION_S)
        acked = 0
        while self.reconnected and not self.workload.over:
            if not self.workload.closing and loop.time() > until:
                return
            if self.phone.position.last >= acked + ACK_EVERY:
                acked = self.phone.position.last
                await self.phone.send({"t": "ack", "seq": acked})
            await asyncio.sleep(0.05)

    def _event(self, frame: dict[str, Any]) -> None:
        data, order = frame["data"], number_of(frame["data"]["order_id"])
        entry = LogEntry(frame["seq"], frame["type"], order, frame["at_ms"], frame["trace"], data)
        self.log.steps.append(entry)
        if entry.type == "offer":
            self._offers.put_nowait((order, data["offer_id"]))
        elif entry.type == "order.assigned":
            self._take_on(order, data["version"])
        elif entry.type in ENDS:
            self.workload.finished(self.zone, order)

    def _snapshot(self, snapshot: dict[str, Any]) -> None:
        orders = {number_of(order["order_id"]): order for order in snapshot["orders"]}
        offers = [(number_of(offer["order_id"]), offer["offer_id"]) for offer in snapshot["offers"]]
        seq = self.phone.welcome["seq"]
        self.log.steps.append(Snapshot(seq, frozenset(orders), frozenset(offer for _, offer in offers)))
        for number, order in orders.items():
            if order["status"] == "assigned":
                self._take_on(number, order["version"])
        for offer in offers:
            self._offers.put_nowait(offer)

    # -- accepting ----------------------------------------------------------------------------

    async def _hunt(self) -> None:
        """Accept what stands on the board of an open zone; a little more than fits, sometimes."""
        while not self.workload.over:
            await asyncio.sleep(self.chance.uniform(0.02, 0.1))
            if len(self._busy) > self.capacity or not self.online:
                continue
            fresh = [(o, r) for o, r in self.phone.board.items() if r not in self._tried]
            count = min(len(fresh), self.chance.randint(1, FRAME_ORDERS))
            picked = self.chance.sample(fresh, count)
            if not picked:
                continue
            round_id = picked[0][1] if count == 1 and self.chance.random() < 0.8 else None
            intents = await self._accept([number_of(order) for order, _ in picked], round_id)
            for intent, (_, tried) in zip(intents, picked, strict=True):
                if intent.answers[-1].code != "driver_busy":
                    self._tried.add(tried)

    async def _answer_offers(self) -> None:
        """Accept most offers of a waves zone, decline some, leave some alone."""
        while not self.workload.over:
            try:
                async with asyncio.timeout(0.2):
                    order, offer_id = await self._offers.get()
            except TimeoutError:
                continue
            await asyncio.sleep(self.chance.uniform(0.0, 0.05))
            roll = 1.0 if self.workload.closing else self.chance.random()
            if roll < DECLINE:
                intent = self.intend("decline", order)
                await self.command(intent, {"offer_id": offer_id})
            elif roll > DECLINE + IGNORE:
                await self._accept([order], offer_id)

    async def _accept(self, orders: list[int], offer_id: str | None) -> list[Intent]:
        intents = [self.intend("accept", order) for order in orders]
        if len(orders) == 1 and self.chance.random() < BY_REST:
            await self.command(intents[0], {} if offer_id is None else {"offer_id": offer_id})
        else:
            for intent in intents[1:]:
                intent.key = intents[0].key
            frame: dict[str, Any] = {"t": "offer.accept", "orders": [f"ord_{order}" for order in orders]}
            if offer_id is not None:
                frame["offer_id"] = offer_id
            await self._on_feed(intents, frame)
        for intent in intents:
            for answer in intent.acked:
                if answer.code == "won" and answer.version is not None and intent.order is not None:
                    self._take_on(intent.order, answer.version)
        return intents

    async def _on_feed(self, intents: Sequence[Intent], frame: dict[str, Any], *, must: bool = False) -> None:
        orders = [intent.order for intent in intents if intent.order is not None]
        keyed = {**frame, "key": intents[0].key}

        async def attempt() -> list[AttemptResult]:
            while not self.online and not self.workload.over:  # noqa: ASYNC110 - a phone has no event for it
                await asyncio.sleep(0.02)
            try:
                return results_of_frame(await self.phone.ask(keyed), orders)
            except (Closed, aiohttp.ClientError, OSError, TimeoutError) as error:
                return [AttemptResult(UNKNOWN, type(error).__name__)] * len(orders)

        await self.insist(intents, attempt, must=must)

    # -- carrying -----------------------------------------------------------------------------

    def _take_on(self, order: int, version: int) -> None:
        """Carry an order that was assigned at this version, once."""
        if version <= self._assigned.get(order, 0):
            return
        self._assigned[order] = version
        self.workload.won.append(order)
        if order not in self._busy and self._tasks is not None:
            self._busy.add(order)
            self._tasks.create_task(self._carry_all(order))

    async def _carry_all(self, order: int) -> None:
        """Carry it, and again if it was taken away and given back meanwhile."""
        carried = 0
        while self._assigned[order] > carried:
            carried = self._assigned[order]
            await self._carry(order)
        self._busy.discard(order)

    async def _carry(self, order: int) -> None:
        for kind in ("pickup", "delivery"):
            await asyncio.sleep(self.chance.uniform(0.0, 0.1))
            if self.chance.random() < FAIL:
                await self._step("failure", order, must=True)
                return
            intent = await self._step(kind, order)
            if intent.answers and intent.answers[-1].outcome == UNKNOWN:
                intent = await self._step(kind, order, must=True)  # it had no key to be repeated under
            if not intent.acked and intent.answers[-1].outcome == NOT_PROCESSED:
                await self._step("failure", order, must=True)
                return
            if not intent.acked:
                return
        self.workload.finished(self.zone, order)

    async def _step(self, kind: str, order: int, *, must: bool = False) -> Intent:
        intent = self.intend(kind, order)
        body = {"reason": intent.key} if kind == "failure" else {}
        if self.chance.random() < BY_REST:
            await self.command(intent, body, must=must)
        else:
            frame = {"t": FRAMES[kind], "order_id": f"ord_{order}", **body}
            await self._on_feed([intent], frame, must=must)
        return intent
