"""Trips with all that does not depend on the driver added up, so that a route costs one addition per trip.

All pick-ups come before all drop-offs, and nobody waits after the last pick-up. So the departure from the last store is
the later of two times, arrival at the first store plus `lead_s` or `ready_s`, and all else follows at fixed distances.
"""

from __future__ import annotations

from collections.abc import Iterator

from dispatch.domain.planning.legs import Legs
from dispatch.domain.planning.settings import PlanSettings
from dispatch.domain.planning.values import PlanOrder

NEVER = float("-inf")

Promises = tuple[tuple[float, float], ...]
Facts = tuple[int, float, float, int, float, float, int, Promises]


class TripShape:
    """A trip of orders in the sequence of their delivery.

    Attributes:
        first, end: numbers of the spots of the first pick-up and of the last drop-off.
        stores: order numbers by store, in the sequence of the pick-ups.
        lead_s: from arrival at the first store to departure from the last one, if nothing is waited for.
        ready_s: earliest departure from the last store.
        door_s: drop-off times after that departure less placing times, summed.
        drive_s: from that departure to the end of the last service.
        moving_s: driving time from the first store on.
        promises: for each order with a promise, its drop-off after the departure, and the promise.
        joined: memo of trips with one more order.
        facts: first, lead_s, ready_s, count, door_s, drive_s, end and promises together, for the innermost loop.
    """

    __slots__ = (
        "count", "door_s", "drive_s", "end", "facts", "first", "joined", "lead_s", "moving_s",
        "numbers", "promises", "ready_s", "site_id", "stores", "units",
    )  # fmt: skip

    def __init__(self, numbers: tuple[int, ...], site_id: int) -> None:
        self.numbers = numbers
        self.count = len(numbers)
        self.site_id = site_id
        self.units = self.first = self.end = 0
        self.lead_s = self.door_s = self.drive_s = self.moving_s = 0.0
        self.ready_s = NEVER
        self.stores: tuple[tuple[int, ...], ...] = ()
        self.promises: Promises = ()
        self.facts: Facts = (0, 0.0, 0.0, 0, 0.0, 0.0, 0, ())
        self.joined: dict[int, tuple[TripShape, ...]] = {}

    def late_s(self, departed_s: float) -> float:
        """Lateness against promises, summed."""
        late_s = 0.0
        for after_s, promise_s in self.promises:
            late_s += max(0.0, departed_s + after_s - promise_s)
        return late_s


