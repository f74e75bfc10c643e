"""Drivers: they come online, answer offers, drive, bring, take breaks, and lose their connection now and then."""

from __future__ import annotations

import asyncio
import random
from typing import Any

from loadtests.demo.flaky_phone import FlakyPhone
from loadtests.demo.ledger import CANCELLED, OFFERED, PICKED_UP, UNDELIVERABLE, OrderLedger
from loadtests.demo.plan import PlannedUser
from loadtests.demo.run_clock import RunClock, wait_or
from loadtests.demo.world import Spot, driven, place_of, spot_of
from loadtests.kit.app_driver import AppDriver
from loadtests.kit.phone_connection import ConnectionGivenUp, PhoneConnection

OFFLINE, IDLE, ASKED = "offline", "idle", "offered"
TO_STORE, TO_CUSTOMER, LOST = "to store", "to customer", "disconnected"
DOINGS = (OFFLINE, IDLE, ASKED, TO_STORE, TO_CUSTOMER, LOST)

# How often a position is told on the road, in seconds of ours; as are all times here.
STEP_S = 0.5
THINK_S = (0.1, 0.8)
DECLINE, FAIL = 0.12, 0.02
# Mean time between two breaks, and between two lost connections; how long they last.
WORK_MEAN_S, BREAK_S = 60.0, (2.0, 6.0)
LINE_MEAN_S, AWAY_S = 30.0, (0.3, 4.0)
# A command may wait for a lost connection to come back, but not for ever.
COMMAND_S = 15.0
# No driver waits longer than this for food.
READY_S_MAX = 30.0
WON = frozenset({"won", "already_yours"})
_SEEN = {
    "order.picked_up": PICKED_UP, "order.cancelled": CANCELLED, "order.undeliverable": UNDELIVERABLE,
}  # fmt: skip


