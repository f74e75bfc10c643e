"""A courier of the day: accepts what it is offered, drives, waits, picks up and drops off, as the rules say.

It plans in whole minutes of the day; real time only follows. It has one trip at a time, which is one order or several
of one restaurant, waits where its last one ended, is not diverted on the way, and picks nothing up after it has gone
off.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from loadtests.kit.app_driver import AppDriver
from loadtests.kit.phone_connection import PhoneConnection
from loadtests.replay.day import Atlas, Day, DayClock, DayCourier, DayOrder, Point
from loadtests.replay.record import START, DayRecord, Move, Ride, Won

# The offers of a trip are together within this time, in minutes of the day.
WHOLE_MINUTES = 0.5


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

    def on_change(self) -> None:
        """Something to do, perhaps. What is carried goes on."""
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
            ends_ms = self._clock.wall_ms(self.courier.off)
            await self._command({"t": "availability", "status": "online", "shift_ends_at_ms": ends_ms})
            leaving = tasks.create_task(self._go_off(), name=f"end of {self.courier.id}")
            while self.orders or self.offers or not self._offline:
                self._changed.clear()
                if self.orders:
                    trip = _of_one_trip(self.orders)
                    await self._serve(trip, self._clock.minute(), self._clock.now() - self._idle_since)
                elif self.offers:
                    await self._answer(await self._whole_offer())
                else:
                    await self._changed.wait()
            for task in (leaving, link):
                task.cancel()

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

    async def _whole_offer(self) -> list[dict[str, Any]]:
        """The offers of one trip. Each comes with a commit of its own, so the last ones are waited for."""
        numbers = _of_one_trip(self.offers)
        first = self.offers[numbers[0]]
        wanted = set(first["trip"]["orders"]) if "trip" in first else {numbers[0]}
        until = self._clock.now() + WHOLE_MINUTES
        while wanted - self.offers.keys() and self._clock.now() < until:
            self._changed.clear()
            await self._clock.until_or(until, self._changed)
        return [self.offers.pop(number) for number in _of_one_trip(self.offers)] if self.offers else []

    def _picked_up_at(self, orders: Sequence[dict[str, Any]], assigned: int) -> tuple[int, int]:
        """(arrival at the restaurant, pick-up) in minutes, as far as is known now."""
        to = self._restaurant(orders[0])[1]
        rules = self._context.day.rules
        arrived = max(assigned, self._drives_from) + rules.travel(self._point, to)
        ready = max(self._clock.minute_at(order["ready_at_ms"]) for order in orders)
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

    async def _answer(self, offers: Sequence[dict[str, Any]]) -> None:
        """Accept, but for what could only be picked up after going off."""
        if not offers:
            return
        record = self._context.record
        if self._picked_up_at(offers, self._clock.minute())[1] > self.courier.off:
            await self._decline(offers, "off before pick-up")
            return
        answer = await self._command({"t": "offer.accept", **_offered(offers)})
        if answer["t"] == "error":
            return
        assigned, now = self._clock.minute(), self._clock.now()
        won: list[str] = []
        for offer, result in zip(offers, answer["results"], strict=True):
            number = offer["order_id"]
            record.counts[f"accept: {result['result']}"] += 1
            if result["result"] not in ("won", "already_yours"):
                continue
            if result["result"] == "won":
                record.told[number].append(Won(self._driver_id, result["version"]))
            # Its entry in the log, with the newest ready time, may come before or after this answer.
            self.orders.setdefault(number, offer)
            won.append(number)
        if won:
            placed = max(self._context.day.orders[self._door(number)].placed for number in won)
            await self._serve(won, assigned, now - max(placed, self._idle_since))

    async def _decline(self, offers: Sequence[dict[str, Any]], reason: str) -> None:
        self._context.record.counts[f"declined: {reason}"] += 1
        await self._command({"t": "offer.decline", **_offered(offers), "reason": reason})

    # -- a trip -------------------------------------------------------------------------------

    async def _serve(self, numbers: Sequence[str], assigned: int, lag: float) -> None:
        """From the assignment to the customers' doors; what would be too late is given back."""
        context, rules = self._context, self._context.day.rules
        context.record.counts["assigned"] += len(numbers)
        departed = max(assigned, self._drives_from)
        # What is said within a minute is known at its end; the ready time is.
        await self._clock.until(assigned + 1)
        for number in numbers:
            if self._too_late(number, assigned):
                await self._hand_back(number)
        numbers = [number for number in numbers if number in self.orders]
        if not numbers:
            return
        orders = {number: context.day.orders[self._door(number)] for number in numbers}
        name = next(iter(orders.values())).restaurant
        restaurant = context.day.restaurants[name]
        arrived = departed + rules.travel(self._point, restaurant)
        context.record.moves.append(Move(self.courier.id, departed, self._at, name))
        await self._arrive(name, restaurant, arrived)
        picked_up = await self._wait_ready(numbers, arrived + rules.pickup_half)
        numbers = [number for number in numbers if number in self.orders]
        if picked_up is None or not numbers:
            self._drives_from, self._idle_since = arrived, self._clock.now()
            return
        for number in numbers:
            await self._command({"t": "order.pickup", "order_id": number})
        context.record.counts["picked_up"] += len(numbers)
        left, at = picked_up + rules.pickup_half, restaurant
        for number in numbers:
            order = orders[number]
            ride = Ride(order.id, self.courier.id, assigned, picked_up, left, lag)
            left, at = await self._deliver(number, order, at, left, ride), order.dropoff

    async def _deliver(self, number: str, order: DayOrder, origin: Point, left: int, ride: Ride) -> int:
        """Bring an order to its door; returns the minute in which the courier leaves again."""
        context, rules = self._context, self._context.day.rules
        context.record.moves.append(Move(self.courier.id, left, self._at, order.id))
        there = left + rules.travel(origin, order.dropoff)
        await self._arrive(order.id, order.dropoff, there)
        delivered = there + rules.dropoff_half
        await self._clock.until(delivered)
        await self._command({"t": "order.delivery", "order_id": number})
        self.orders.pop(number, None)
        self._drives_from, self._idle_since = delivered + rules.dropoff_half, delivered
        context.record.rides.append(replace(ride, delivered=delivered))
        context.record.delivered.set()
        return self._drives_from

    async def _arrive(self, at: str, point: Point, minute: int) -> None:
        await self._clock.until(minute)
        self._at, self._point = at, point
        await self.link.say_where(self._context.atlas.place(point))

    def _too_late(self, number: str, assigned: int) -> bool:
        order = self.orders.get(number)
        return order is None or self._picked_up_at([order], assigned)[1] > self.courier.off

    async def _wait_ready(self, numbers: Sequence[str], earliest: int) -> int | None:
        """The minute of the pick-up, when all of it is there; None when there will be none."""
        while left := [number for number in numbers if number in self.orders]:
            self._changed.clear()
            ready = {number: self._clock.minute_at(self.orders[number]["ready_at_ms"]) for number in left}
            late = [number for number in left if ready[number] > self.courier.off]
            if late:
                for number in late:
                    await self._hand_back(number)
                continue
            minute = max(earliest, *ready.values())
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


def _of_one_trip(known: Mapping[str, dict[str, Any]]) -> list[str]:
    """The first order, and what is in one trip with it, in the sequence of the trip."""
    number = next(iter(known))
    trip = known[number].get("trip")
    return [each for each in trip["orders"] if each in known] if trip else [number]


def _offered(offers: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Fields of a command about the offers of a trip, or about one offer."""
    if "trip" in offers[0]:
        return {"orders": [offer["order_id"] for offer in offers], "trip_id": offers[0]["trip"]["trip_id"]}
    return {"orders": [offers[0]["order_id"]], "offer_id": offers[0]["offer_id"]}