class TripShapes:
    """Makes each trip once per step. Orders are known by their numbers: places in the list."""

    def __init__(self, orders: list[PlanOrder], legs: Legs, settings: PlanSettings) -> None:
        self._orders = orders
        self._rows = legs.rows
        self._settings = settings
        self._pickup = [legs.number(order.pickup) for order in orders]
        self._dropoff = [legs.number(order.dropoff) for order in orders]
        self._made: dict[tuple[int, ...], TripShape | None] = {}
        self._is_risky = any(order.ready_spread_s for order in orders)
        self.single = [self._single(number) for number in range(len(orders))]

    def pickup(self, number: int) -> int:
        """Number of the spot at which an order is picked up."""
        return self._pickup[number]

    def dropoff(self, number: int) -> int:
        """Number of the spot to which an order goes."""
        return self._dropoff[number]

    def _single(self, number: int) -> TripShape:
        made = self.of((number,))
        assert made is not None, "no order is a detour from itself"
        return made

    def of(self, numbers: tuple[int, ...]) -> TripShape | None:
        """The trip; None if some order would be under way for too long."""
        if numbers in self._made:
            return self._made[numbers]
        trip: TripShape | None = TripShape(numbers, self._orders[numbers[0]].site_id)
        assert trip is not None
        trip.units = sum(self._orders[number].units for number in numbers)
        last = self._add_pickups(trip)
        if not self._add_dropoffs(trip, last):
            trip = None
        else:
            trip.facts = (
                trip.first, trip.lead_s, trip.ready_s, trip.count, trip.door_s, trip.drive_s, trip.end,
                trip.promises,
            )  # fmt: skip
        self._made[numbers] = trip
        return trip

    def with_order(self, trip: TripShape, number: int) -> tuple[TripShape, ...]:
        """All trips that have one more order, at any place in the sequence."""
        found = trip.joined.get(number)
        if found is None:
            old = trip.numbers
            every = (self.of((*old[:at], number, *old[at:])) for at in range(len(old) + 1))
            found = trip.joined[number] = tuple(shape for shape in every if shape is not None)
        return found

    def without(self, trip: TripShape, gone: set[int]) -> TripShape | None:
        """The trip without some orders; None if nothing is left, or what is left is no trip."""
        left = tuple(number for number in trip.numbers if number not in gone)
        return self.of(left) if left else None

    def _add_pickups(self, trip: TripShape) -> int:
        """Stores in the sequence in which their orders are ready. Returns the spot of the last one."""
        by_store: dict[int, list[int]] = {}
        for number in trip.numbers:
            by_store.setdefault(self._orders[number].store_id, []).append(number)
        ready = {
            store: max(self._orders[number].ready_s for number in group) for store, group in by_store.items()
        }
        stores = sorted(by_store, key=lambda store: (ready[store], store))
        half_s = self._settings.pickup_half_s
        at = trip.first = self._pickup[by_store[stores[0]][0]]
        for store in stores:
            spot = self._pickup[by_store[store][0]]
            walk_s = self._rows[at][spot] if spot != at else 0.0
            trip.lead_s += walk_s + 2 * half_s
            trip.ready_s = max(trip.ready_s + walk_s + half_s, ready[store]) + half_s
            trip.moving_s += walk_s
            at = spot
        trip.stores = tuple(tuple(by_store[store]) for store in stores)
        return at

    def _add_dropoffs(self, trip: TripShape, at: int) -> bool:
        """False if an order is under way for too long."""
        half_s, detour_max_s = self._settings.dropoff_half_s, self._settings.detour_max_s
        alone, after_s, promises = self._rows[at], 0.0, []
        for number in trip.numbers:
            to, order = self._dropoff[number], self._orders[number]
            drive_s = self._rows[at][to]
            trip.moving_s += drive_s
            after_s += drive_s + half_s
            if after_s - half_s - alone[to] > detour_max_s:
                return False
            trip.door_s += after_s - order.placed_s
            if order.promise_s is not None:
                promises.append((after_s, order.promise_s))
                if self._is_risky and self._is_at_risk(trip, number, after_s, alone[to]):
                    return False
            after_s += half_s
            at = to
        trip.drive_s, trip.end, trip.promises = after_s, at, tuple(promises)
        return True

    def _is_at_risk(self, trip: TripShape, number: int, after_s: float, alone_s: float) -> bool:
        """True if an order that can keep its promise alone would break it when a partner is ready late."""
        order, half_s = self._orders[number], self._settings.pickup_half_s
        promise_s = order.promise_s or 0.0
        late_s = [
            each.ready_s + each.ready_spread_s
            for each in (self._orders[other] for other in trip.numbers if other != number)
            if each.ready_spread_s
        ]
        if not late_s or max(late_s) + half_s + after_s <= promise_s:
            return False
        return order.ready_s + half_s + alone_s + self._settings.dropoff_half_s <= promise_s

    def pickups(self, trip: TripShape, arrival_s: float) -> Iterator[tuple[int, tuple[int, ...], float]]:
        """Each pick-up after an arrival at the first store: its spot, its orders and its time."""
        half_s, departed_s, before = self._settings.pickup_half_s, arrival_s, trip.first
        for group in trip.stores:
            spot = self._pickup[group[0]]
            walk_s = self._rows[before][spot] if spot != before else 0.0
            ready_s = max(self._orders[number].ready_s for number in group)
            at_s = max(departed_s + walk_s + half_s, ready_s)
            yield spot, group, at_s
            departed_s, before = at_s + half_s, spot

    def dropoffs(self, trip: TripShape, last: int, departed_s: float) -> Iterator[tuple[int, int, float]]:
        """Each drop-off after a departure from spot `last`: its spot, its order and its time."""
        half_s, at = self._settings.dropoff_half_s, last
        for number in trip.numbers:
            to = self._dropoff[number]
            at_s = departed_s + self._rows[at][to] + half_s
            yield to, number, at_s
            departed_s, at = at_s + half_s, to
