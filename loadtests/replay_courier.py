"""A courier of the day: accepts what it is offered, drives, waits, picks up and drops off, as the rules say.

It plans in whole minutes of the day; real time only follows. It has one order at a time, waits where its
last one ended, is not diverted on the way, and picks nothing up after it has gone off.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from loadtests.replay_day import Atlas, Courier, Day, DayClock, Point
from loadtests.replay_line import Line
from loadtests.replay_record import START, Move, Record, Ride, Won


@dataclass(frozen=True, slots=True)
class Shift:
    """What all couriers of a replay share.

    Attributes:
        over: set when every order of the day has come to its end.
        release: asks the dispatch office to take an order back; by the server's order id.
    """

    day: Day
    clock: DayClock
    atlas: Atlas
    record: Record
    over: asyncio.Event
    release: Callable[[str], Awaitable[None]]


class Rider:
    """One courier on its phone.

    Args:
        driver_id: how the server calls it, such as `drv_3`.
    """

    def __init__(self, courier: Courier, driver_id: str, line: Line, shift: Shift) -> None:
        self.courier = courier
        self.line = line
        self._driver_id = driver_id
        self._shift = shift
        self._clock = shift.clock
        self._at = START
        self._point = courier.start
        self._drives_from = courier.on
        self._idle_since: float = courier.on
        self._offline = False
        self._offers: dict[str, dict[str, Any]] = {}
        self._mine: dict[str, dict[str, Any]] = {}
        self._changed = asyncio.Event()
        self._heard = asyncio.Event()
        line.phone.on_event = self._event
        line.phone.on_snapshot = self._snapshot
        line.phone.on_frame = self._frame

    # -- what the phone hears -----------------------------------------------------------------

    def _event(self, frame: dict[str, Any]) -> None:
        data = frame["data"]
        number = data["order_id"]
        match frame["type"]:
            case "offer":
                self._offers[number] = data
            case "offer.ready_time" if number in self._offers:
                self._offers[number] = data
            case "order.assigned" | "order.ready_time":
                # What is told of an order that has ended names no door any more.
                door = data["dropoff"]["address"] or self._mine.get(number, data)["dropoff"]["address"]
                self._mine[number] = {**data, "dropoff": {**data["dropoff"], "address": door}}
            case "order.released" | "order.cancelled" | "order.delivered" | "order.undeliverable":
                self._mine.pop(number, None)
            case _:
                pass
        self._heard.set()
        self._changed.set()

    def _snapshot(self, snapshot: dict[str, Any]) -> None:
        """It replaces all that the phone knew. What is carried goes on."""
        self._mine = {order["order_id"]: order for order in snapshot["orders"]}
        self._offers = {offer["order_id"]: offer for offer in snapshot["offers"]}
        self._heard.set()
        self._changed.set()

    def _frame(self, frame: dict[str, Any]) -> None:
        if frame["t"] == "offer.revoked":
            offer = self._offers.get(frame["order_id"])
            if offer is not None and offer["offer_id"] == frame["offer_id"]:
                del self._offers[frame["order_id"]]
        self.line.heard(frame)

    # -- the shift ----------------------------------------------------------------------------

    async def run(self) -> None:
        """Come on, work, go off; returns when nothing is carried any more."""
        await self._clock.until_or(self.courier.on, self._shift.over)
        if self._shift.over.is_set():
            return
        async with asyncio.TaskGroup() as tasks:
            line = tasks.create_task(self.line.hold(), name=f"line of {self.courier.id}")
            await self.line.say_where(self._shift.atlas.place(self._point))
            await self._command({"t": "availability", "status": "online"})
            busy = tasks.create_task(self._refuse_while_busy(), name=f"offers to {self.courier.id}")
            leaving = tasks.create_task(self._go_off(), name=f"end of {self.courier.id}")
            while (order := self._next_order()) or self._offers or not self._offline:
                self._changed.clear()
                if order is not None:
                    await self._serve(order, self._clock.minute(), self._clock.now() - self._idle_since)
                elif self._offers:
                    await self._answer(self._offers.pop(next(iter(self._offers))))
                else:
                    await self._changed.wait()
            for task in (leaving, busy, line):
                task.cancel()

    def _next_order(self) -> str | None:
        """An order that it was given and has not brought yet."""
        return next(iter(self._mine), None)

    async def _go_off(self) -> None:
        await self._clock.until_or(self.courier.off, self._shift.over)
        await self._command({"t": "availability", "status": "offline"})
        self._offline = True
        self._changed.set()

    async def _command(self, frame: dict[str, Any]) -> dict[str, Any]:
        answer = await self.line.ask(frame)
        if answer["t"] == "error" or not answer["ok"]:
            code = answer.get("code") or answer.get("result")
            self._shift.record.errors.append(f"{self.courier.id} {frame['t']}: {code}")
        return answer

    # -- offers -------------------------------------------------------------------------------

    def _picked_up_at(self, order: dict[str, Any], assigned: int) -> tuple[int, int]:
        """(arrival at the restaurant, pick-up) in minutes, as far as is known now."""
        to = self._restaurant(order)[1]
        rules = self._shift.day.rules
        arrived = max(assigned, self._drives_from) + rules.travel(self._point, to)
        ready = self._clock.minute_at(order["ready_at_ms"])
        return arrived, max(ready, arrived + rules.pickup_half)

    def _door(self, number: str) -> str:
        """The order's name in the data of the day, which is its address; an offer does not tell it."""
        told = self._mine[number]["dropoff"]["address"]
        known = self._shift.record.acknowledged
        return str(told or next(name for name, made in known.items() if made == number))

    def _restaurant(self, order: dict[str, Any]) -> tuple[str, Point]:
        # An offer does not name the door; the store is called as the restaurant is.
        door = order["dropoff"]["address"]
        name = order["store"]["name"] if door is None else self._shift.day.orders[door].restaurant
        return name, self._shift.day.restaurants[name]

    async def _answer(self, offer: dict[str, Any]) -> None:
        """Accept, but for what could only be picked up after going off."""
        record, number = self._shift.record, offer["order_id"]
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
        self._mine.setdefault(number, offer)
        placed = self._shift.day.orders[self._door(number)].placed
        await self._serve(number, assigned, now - max(placed, self._idle_since))

    async def _decline(self, offer: dict[str, Any], reason: str) -> None:
        self._shift.record.counts[f"declined: {reason}"] += 1
        body = {"orders": [offer["order_id"]], "offer_id": offer["offer_id"], "reason": reason}
        await self._command({"t": "offer.decline", **body})

    async def _refuse_while_busy(self) -> None:
        """Hands are full with one order; an offer that were left to lapse would hold its order up."""
        while True:
            self._heard.clear()
            while self._mine and self._offers:
                await self._decline(self._offers.pop(next(iter(self._offers))), "busy")
            await self._heard.wait()

    # -- a ride -------------------------------------------------------------------------------

    async def _serve(self, number: str, assigned: int, lag: float) -> None:
        """From the assignment to the customer's door; or back to the office, if it would be too late."""
        shift, rules = self._shift, self._shift.day.rules
        shift.record.counts["assigned"] += 1
        departed = max(assigned, self._drives_from)
        # What is said within a minute is known at its end; the ready time is.
        await self._clock.until(assigned + 1)
        if self._too_late(number, assigned):
            await self._hand_back(number)
            return
        order = shift.day.orders[self._door(number)]
        restaurant = shift.day.restaurants[order.restaurant]
        arrived = departed + rules.travel(self._point, restaurant)
        shift.record.moves.append(Move(self.courier.id, departed, self._at, order.restaurant))
        await self._arrive(order.restaurant, restaurant, arrived)
        picked_up = await self._wait_ready(number, arrived + rules.pickup_half)
        if picked_up is None:
            self._drives_from, self._idle_since = arrived, self._clock.now()
            return
        await self._command({"t": "order.pickup", "order_id": number})
        shift.record.counts["picked_up"] += 1
        left = picked_up + rules.pickup_half
        shift.record.moves.append(Move(self.courier.id, left, order.restaurant, order.id))
        there = left + rules.travel(restaurant, order.dropoff)
        await self._arrive(order.id, order.dropoff, there)
        delivered = there + rules.dropoff_half
        await self._clock.until(delivered)
        await self._command({"t": "order.delivery", "order_id": number})
        self._mine.pop(number, None)
        self._drives_from, self._idle_since = delivered + rules.dropoff_half, delivered
        shift.record.rides.append(Ride(order.id, self.courier.id, assigned, picked_up, delivered, lag))
        shift.record.delivered.set()

    async def _arrive(self, at: str, point: Point, minute: int) -> None:
        await self._clock.until(minute)
        self._at, self._point = at, point
        await self.line.say_where(self._shift.atlas.place(point))

    def _too_late(self, number: str, assigned: int) -> bool:
        order = self._mine.get(number)
        return order is None or self._picked_up_at(order, assigned)[1] > self.courier.off

    async def _wait_ready(self, number: str, earliest: int) -> int | None:
        """The minute of the pick-up, when it is there; None when there will be none."""
        while number in self._mine:
            self._changed.clear()
            minute = max(earliest, self._clock.minute_at(self._mine[number]["ready_at_ms"]))
            if minute > self.courier.off:
                await self._hand_back(number)
                return None
            if self._clock.now() >= minute:
                return minute
            await self._clock.until_or(minute, self._changed)
        return None

    async def _hand_back(self, number: str) -> None:
        """It became ready too late for this courier: the office gives it to somebody else."""
        self._shift.record.counts["handed_back"] += 1
        if number in self._mine:
            await self._shift.release(number)
        while number in self._mine:
            self._changed.clear()
            await self._changed.wait()
        self._idle_since = self._clock.now()
