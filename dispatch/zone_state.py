"""State of a zone actor: open orders, online drivers, and proposals under way."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

from actors.dedup import Ring
from dispatch import messages as m
from dispatch.domain.commands import GiveUp
from dispatch.domain.driver_index import DriverIndex
from dispatch.domain.offer_ladder import NEAREST, OfferLadder, Rung, ladder_from
from dispatch.domain.order import OPEN, WAVES, Order
from dispatch.first_offers import FirstOffers
from dispatch.pickup_queue import PickupQueue, fence_from
from dispatch.zone_live import LiveView, Scene
from dispatch.zone_plan import ZonePlan, plan_settings_from

USUAL = OfferLadder((Rung(NEAREST),))


def within(now_ms: int, then_ms: int, span_ms: float) -> bool:
    """True if `then` was less than a span ago. If the clock was set back, the span counts as over."""
    return 0 <= now_ms - then_ms < span_ms


@dataclass(slots=True)
class ZoneState:
    """State of a zone.

    Attributes:
        ladder: who is asked for an order, one rung after the other.
        orders: confirmed orders by id.
            In order of creation, unless `mixed`.
        scheduled: confirmed orders that no driver is asked for yet, by id.
        drivers: online drivers by id.
        fleet: drivers with a free slot, by place.
        proposed: orders with a proposal under way: its time and its drivers.
        traces: trace of each order's last change, for its offers.
        touched, met: orders and drivers with news since the last comparison began; newer than the rows.
        suspects: drivers who may have offers that they cannot accept; checked with the next matching.
        give_up: message for orders without a driver; None: they wait for ever.
        end_ms: earliest time at which an order gets it; None: not known.
        pressed: orders that got it, with times.
        unasked: orders for which nobody was asked yet.
        shown: entries of the last board by order, with their versions; most are reused.
        plan: what the planner of the zone needs; None: the nearest drivers get offers.
        queue: free drivers at the stores, in the sequence of their arrival.
        live: what operators who look at the zone are told; None: nobody looks.
        manned: True once the drivers were read after the activation: an unknown driver is not online.
    """

    id: int
    mode: str
    ladder: OfferLadder = USUAL
    pause_ms: int = 0
    give_up: GiveUp | None = None
    end_ms: int | None = None
    orders: dict[int, Order] = field(default_factory=dict)
    scheduled: dict[int, Order] = field(default_factory=dict)
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
    unasked: FirstOffers = field(default_factory=FirstOffers)
    plan: ZonePlan | None = None
    queue: PickupQueue = field(default_factory=PickupQueue)
    manned: bool = False
    planned_ms: int = 0
    rebuilt_ms: int = 0
    settings_due: bool = False
    settings_ms: int = 0
    board_ms: int = 0
    board_dirty: bool = False
    shown: dict[int, tuple[int, dict[str, Any]]] = field(default_factory=dict)
    waking: bool = False
    live: LiveView | None = None

    @property
    def recent(self) -> Ring:
        return ()

    @property
    def shows_board(self) -> bool:
        """True if all orders of the zone are on its board, or some may come to be there."""
        return self.mode == OPEN or self.ladder.has_board

    def has_place_for(self, mode: str) -> bool:
        """True if orders of this mode are as the zone's settings want them."""
        return mode == self.mode or (mode == OPEN and self.ladder.has_board)

    def set(self, row: Mapping[str, Any]) -> None:
        """Set the zone's settings."""
        self.mode, self.ladder = row["mode"], ladder_from(row)
        self.pause_ms = row["release_pause_s"] * 1000
        after_s = row["give_up_after_s"]
        self.give_up = None if after_s is None else GiveUp(after_s * 1000)
        self.end_ms = None
        if self.mode != WAVES:
            self.unasked.clear()
        self._set_plan(row)
        fence = fence_from(row)
        if fence != self.queue.fence:
            self.queue.set(fence)
            for driver in self.drivers.values():
                self.seat(driver, 0)

    def _set_plan(self, row: Mapping[str, Any]) -> None:
        # Rows of the previous version have neither column.
        mode = row.get("plan")
        settings = plan_settings_from(row.get("planning"), row.get("learned_speed_m_per_s"))
        if mode is None or self.mode != WAVES:
            self.plan = None
        elif self.plan is None:
            self.plan = ZonePlan(settings)
            for driver in self.drivers.values():
                self.plan.located(driver.driver_id, driver.place, 0)
        else:
            self.plan.settings = settings
            self.plan.find_sites()
            self.plan.made_drivers.clear()
        if self.plan is not None:
            self.plan.ready_spreads = dict(row.get("ready_spreads") or ())

    def known(self, number: int) -> Order | None:
        """A confirmed order, whether drivers are asked for it already or not."""
        return self.orders.get(number) or self.scheduled.get(number)

    def schedule(self, order: Order) -> None:
        """Keep an order until it opens."""
        self.dismiss(order.id)
        self.scheduled[order.id] = order

    def opened(self, now_ms: int) -> list[Order]:
        """Take out the scheduled orders whose time has come."""
        due = [order for order in self.scheduled.values() if order.opens_ms <= now_ms]
        for order in due:
            del self.scheduled[order.id]
        return due

    def admit(self, order: Order) -> None:
        """Add an order in search of a driver."""
        self.scheduled.pop(order.id, None)
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
        """Remove an order that is not in search of a driver."""
        self.orders.pop(number, None)
        self.scheduled.pop(number, None)
        self.traces.pop(number, None)
        self.proposed.pop(number, None)
        self.pressed.pop(number, None)
        self.unasked.forget(number)
        if self.plan is not None:
            self.plan.made_orders.pop(number, None)

    def oldest(self, count: int) -> list[Order]:
        """The oldest orders."""
        if self.mixed:
            by_age = sorted(self.orders.values(), key=lambda o: (o.facts.created_ms, o.id))
            self.orders = {order.id: order for order in by_age}
            self.mixed = False
        return list(islice(self.orders.values(), count))

    def on_board(self, count: int) -> tuple[list[Order], int]:
        """The oldest orders of the board, and how many there are."""
        if self.mode == OPEN:
            return self.oldest(count), len(self.orders)
        found = [order for order in self.oldest(len(self.orders)) if order.mode == OPEN]
        return found[:count], len(found)

    def seat(self, driver: m.DriverChanged, now_ms: int) -> None:
        """Add or update an online driver."""
        self.drivers[driver.driver_id] = driver
        self.queue.heard(driver, now_ms)
        self.place(driver)
        if self.live is not None:
            self.live.driver_seated(driver.driver_id)

    def place(self, driver: m.DriverChanged) -> None:
        """Set where offers look for a driver: all in the queue are at one place, so that their sequence decides."""
        number, queue = driver.driver_id, self.queue
        if self.plan is not None:
            self.plan.made_drivers.pop(number, None)
        if queue.fence is not None and queue.waits_inside(number):
            self.fleet.put(number, queue.fence.middle, driver.free, queue.ranks[number])
        else:
            self.fleet.put(number, driver.place, driver.free)

    def unseat(self, number: int) -> None:
        """Remove a driver that is not online."""
        self.drivers.pop(number, None)
        self.queue.leave(number)
        self.fleet.drop(number)
        if self.plan is not None:
            self.plan.left(number)
        if self.live is not None:
            self.live.driver_left(number)
        self.suspects.add(number)

    @property
    def scene(self) -> Scene:
        """What the live picture is made of."""
        return Scene(self.orders, self.drivers)
