"""Live picture of a zone for operators: once a second, what has changed, in flat numbers.

It exists only while an instance says that somebody looks. Nothing of it is stored: after a change of the zone's owner
it begins again under another `run`, and who followed it asks for the whole.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import chain
from typing import Any, NamedTuple

from actors.messages import Delivery, Emit
from dispatch import messages as m
from dispatch.domain.geo import Place
from dispatch.domain.ids import ZONE, public_id
from dispatch.domain.order import ASSIGNED, CARRIED, CONFIRMED, PICKED_UP, Order

# An instance says so again every few seconds.
LEASE_MS = 30_000
# Instances that look at a zone; more are not told.
WATCHERS_MAX = 64
# Places are told as millionths of a degree from the first one: a tenth of a metre.
MICRO = 1_000_000
STATUS_CODES: Mapping[str, int] = {CONFIRMED: 0, ASSIGNED: 1, PICKED_UP: 2}
# What a driver does: nothing, on the way to a store, on the way to a door.
FREE, FETCHING, DELIVERING = range(3)
# Numbers of a driver in a tick.
DRIVER_FIELDS = ("id", "lat", "lon", "doing", "load", "capacity")
# Members of an order in a tick.
ORDER_FIELDS = (
    "id", "status", "version", "store", "lat", "lon", "driver", "created_s", "since_s", "promised_s", "expected_s",
    "wave", "asked", "address",
)  # fmt: skip


class Scene(NamedTuple):
    """What the zone itself knows: its open orders and its online drivers."""

    orders: Mapping[int, Order]
    drivers: Mapping[int, m.DriverChanged]


@dataclass(slots=True)
class LiveView:
    """What is told, and to whom.

    Attributes:
        run: start of this view; another one means that numbers begin again.
        number: of the last tick.
        watchers: addresses of instances, and until when they are told.
        eager: those of them that need the whole.
        loaded: True once the orders under way were read.
        under_way: orders that drivers carry.
        moved, left: drivers to be told of; changed, ended: orders.
        touched: orders with news since the last comparison began; newer than the rows.
    """

    run: int
    number: int = 0
    watchers: dict[str, int] = field(default_factory=dict)
    eager: set[str] = field(default_factory=set)
    loaded: bool = False
    under_way: dict[int, Order] = field(default_factory=dict)
    moved: set[int] = field(default_factory=set)
    left: set[int] = field(default_factory=set)
    changed: set[int] = field(default_factory=set)
    ended: set[int] = field(default_factory=set)
    touched: set[int] = field(default_factory=set)
    corner: tuple[int, int] | None = None

    # -- who looks ------------------------------------------------------------------------------------------

    def watch(self, message: m.WatchZone, now_ms: int) -> None:
        """An instance looks, for a while from now on."""
        if message.to not in self.watchers and len(self.watchers) >= WATCHERS_MAX:
            return
        self.watchers[message.to] = now_ms + LEASE_MS
        if message.whole:
            self.eager.add(message.to)

    def unwatch(self, address: str) -> None:
        """An instance looks no longer."""
        self.watchers.pop(address, None)
        self.eager.discard(address)

    def is_watched(self, now_ms: int) -> bool:
        """True while somebody looks. A clock that was set back ends no lease early by more than its length."""
        for address in [to for to, until in self.watchers.items() if not 0 <= until - now_ms <= LEASE_MS]:
            self.unwatch(address)
        return bool(self.watchers)

    # -- what happens ---------------------------------------------------------------------------------------

    def driver_seated(self, number: int) -> None:
        """A driver is online, or has moved."""
        self.moved.add(number)
        self.left.discard(number)

    def driver_left(self, number: int) -> None:
        """A driver is not online."""
        self.left.add(number)
        self.moved.discard(number)

    def order_changed(self, order: Order) -> None:
        """Take in an order as committed."""
        known = self.under_way.get(order.id)
        if known is not None and known.version > order.version:
            return
        self.touched.add(order.id)
        for driver in (order.driver_id, None if known is None else known.driver_id):
            if driver is not None:
                self.moved.add(driver)
        if order.status in CARRIED:
            self.under_way[order.id] = order
        else:
            self.under_way.pop(order.id, None)
        if order.status in STATUS_CODES:
            self.changed.add(order.id)
            self.ended.discard(order.id)
        else:
            self._end(order.id)

    def order_vanished(self, number: int) -> None:
        """The rows have shown that an order is not open any more."""
        if number not in self.under_way:
            self._end(number)

    def _end(self, number: int) -> None:
        self.changed.discard(number)
        self.ended.add(number)

    def compare(self, there: Mapping[int, int]) -> list[int]:
        """Compare with the rows of orders under way, by version; returns those to be read whole."""
        for number in [n for n in self.under_way if n not in there and n not in self.touched]:
            self.moved.add(self.under_way.pop(number).driver_id or 0)
            self._end(number)
        wanted = [
            number
            for number, version in there.items()
            if number not in self.touched
            and (number not in self.under_way or self.under_way[number].version < version)
        ]
        self.loaded = self.loaded or not wanted
        return wanted

    def fill(self, orders: list[Order]) -> None:
        """Take in orders that were missing or outdated."""
        for order in orders:
            if order.id not in self.touched and order.status in CARRIED:
                self.order_changed(order)
        self.loaded = True

    # -- what is told ---------------------------------------------------------------------------------------

    def tick(self, zone_id: int, scene: Scene, now_ms: int) -> Iterator[Emit]:
        """The frames of this second: one for all who have followed, and the whole for who has not."""
        if not self.loaded:
            return
        self.number += 1
        followers = [to for to in self.watchers if to not in self.eager]
        if followers:
            part = self._frame(zone_id, scene, now_ms, self.moved, self.changed)
            part |= {"left": sorted(self.left), "ended": sorted(self.ended)}
            yield from (Emit(to, Delivery.RELIABLE, part) for to in followers)
        yield from self.whole(zone_id, scene, now_ms)
        for news in (self.moved, self.left, self.changed, self.ended):
            news.clear()

    def whole(self, zone_id: int, scene: Scene, now_ms: int) -> Iterator[Emit]:
        """The whole picture under the number of the last tick, for who needs it."""
        if not self.loaded or not self.eager:
            return
        orders = chain(scene.orders, self.under_way)
        frame = self._frame(zone_id, scene, now_ms, scene.drivers, list(orders))
        frame["whole"] = True
        yield from (Emit(to, Delivery.RELIABLE, frame) for to in self.eager)
        self.eager.clear()

    def _frame(
        self, zone_id: int, scene: Scene, now_ms: int, drivers: Collection[int], orders: Collection[int]
    ) -> dict[str, Any]:
        rows = [self._driver(scene.drivers[n]) for n in sorted(drivers) if n in scene.drivers]
        found = (self.under_way.get(n) or scene.orders.get(n) for n in orders)
        frame: dict[str, Any] = {
            "t": "tick",
            "zone_id": public_id(ZONE, zone_id),
            "run": self.run,
            "n": self.number,
            "at_ms": now_ms,
            "counts": self._counts(scene, now_ms),
            "drivers": list(chain.from_iterable(rows)),
            "orders": [self._order(order) for order in found if order is not None],
        }
        frame["corner"] = self.corner  # which the first place may just have made
        return frame

    def _counts(self, scene: Scene, now_ms: int) -> dict[str, int]:
        picked_up = sum(order.status == PICKED_UP for order in self.under_way.values())
        late = sum(
            (order.facts.promised_ms or now_ms) < now_ms
            for order in chain(scene.orders.values(), self.under_way.values())
        )
        return {
            "waiting": len(scene.orders),
            "assigned": len(self.under_way) - picked_up,
            "picked_up": picked_up,
            "late": late,
            "free": sum(not driver.carrying for driver in scene.drivers.values()),
            "online": len(scene.drivers),
        }

    def _driver(self, driver: m.DriverChanged) -> tuple[int | None, ...]:
        load = len(driver.carrying)
        carried = (self.under_way.get(number) for number in driver.carrying)
        doing = FREE if not load else FETCHING
        if any(order is not None and order.status == PICKED_UP for order in carried):
            doing = DELIVERING
        lat, lon = (None, None) if driver.place is None else self._offset(driver.place)
        return driver.driver_id, lat, lon, doing, load, driver.capacity

    def _order(self, order: Order) -> tuple[int | str, ...]:
        facts = order.facts
        promised, expected = facts.promised_ms or 0, order.expected_ms or 0
        return (
            order.id, STATUS_CODES[order.status], order.version, facts.first.store_id, *self._offset(facts.dropoff),
            order.driver_id or 0, facts.created_ms // 1000, order.looking_since_ms // 1000, promised // 1000,
            expected // 1000, order.wave, len(order.offers), facts.address,
        )  # fmt: skip

    def _offset(self, place: Place) -> tuple[int, int]:
        lat, lon = round(place.lat * MICRO), round(place.lon * MICRO)
        if self.corner is None:
            self.corner = lat, lon
        return lat - self.corner[0], lon - self.corner[1]
