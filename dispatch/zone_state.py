"""What a zone's actor has in memory: its open orders, its drivers, and what is on its way between them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

from actors.dedup import Ring
from dispatch import messages as m
from dispatch.domain.commands import GiveUp
from dispatch.domain.driver_index import DriverIndex
from dispatch.domain.order import Order


def within(now_ms: int, then_ms: int, span_ms: float) -> bool:
    """True when `then` was less than a span ago. A clock that was set back counts as elapsed."""
    return 0 <= now_ms - then_ms < span_ms


@dataclass(slots=True)
class ZoneState:
    """A zone in memory.

    Attributes:
        orders: confirmed orders by id.
            In order of creation, unless `mixed`.
        drivers: online drivers by id.
        fleet: those of them with a free slot, by place.
        proposed: orders whose proposal is on its way: when it was made, and to whom.
        traces: the trace of the last change of each order; its offers continue it.
        touched, met: orders and drivers that were heard of since the picture was asked for; they are newer.
        suspects: drivers who may have offers that they cannot take; looked at with the next plan.
        give_up: what orders are told that nobody takes for too long; None: they wait for ever.
        end_ms: no order is to be told so earlier; None: that is not known.
        pressed: orders that were told to give up, and when.
        shown: the entries of the last board by order, with the version that each is of: most stay as they are.
        manned: the drivers have been read since the zone was activated: who is not known is not there.
    """

    id: int
    mode: str
    wave_size: int
    offer_ttl_ms: int
    reach_m: int = 50_000
    pause_ms: int = 0
    give_up: GiveUp | None = None
    end_ms: int | None = None
    orders: dict[int, Order] = field(default_factory=dict)
    mixed: bool = False
    newest_ms: int = 0
    drivers: dict[int, m.DriverChanged] = field(default_factory=dict)
    fleet: DriverIndex = field(default_factory=DriverIndex)
    proposed: dict[int, tuple[int, tuple[int, ...]]] = field(default_factory=dict)
    traces: dict[int, str] = field(default_factory=dict)
    touched: set[int] = field(default_factory=set)
    met: set[int] = field(default_factory=set)
    suspects: set[int] = field(default_factory=set)
    pressed: dict[int, int] = field(default_factory=dict)
    manned: bool = False
    planned_ms: int = 0
    rebuilt_ms: int = 0
    settings_due: bool = False
    board_ms: int = 0
    board_dirty: bool = False
    shown: dict[int, tuple[int, dict[str, Any]]] = field(default_factory=dict)
    waking: bool = False

    @property
    def recent(self) -> Ring:
        return ()

    def set(self, row: Mapping[str, Any]) -> None:
        """The zone's settings."""
        self.mode, self.wave_size = row["mode"], row["wave_size"]
        self.offer_ttl_ms = row["offer_ttl_s"] * 1000
        self.reach_m, self.pause_ms = row["offer_distance_max_m"], row["release_pause_s"] * 1000
        after_s = row["give_up_after_s"]
        self.give_up = None if after_s is None else GiveUp(after_s * 1000)
        self.end_ms = None

    def admit(self, order: Order) -> None:
        """The order looks for a driver."""
        if order.id not in self.orders:
            self.mixed = self.mixed or order.facts.created_ms < self.newest_ms
            self.newest_ms = max(self.newest_ms, order.facts.created_ms)
        self.orders[order.id] = order
        if self.end_ms is not None and self.give_up is not None:
            self.end_ms = min(self.end_ms, self.give_up.due_ms(order))
        for offer in order.offers:
            if offer.driver_id not in self.drivers:
                self.suspects.add(offer.driver_id)

    def dismiss(self, number: int) -> None:
        """The order does not look for a driver, or not any more."""
        self.orders.pop(number, None)
        self.traces.pop(number, None)
        self.proposed.pop(number, None)
        self.pressed.pop(number, None)

    def oldest(self, count: int) -> list[Order]:
        """The orders that were created first."""
        if self.mixed:
            by_age = sorted(self.orders.values(), key=lambda o: (o.facts.created_ms, o.id))
            self.orders = {order.id: order for order in by_age}
            self.mixed = False
        return list(islice(self.orders.values(), count))

    def seat(self, driver: m.DriverChanged) -> None:
        """The driver is online, and this is what is known of it."""
        self.drivers[driver.driver_id] = driver
        self.fleet.put(driver.driver_id, driver.place, driver.free)

    def unseat(self, number: int) -> None:
        """The driver is not online."""
        self.drivers.pop(number, None)
        self.fleet.drop(number)
        self.suspects.add(number)
