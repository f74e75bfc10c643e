"""A delivery day in virtual time: orders and couriers by the rules of the day, and drivers who may say no.

Nothing is known to a dispatcher before it happens: it sees orders that are placed, and couriers with the place and time
at which they are free. Times are seconds of the day; a step is a minute, or less if a silent offer lasts less.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from math import gcd
from random import Random
from typing import Protocol

from dispatch.domain.planning.fairness import WorkRow
from loadtests.replay.day import Day, DayCourier, DayOrder, Point
from loadtests.replay.record import START, Move

MINUTE_S = 60
# A courier who says no leaves the trip to be planned anew in the same step, this many times.
ROUNDS_MAX = 8


class RuleBroken(Exception):
    """A dispatcher decided what the rules forbid."""


@dataclass(slots=True)
class OpenDayOrder:
    """An order without a courier. `declined_by`: couriers who had it and did not take it."""

    number: int
    order: DayOrder
    declined_by: set[int] = field(default_factory=set)


@dataclass(slots=True)
class DayDriver:
    """A courier now: `place` is an id of the day's files, `free_s` the time at which it is there without work.

    `asked_from_s`: until then it has an offer that it has not answered. `orders`, `busy_s`: what it has taken so far.
    """

    number: int
    courier: DayCourier
    place: str
    at: Point
    free_s: int
    asked_from_s: int = 0
    orders: int = 0
    busy_s: int = 0


@dataclass(frozen=True, slots=True)
class DayTrip:
    """A trip that was accepted; all times in seconds. `doors_s` by order, in the sequence of delivery."""

    courier: str
    orders: tuple[str, ...]
    assigned_s: int
    picked_up_s: int
    doors_s: tuple[int, ...]
    moves: tuple[Move, ...]


@dataclass(frozen=True, slots=True)
class DayOffer:
    """A decision: this courier, these orders in the sequence of their delivery."""

    driver: int
    orders: tuple[int, ...]


class DayDispatcher(Protocol):
    """Whoever decides. Orders and couriers are known by their numbers: places in the day's files."""

    def decide(
        self, now_s: int, orders: Sequence[OpenDayOrder], drivers: Sequence[DayDriver]
    ) -> list[DayOffer]:
        """Offers to make now. `drivers`: all who may get one now or later."""


@dataclass(frozen=True, slots=True)
class OfferAnswers:
    """How couriers answer: shares of offers that are declined at once, and of those that lapse after `silence_s`."""

    decline: float = 0.0
    silence: float = 0.0
    silence_s: int = 30
    seed: int = 1


@dataclass(slots=True)
class DayOutcome:
    """What came of a day. `steps_s`: processor time of each step with open orders. `work`: by courier."""

    trips: list[DayTrip] = field(default_factory=list)
    unfinished: list[str] = field(default_factory=list)
    steps_s: list[float] = field(default_factory=list)
    offers: int = 0
    refused: int = 0
    work: list[WorkRow] = field(default_factory=list)


@dataclass(slots=True)
class _Lapse:
    at_s: int
    offer: DayOffer
    orders: list[OpenDayOrder]


