"""A courier of the day: accepts what it is offered, drives, waits, picks up and drops off, as the rules say.

It plans in whole minutes of the day; real time only follows. It has one order at a time, waits where its
last one ended, is not diverted on the way, and picks nothing up after it has gone off.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from loadtests.kit.app_driver import AppDriver
from loadtests.kit.phone_connection import PhoneConnection
from loadtests.replay.day import Atlas, Day, DayClock, DayCourier, Point
from loadtests.replay.record import START, DayRecord, Move, Ride, Won


@dataclass(frozen=True, slots=True)
class ReplayContext:
    """What all couriers of a replay share.

    Attributes:
        over: set when every order of the day has come to its end.
        release: has an administrator take an order back; by the server's order id.
    """

    day: Day
    clock: DayClock
    atlas: Atlas
    record: DayRecord
    over: asyncio.Event
    release: Callable[[str], Awaitable[None]]


class Rider(AppDriver):
    """One courier on its phone.

    Args:
        driver_id: how the server calls it, such as `drv_3`.
    """

    def __init__(
        self, courier: DayCourier, driver_id: str, link: PhoneConnection, context: ReplayContext
    ) -> None:
        super().__init__(link)
        self.courier = courier
        self._driver_id = driver_id
        self._context = context
        self._clock = context.clock
        self._at = START
        self._point = courier.start
        self._drives_from = courier.on
        self._idle_since: float = courier.on
        self._offline = False
        self._changed = asyncio.Event()
        self._heard = asyncio.Event()

    def on_change(self) -> None:
        """Something to do, perhaps. What is carried goes on."""
        self._heard.set()
        self._changed.set()

    # -- the shift ----------------------------------------------------------------------------

    async def run(self) -> None:
        """Come on, work, go off; returns when nothing is carried any more."""
        await self._clock.until_or(self.courier.on, self._context.over)
        if self._context.over.is_set():
            return
        async with asyncio.TaskGroup() as tasks:
            link = tasks.create_task(self.link.hold(), name=f"line of {self.courier.id}")
            await self.link.say_where(self._context.atlas.place(self._point))
            await self._command({"t": "availability", "status": "online"})
            busy = tasks.create_task(self._refuse_while_busy(), name=f"offers to {self.courier.id}")
            leaving = tasks.create_task(self._go_off(), name=f"end of {self.courier.id}")
            while (order := self._next_order()) or self.offers or not self._offline:
                self._changed.clear()
                if order is not None:
                    await self._serve(order, self._clock.minute(), self._clock.now() - self._idle_since)
                elif self.offers:
                    await self._answer(self.offers.pop(next(iter(self.offers))))
                else:
                    await self._changed.wait()
            for task in (leaving, busy, link):
                task.cancel()

    def _next_order(self) -> str | None:
        """An order that it was given and has not brought yet."""
        return next(iter(self.orders), None)

    async def _go_off(self) -> None:
        await self._clock.until_or(self.courier.off, self._context.over)
        await self._command({"t": "availability", "status": "offline"})
        self._offline = True
        self._changed.set()

    async def _command(self, frame: dict[str, Any]) -> dict[str, Any]:
        answer = await self.link.ask(frame)
        if answer["t"] == "error" or not answer["ok"]:
            code = answer.get("code") or answer.get("result")
            self._context.record.errors.append(f"{self.courier.id} {frame['t']}: {code}")
        return answer

    # -- offers -------------------------------------------------------------------------------

    def _picked_up_at(self, order: dict[str, Any], assigned: int) -> tuple[int, int]:
        """(arrival at the restaurant, pick-up) in minutes, as far as is known now."""
        to = self._restaurant(order)[1]
        rules = self._context.day.rules
        arrived = max(assigned, self._drives_from) + rules.travel(self._point, to)
        ready = self._clock.minute_at(order["ready_at_ms"])
        return arrived, max(ready, arrived + rules.pickup_half)

    def _door(self, number: str) -> str:
        """The order's name in the data of the day, which is its address; an offer does not tell it."""
        told = self.orders[number]["dropoff"]["address"]
        known = self._context.record.acknowledged
        return str(told or next(name for name, made in known.items() if made == number))

    def _restaurant(self, order: dict[str, Any]) -> tuple[str, Point]:
        # An offer does not name the door; the store is called as the restaurant is.
        door = order["dropoff"]["address"]
        name = order["store"]["name"] if door is None else self._context.day.orders[door].restaurant
        return name, self._context.day.restaurants[name]

    async def _answer(self, offer: dict[str, Any]) -> None:
        """Accept, but for what could only be picked up after going off."""
        record, number = self._context.record, offer["order_id"]
        if self._picked_up_at(offer, self._clock.minute())[1] > self.courier.off:
            await self._decline(offer, "off before pick-up")
            return
        body = {"orders": [number], "offer_id": offer["offer_id"]}
        answer = await self._command({"t": "offer.accept", **body})
        if answer["t"] == "error":
            return
        assigned, now = self._clock.minute(), self._clock.now()
        result = answer["results"][0]
        record.counts[f"accept: {result['result']}"] += 1
        if result["result"] not in ("won", "already_yours"):
            return
        if result["result"] == "won":
            record.told[number].append(Won(self._driver_id, result["version"]))
        # Its entry in the log, with the newest ready time, may come before or after this answer.
        self.orders.setdefault(number, offer)
        placed = self._context.day.orders[self._door(number)].placed
        await self._serve(number, assigned, now - max(placed, self._idle_since))

    async def _decline(self, offer: dict[str, Any], reason: str) -> None:
        self._context.record.counts[f"declined: {reason}"] += 1
        body = {"orders": [offer["order_id"]], "offer_id": offer["offer_id"], "reason": reason}
        await self._command({"t": "offer.decline", **body})

    async def _refuse_while_busy(self) -> None:
        """Hands are full with one order; an offer that were left to lapse would hold its order up."""
        while True:
            self._heard.clear()
            while self.orders and self.offers:
                await self._decline(self.offers.pop(next(iter(self.offers))), "busy")
            await self._heard.wait()

    # -- a ride -------------------------------------------------------------------------------

    async def _serve(self, number: str, assigned: int, lag: float) -> None:
        """From the assignment to the customer's door; or given back, if it would be too late."""
        context, rules = self._context, self._context.day.rules
        context.record.counts["assigned"] += 1
        departed = max(assigned, self._drives_from)
        # What is said within a minute is known at its end; the ready time is.
        await self._clock.until(assigned + 1)
        if self._too_late(number, assigned):
            await self._hand_back(number)
            return
        order = context.day.orders[self._door(number)]
        restaurant = context.day.restaurants[order.restaurant]
        arrived = departed + rules.travel(self._point, restaurant)
        context.record.moves.append(Move(self.courier.id, departed, self._at, order.restaurant))
        await self._arrive(order.restaurant, restaurant, arrived)
        picked_up = await self._wait_ready(number, arrived + rules.pickup_half)
        if picked_up is None:
            self._drives_from, self._idle_since = arrived, self._clock.now()
            return
        await self._command({"t": "order.pickup", "order_id": number})
        context.record.counts["picked_up"] += 1
        left = picked_up + rules.pickup_half
        context.record.moves.append(Move(self.courier.id, left, order.restaurant, order.id))
        there = left + rules.travel(restaurant, order.dropoff)
        await self._arrive(order.id, order.dropoff, there)
        delivered = there + rules.dropoff_half
        await self._clock.until(delivered)
        await self._command({"t": "order.delivery", "order_id": number})
        self.orders.pop(number, None)
        self._drives_from, self._idle_since = delivered + rules.dropoff_half, delivered
        context.record.rides.append(Ride(order.id, self.courier.id, assigned, picked_up, delivered, lag))
        context.record.delivered.set()

    async def _arrive(self, at: str, point: Point, minute: int) -> None:
        await self._clock.until(minute)
        self._at, self._point = at, point
        await self.link.say_where(self._context.atlas.place(point))

    def _too_late(self, number: str, assigned: int) -> bool:
        order = self.orders.get(number)
        return order is None or self._picked_up_at(order, assigned)[1] > self.courier.off

    async def _wait_ready(self, number: str, earliest: int) -> int | None:
        """The minute of the pick-up, when it is there; None when there will be none."""
        while number in self.orders:
            self._changed.clear()
            minute = max(earliest, self._clock.minute_at(self.orders[number]["ready_at_ms"]))
            if minute > self.courier.off:
                await self._hand_back(number)
                return None
            if self._clock.now() >= minute:
                return minute
            await self._clock.until_or(minute, self._changed)
        return None

    async def _hand_back(self, number: str) -> None:
        """It became ready too late for this courier: an administrator releases it for another one."""
        self._context.record.counts["handed_back"] += 1
        if number in self.orders:
            await self._context.release(number)
        while number in self.orders:
            self._changed.clear()
            await self._changed.wait()
        self._idle_since = self._clock.now()
