"""Drivers: they come online, answer offers, drive, bring, take breaks, and lose their connection now and then."""

from __future__ import annotations

import asyncio
import random
from typing import Any

from loadtests.demo.handset import Handset
from loadtests.demo.hours import Hours, wait_or
from loadtests.demo.ledger import CANCELLED, OFFERED, PICKED_UP, UNDELIVERABLE, Ledger
from loadtests.demo.plan import Person
from loadtests.demo.world import Spot, driven, place_of, spot_of
from loadtests.replay_line import Line, LineDead

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
_ENDED = frozenset({"order.delivered", "order.cancelled", "order.undeliverable", "order.released"})


class Driver:
    """One driver with its phone and one order at a time.

    Args:
        driver_id: how the server calls it, such as `drv_3`.
    """

    def __init__(
        self, driver_id: str, person: Person, line: Line, handset: Handset, ledger: Ledger, hours: Hours
    ) -> None:
        self.id = driver_id
        self.handset = handset
        self._line = line
        self._ledger = ledger
        self._hours = hours
        self._chance = random.Random(person.seed)
        self._mishap = random.Random(~person.seed)
        self._at: Spot = person.at
        self._doing = OFFLINE
        self._offers: dict[str, dict[str, Any]] = {}
        self._mine: dict[str, dict[str, Any]] = {}
        self._news = asyncio.Event()
        handset.on_event = self._event
        handset.on_snapshot = self._snapshot
        handset.on_frame = self._frame

    @property
    def doing(self) -> str:
        """One of DOINGS."""
        if self._doing != OFFLINE and not self.handset.connected_now:
            return LOST
        return ASKED if self._doing == IDLE and self._offers else self._doing

    # -- what the phone hears -----------------------------------------------------------------

    def _event(self, frame: dict[str, Any]) -> None:
        self.handset.positions.take(frame["seq"])
        self.handset.events.clear()  # nobody reads them again, and a demo may run for hours
        kind, data = frame["type"], frame["data"]
        order = data["order_id"]
        if kind == "offer":
            self._offers[order] = data
            self._ledger.reached(order, OFFERED, f"to {self.id}")
        elif kind == "order.assigned":
            self._mine[order] = data
            self._ledger.won(order, self.id, data["version"])
        elif kind == "order.delivered":
            self._ledger.brought(order, self.id)
        elif kind in _SEEN:
            self._ledger.reached(order, _SEEN[kind])
        if kind in _ENDED:
            self._mine.pop(order, None)
        self._news.set()

    def _snapshot(self, snapshot: dict[str, Any]) -> None:
        """It replaces all that the phone knew."""
        self.handset.positions.start(self.handset.welcome["seq"])
        self._mine = {order["order_id"]: order for order in snapshot["orders"]}
        self._offers = {offer["order_id"]: offer for offer in snapshot["offers"]}
        self._news.set()

    def _frame(self, frame: dict[str, Any]) -> None:
        if frame["t"] == "offer.revoked":
            offer = self._offers.get(frame["order_id"])
            if offer is not None and offer["offer_id"] == frame["offer_id"]:
                del self._offers[frame["order_id"]]
        self._line.heard(frame)

    # -- a day --------------------------------------------------------------------------------

    async def run(self) -> None:
        """Until everybody goes home."""
        try:
            async with asyncio.TaskGroup() as tasks:
                line = tasks.create_task(self._line.hold(), name=f"line of {self.id}")
                mishaps = tasks.create_task(self._lose_line(), name=f"mishaps of {self.id}")
                await self._work()
                mishaps.cancel()
                line.cancel()
        except* LineDead:
            self._ledger.fail("line", f"{self.id} is not let in any more")

    async def _lose_line(self) -> None:
        while not await wait_or(self._hours.closing, self._mishap.expovariate(1 / LINE_MEAN_S)):
            if self.handset.connected_now:
                self._ledger.counts["lines lost"] += 1
                self._ledger.say(f"{self.id} loses its connection at {self.handset.seq}")
                self.handset.lose(self._mishap.uniform(*AWAY_S))

    async def _work(self) -> None:
        await wait_or(self._hours.closing, self._chance.uniform(0.0, 1.5))
        await self._line.say_where(place_of(self._at))
        await self._go("online")
        break_at_s = self._later()
        while self._mine or not self._hours.closing.is_set():
            self._news.clear()
            if self._mine:
                await self._serve(next(iter(self._mine)))
            elif self._offers:
                await self._answer(self._offers.pop(next(iter(self._offers))))
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
        await wait_or(self._hours.closing, self._chance.uniform(*BREAK_S))
        await self._go("online")

    async def _command(self, frame: dict[str, Any]) -> dict[str, Any]:
        """Its answer, empty if there was none. It is timed where no lost connection came between."""
        began_s, connection = self._ledger.now(), self.handset.connection
        try:
            async with asyncio.timeout(COMMAND_S):
                answer = await self._line.ask(frame)
        except TimeoutError:
            self._ledger.fail(frame["t"], "no answer")
            return {}
        if answer["t"] == "error":
            self._ledger.fail(frame["t"], str(answer["code"]))
            return {}
        if self.handset.connected_now and self.handset.connection == connection:
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
            await wait_or(self._hours.closing, self._chance.uniform(*THINK_S))
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
            self._mine.setdefault(order, {**offer, "status": "assigned"})
        elif result.get("temporary"):
            self._ledger.fail(f"offer.{word}", str(result["result"]))

    # -- a ride -------------------------------------------------------------------------------

    async def _serve(self, order: str) -> None:
        """From the assignment to the customer's door; given up when everybody goes home."""
        data = self._mine[order]
        fetched = data["status"] == PICKED_UP
        if not fetched:
            self._doing = TO_STORE
            arrived = await self._drive(spot_of(data["store"]), order)
            fetched = arrived and await self._fetch(order)
        if fetched:
            self._doing = TO_CUSTOMER
            if await self._drive(spot_of(data["dropoff"]), order):
                await self._hand_over(order)
        if self._hours.over.is_set() and order in self._mine:
            await self._carry({"t": "order.failure", "order_id": order, "reason": "the mall has closed"})
        self._mine.pop(order, None)
        self._doing = IDLE

    async def _drive(self, to: Spot, order: str) -> bool:
        """Tell the position at every step; false when the order is not to be brought any more."""
        origin, began_s = self._at, self._ledger.now()
        while self._at != to:
            if order not in self._mine or await wait_or(self._hours.over, STEP_S):
                return False
            self._at = driven(origin, to, self._ledger.now() - began_s)
            await self._line.say_where(place_of(self._at))
        return order in self._mine

    async def _fetch(self, order: str) -> bool:
        """Wait until it is ready, and pick it up."""
        wait_s = self._mine[order]["ready_at_ms"] / 1000 - self._ledger.wall_s()
        if await wait_or(self._hours.over, min(READY_S_MAX, max(0.0, wait_s))) or order not in self._mine:
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