class VirtualDay:
    """A run of a day."""

    def __init__(self, day: Day, dispatcher: DayDispatcher, answers: OfferAnswers) -> None:
        self._day = day
        self._dispatcher = dispatcher
        self._answers = answers
        self._chance = Random(answers.seed)
        self._drivers = [
            DayDriver(number, courier, START, courier.start, courier.on * MINUTE_S)
            for number, courier in enumerate(day.couriers.values())
        ]
        self._open: dict[int, OpenDayOrder] = {}
        self._lapses: list[_Lapse] = []
        self._outcome = DayOutcome()

    def run(self) -> DayOutcome:
        """The whole day: until the last courier is off, or everything is delivered."""
        coming = sorted(
            (OpenDayOrder(number, order) for number, order in enumerate(self._day.orders.values())),
            key=lambda each: (each.order.placed, each.number),
        )
        step_s = gcd(MINUTE_S, self._answers.silence_s) if self._answers.silence else MINUTE_S
        now_s, last_s = self._day.first_placed * MINUTE_S, self._day.last_off * MINUTE_S
        while now_s <= last_s and (coming or self._open or self._lapses):
            while coming and coming[0].order.placed * MINUTE_S <= now_s:
                order = coming.pop(0)
                self._open[order.number] = order
            self._end_lapsed(now_s)
            self._step(now_s)
            now_s += step_s
        left = [*self._open.values(), *(order for lapse in self._lapses for order in lapse.orders), *coming]
        self._outcome.unfinished = [each.order.id for each in sorted(left, key=lambda each: each.number)]
        self._outcome.work = [
            WorkRow(each.number, (each.courier.off - each.courier.on) * MINUTE_S, each.busy_s, each.orders)
            for each in self._drivers
        ]
        return self._outcome

    def _end_lapsed(self, now_s: int) -> None:
        for lapse in [lapse for lapse in self._lapses if lapse.at_s <= now_s]:
            self._lapses.remove(lapse)
            for order in lapse.orders:
                order.declined_by.add(lapse.offer.driver)
                self._open[order.number] = order

    def _step(self, now_s: int) -> None:
        took_s = 0.0
        for _ in range(ROUNDS_MAX):
            if not self._open:
                break
            # Who has an offer is free again when it lapses, as far as a dispatcher knows.
            asked_s = {lapse.offer.driver: lapse.at_s for lapse in self._lapses}
            drivers = [
                replace(
                    each,
                    free_s=max(each.free_s, asked_s[each.number]),
                    asked_from_s=asked_s[each.number],
                )
                if each.number in asked_s
                else each
                for each in self._drivers
                if each.courier.off * MINUTE_S >= max(now_s, each.free_s)
            ]
            began_s = time.thread_time()
            offers = self._dispatcher.decide(now_s, list(self._open.values()), drivers)
            took_s += time.thread_time() - began_s
            answers = [self._ask(now_s, offer) for offer in offers]
            if all(answers):
                break
        if took_s:
            self._outcome.steps_s.append(took_s)

    def _ask(self, now_s: int, offer: DayOffer) -> bool:
        """Make an offer. Returns False if the courier has declined."""
        if any(lapse.offer.driver == offer.driver for lapse in self._lapses):
            raise RuleBroken(f"courier {offer.driver} has an offer that it has not answered")
        orders = self._taken_out(offer)
        self._outcome.offers += 1
        luck = self._chance.random()
        if luck < self._answers.decline:
            self._outcome.refused += 1
            for order in orders:
                order.declined_by.add(offer.driver)
                self._open[order.number] = order
            return False
        if luck < self._answers.decline + self._answers.silence:
            self._outcome.refused += 1
            self._lapses.append(_Lapse(now_s + self._answers.silence_s, offer, orders))
            return True
        self._drive(now_s, self._drivers[offer.driver], orders)
        return True

    def _taken_out(self, offer: DayOffer) -> list[OpenDayOrder]:
        """The orders of an offer, which are open no more.

        Raises:
            RuleBroken: one of them is not open, or the courier had it before.
        """
        orders = []
        for number in offer.orders:
            order = self._open.pop(number, None)
            if order is None:
                raise RuleBroken(f"order {number} is not open")
            if offer.driver in order.declined_by:
                raise RuleBroken(f"{order.order.id} is offered again to courier {offer.driver}")
            orders.append(order)
        return orders

    def _drive(self, now_s: int, driver: DayDriver, orders: Sequence[OpenDayOrder]) -> None:
        """The courier does the trip."""
        rules, restaurant = self._day.rules, orders[0].order.restaurant
        store, start_s = self._day.restaurants[restaurant], max(now_s, driver.free_s)
        arrival_s = start_s + rules.travel(driver.at, store) * MINUTE_S
        ready_s = max(each.order.ready for each in orders) * MINUTE_S
        picked_up_s = max(arrival_s + rules.pickup_half * MINUTE_S, ready_s)
        moves = [Move(driver.courier.id, start_s, driver.place, restaurant)]
        at, place, free_s = store, restaurant, picked_up_s + rules.pickup_half * MINUTE_S
        doors_s = []
        for each in orders:
            moves.append(Move(driver.courier.id, free_s, place, each.order.id))
            free_s += (rules.travel(at, each.order.dropoff) + rules.dropoff_half) * MINUTE_S
            doors_s.append(free_s)
            at, place, free_s = each.order.dropoff, each.order.id, free_s + rules.dropoff_half * MINUTE_S
        driver.at, driver.place, driver.free_s = at, place, free_s
        driver.orders += len(orders)
        driver.busy_s += free_s - start_s
        names = tuple(each.order.id for each in orders)
        trip = DayTrip(driver.courier.id, names, now_s, picked_up_s, tuple(doors_s), tuple(moves))
        self._outcome.trips.append(trip)