class DemoDriver(AppDriver):
    """One driver with its phone and one order at a time.

    Args:
        driver_id: how the server calls it, such as `drv_3`.
    """

    def __init__(
        self,
        driver_id: str,
        person: PlannedUser,
        link: PhoneConnection,
        phone: FlakyPhone,
        ledger: OrderLedger,
        clock: RunClock,
    ) -> None:
        super().__init__(link)
        self.id = driver_id
        self.phone = phone
        self._ledger = ledger
        self._clock = clock
        self._chance = random.Random(person.seed)
        self._line_chance = random.Random(~person.seed)
        self._at: Spot = person.at
        self._doing = OFFLINE
        self._news = asyncio.Event()

    @property
    def doing(self) -> str:
        """One of DOINGS."""
        if self._doing != OFFLINE and not self.phone.connected_now:
            return LOST
        return ASKED if self._doing == IDLE and self.offers else self._doing

    # -- what the phone hears -----------------------------------------------------------------

    def on_change(self) -> None:
        """Something to do, perhaps."""
        self._news.set()

    def on_event(self, frame: dict[str, Any]) -> None:
        """An entry, for the ledger as well."""
        self.phone.events.clear()  # they are not read again, and a demo may run for hours
        kind, data = frame["type"], frame["data"]
        order = data["order_id"]
        if kind == "offer":
            self._ledger.reached(order, OFFERED, f"to {self.id}")
        elif kind == "order.assigned":
            self._ledger.won(order, self.id, data["version"])
        elif kind == "order.delivered":
            self._ledger.brought(order, self.id)
        elif kind in _SEEN:
            self._ledger.reached(order, _SEEN[kind])
        super().on_event(frame)

    # -- a day --------------------------------------------------------------------------------

    async def run(self) -> None:
        """Until the run is over."""
        try:
            async with asyncio.TaskGroup() as tasks:
                link = tasks.create_task(self.link.hold(), name=f"line of {self.id}")
                losses = tasks.create_task(self._lose_line(), name=f"lost connections of {self.id}")
                await self._work()
                losses.cancel()
                link.cancel()
        except* ConnectionGivenUp:
            self._ledger.fail("line", f"{self.id} cannot connect any more")

    async def _lose_line(self) -> None:
        while not await wait_or(self._clock.closing, self._line_chance.expovariate(1 / LINE_MEAN_S)):
            if self.phone.connected_now:
                self._ledger.counts["lines lost"] += 1
                self._ledger.say(f"{self.id} loses its connection at {self.phone.position.last}")
                self.phone.lose(self._line_chance.uniform(*AWAY_S))

    async def _work(self) -> None:
        await wait_or(self._clock.closing, self._chance.uniform(0.0, 1.5))
        await self.link.say_where(place_of(self._at))
        await self._go("online")
        break_at_s = self._later()
        while self.orders or not self._clock.closing.is_set():
            self._news.clear()
            if self.orders:
                await self._serve(next(iter(self.orders)))
            elif self.offers:
                await self._answer(self.offers.pop(next(iter(self.offers))))
            elif self._ledger.now() > break_at_s:
                await self._rest()
                break_at_s = self._later()
            else:
                await wait_or(self._news, STEP_S)
        await self._go("offline")

    def _later(self) -> float:
        return self._ledger.now() + self._chance.expovariate(1 / WORK_MEAN_S)

    async def _go(self, status: str) -> None:
        await self._command({"t": "availability", "status": status})
        self._doing = IDLE if status == "online" else OFFLINE
        self._ledger.say(f"{self.id} is {status}")

    async def _rest(self) -> None:
        self._ledger.counts["breaks"] += 1
        await self._go("offline")
        await wait_or(self._clock.closing, self._chance.uniform(*BREAK_S))
        await self._go("online")

    async def _command(self, frame: dict[str, Any]) -> dict[str, Any]:
        """Its answer, empty if there was none. It is timed where no lost connection came between."""
        began_s, connection = self._ledger.now(), self.phone.connection
        try:
            async with asyncio.timeout(COMMAND_S):
                answer = await self.link.ask(frame)
        except TimeoutError:
            self._ledger.fail(frame["t"], "no answer")
            return {}
        if answer["t"] == "error":
            self._ledger.fail(frame["t"], str(answer["code"]))
            return {}
        if self.phone.connected_now and self.phone.connection == connection:
            self._ledger.report.done(frame["t"], self._ledger.now() - began_s)
        return answer

    # -- offers -------------------------------------------------------------------------------

    async def _answer(self, offer: dict[str, Any]) -> None:
        """Accept most after some thought, decline some at once."""
        order, declines = offer["order_id"], self._chance.random() < DECLINE
        body = {"orders": [order], "offer_id": offer["offer_id"]}
        if declines:
            word = "decline"
            answer = await self._command({"t": "offer.decline", **body, "reason": "too far"})
        else:
            word = "accept"
            self._doing = ASKED
            await wait_or(self._clock.closing, self._chance.uniform(*THINK_S))
            self._doing = IDLE
            # Even if it was revoked meanwhile: the finger is on the button, and the server must say no.
            answer = await self._command({"t": "offer.accept", **body})
        if not answer:
            return
        result = answer["results"][0]
        self._ledger.counts[f"{word}: {result['result']}"] += 1
        if not declines and result["result"] in WON:
            if result["result"] == "won":
                self._ledger.won(order, self.id, result["version"])
            # Its entry in the log may come before or after this answer.
            self.orders.setdefault(order, {**offer, "status": "assigned"})
        elif result.get("temporary"):
            self._ledger.fail(f"offer.{word}", str(result["result"]))

    # -- a ride -------------------------------------------------------------------------------

    async def _serve(self, order: str) -> None:
        """From the assignment to the customer's door; given up when the run is over."""
        data = self.orders[order]
        fetched = data["status"] == PICKED_UP
        if not fetched:
            self._doing = TO_STORE
            arrived = await self._drive(spot_of(data["store"]), order)
            fetched = arrived and await self._fetch(order)
        if fetched:
            self._doing = TO_CUSTOMER
            if await self._drive(spot_of(data["dropoff"]), order):
                await self._hand_over(order)
        if self._clock.over.is_set() and order in self.orders:
            await self._carry({"t": "order.failure", "order_id": order, "reason": "the mall has closed"})
        self.orders.pop(order, None)
        self._doing = IDLE

    async def _drive(self, to: Spot, order: str) -> bool:
        """Tell the position at every step; false when the order is not to be brought any more."""
        origin, began_s = self._at, self._ledger.now()
        while self._at != to:
            if order not in self.orders or await wait_or(self._clock.over, STEP_S):
                return False
            self._at = driven(origin, to, self._ledger.now() - began_s)
            await self.link.say_where(place_of(self._at))
        return order in self.orders

    async def _fetch(self, order: str) -> bool:
        """Wait until it is ready, and pick it up."""
        wait_s = self.orders[order]["ready_at_ms"] / 1000 - self._ledger.wall_s()
        if await wait_or(self._clock.over, min(READY_S_MAX, max(0.0, wait_s))) or order not in self.orders:
            return False
        return await self._carry({"t": "order.pickup", "order_id": order})

    async def _hand_over(self, order: str) -> None:
        if self._chance.random() < FAIL:
            await self._carry({"t": "order.failure", "order_id": order, "reason": "nobody is at home"})
        elif await self._carry({"t": "order.delivery", "order_id": order}):
            self._ledger.brought(order, self.id)

    async def _carry(self, frame: dict[str, Any]) -> bool:
        """A command on an order that is carried; that its customer was quicker to cancel is no error."""
        answer = await self._command(frame)
        if answer and not answer["ok"] and answer["status"] != CANCELLED:
            self._ledger.fail(frame["t"], f"{answer['result']} while {answer['status']}")
        return bool(answer) and bool(answer["ok"])
