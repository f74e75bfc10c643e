"""What a zone's actor keeps for its planner: settings, what drivers carry, and the plan of a moment ago."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from math import ceil, dist, exp
from typing import Any, NamedTuple

from actors.values import frozen
from dispatch.domain.geo import Place
from dispatch.domain.order import Order
from dispatch.domain.planning import (
    DemandPoint,
    PlanDriver,
    Plane,
    PlannedRoute,
    PlanOrder,
    PlanSettings,
    PoolSettings,
    RecentDoors,
    Spot,
    Travel,
    sites_of,
    straight_travel,
)
from dispatch.domain.refusal_shares import RefusalShares

# All stores of a zone, among what is learned for each store.
ZONE_STORES = 0
# What a store counts before it has had an order, and how long an order is remembered.
PRIOR, MEMORY_S = 0.2, 3600.0


@frozen
class ZonePlanSettings:
    """A zone's settings for the planner, as its column `planning` has them.

    Attributes:
        speed_m_per_s, street_factor: mean speed along the way, and how much longer it is than the straight line.
        speed_learned: the speed is learned from deliveries, and `speed_m_per_s` counts until it is.
        pickup_s, dropoff_s: time at a store, and at a door.
        trip_orders_max, detour_max_s: as in `PlanSettings`.
        rest_s: how long a driver who declined is left in peace.
        time_scale: how many times as fast as real time the zone lives.
        site_radius_m: stores so near to each other are one site, whose orders may share a trip; 0: each is its own.
        pooling: trips are made by the choice of partners (`plan_pooled`).
        pooling_wait_max_s: no order waits longer than this for a partner.
        travel_round_s: travel times are rounded up to multiples of it; 0: they are not.
        lead_s: offers go out this long before the last harmless moment.
    """

    speed_m_per_s: float = 5.0
    speed_learned: bool = False
    street_factor: float = 1.3
    pickup_s: float = 120
    dropoff_s: float = 120
    trip_orders_max: int = 3
    detour_max_s: float = 900
    rest_s: float = 60
    site_radius_m: float = 0
    pooling: bool = False
    pooling_wait_max_s: float = 300
    time_scale: float = 1.0
    travel_round_s: float = 0
    lead_s: float = 0

    def of_planner(self) -> PlanSettings:
        """The planner's settings."""
        return PlanSettings(
            self.travel,
            pickup_half_s=self.pickup_s / 2,
            dropoff_half_s=self.dropoff_s / 2,
            trip_orders_max=self.trip_orders_max,
            detour_max_s=self.detour_max_s,
            offer_lead_s=self.lead_s,
        )

    def of_pooling(self) -> PoolSettings | None:
        """The settings of pooling; None: the zone does not pool."""
        return PoolSettings(self.pooling_wait_max_s) if self.pooling else None

    @property
    def travel(self) -> Travel:
        """The metric."""
        straight = straight_travel(self.speed_m_per_s, self.street_factor)
        step_s = self.travel_round_s
        if not step_s:
            return straight
        return Travel(lambda a, b: step_s * ceil(straight.seconds(a, b) / step_s), straight.metres_per_s)


_KNOWN = frozenset(each.name for each in fields(ZonePlanSettings)) - {"lead_s"}


def plan_settings_from(
    row: Mapping[str, Any] | None, learned_m_per_s: float | None = None
) -> ZonePlanSettings:
    """The settings of a zone's row. Fields of a newer version are passed over.

    `learned_m_per_s` is the learned speed of its drivers; it counts in a zone that sets none of its own.
    """
    settings = ZonePlanSettings(**{name: value for name, value in (row or {}).items() if name in _KNOWN})
    if learned_m_per_s is None or (row is not None and not settings.speed_learned):
        return settings
    return replace(settings, speed_m_per_s=learned_m_per_s)


class KnownPlace(NamedTuple):
    """Where a driver was last known to be, and when."""

    place: Place
    at_ms: int


class StoreDemand(NamedTuple):
    """Orders of a store, older ones counting less, as of a time."""

    place: Place
    weight: float
    at_ms: int


@dataclass(slots=True)
class ZonePlan:
    """What the planner needs besides open orders and online drivers. All of it can be lost and comes again.

    Attributes:
        carried: orders under way, by id; `loads`: their ids, by driver.
        known_places: last known place of each driver; `delivered`: the order that it delivered last.
        rests: drivers who have declined, and until when they are left in peace.
        demand: by store; `sites`: the site of each of these stores.
        recent: recent orders, where the zone pools.
        far: orders for which a driver is too far away where it is now, by driver.
        before, number: the plan of a moment ago, and its number.
        unplanned, beyond: orders that it gives to nobody, and those that were too many for it.
        asked_ms: start of the step under way; None: there is none.
        wanted_ms: since when a plan is waited for; None: there is one.
        due: something has happened since the last step began.
        refusals: learned shares of offers that are declined or lapse.
        ready_spreads: how much later than usual the stores' late orders are ready, in seconds of the zone, by store.
        made_orders, made_drivers: the planner's values of what has not changed.
    """

    settings: ZonePlanSettings
    plane: Plane | None = None
    carried: dict[int, Order] = field(default_factory=dict)
    loads: dict[int, set[int]] = field(default_factory=dict)
    known_places: dict[int, KnownPlace] = field(default_factory=dict)
    delivered: dict[int, Order] = field(default_factory=dict)
    rests: dict[int, int] = field(default_factory=dict)
    demand: dict[int, StoreDemand] = field(default_factory=dict)
    sites: dict[int, int] = field(default_factory=dict)
    recent: RecentDoors = field(default_factory=RecentDoors)
    far: dict[int, set[int]] = field(default_factory=dict)
    before: tuple[PlannedRoute, ...] = ()
    number: int = 0
    unplanned: frozenset[int] = frozenset()
    beyond: frozenset[int] = frozenset()
    asked_ms: int | None = None
    wanted_ms: int | None = None
    due: bool = False
    refusals: RefusalShares = field(default_factory=RefusalShares)
    ready_spreads: dict[int, float] = field(default_factory=dict)
    made_orders: dict[int, tuple[int, PlanOrder]] = field(default_factory=dict)
    made_drivers: dict[int, PlanDriver] = field(default_factory=dict)

    def spot(self, place: Place) -> Spot:
        """A place on the zone's plane, which touches the sphere at the first one."""
        if self.plane is None:
            self.plane = Plane(place)
        return self.plane.spot(place)

    def seconds(self, at_ms: float) -> float:
        """A time on the planner's clock."""
        return at_ms / 1000 * self.settings.time_scale

    def milliseconds(self, at_s: float) -> int:
        """A time of the planner on the zone's clock."""
        return round(at_s * 1000 / self.settings.time_scale)

    def ready_spread_s(self, store: int) -> float:
        """How much later than usual a store's late orders are ready; of a store that is not known, the zone's."""
        return self.ready_spreads.get(store, self.ready_spreads.get(ZONE_STORES, 0.0))

    # -- what has happened -----------------------------------------------------------------------------

    def order_opened(self, order: Order, now_ms: int) -> None:
        """Count an order for its store."""
        pickup = order.facts.first
        known = self.demand.get(pickup.store_id)
        weight = self._weight(pickup.store_id, now_ms) + 1
        self.demand[pickup.store_id] = StoreDemand(pickup.place, weight, now_ms)
        if known is None or known.place != pickup.place:
            self.find_sites()
        if self.settings.pooling:
            self.recent.note(self.plan_order(order))

    def find_sites(self) -> None:
        """Find out which stores are one site: the places of stores, or the radius, have changed."""
        places = {store: self.spot(known.place) for store, known in self.demand.items()}
        self.sites = sites_of(places, self.settings.site_radius_m)
        self.made_orders.clear()

    def plan_order(self, order: Order) -> PlanOrder:
        """An order as the planner sees it."""
        facts, store = order.facts, order.facts.first
        promised_ms = facts.promised_ms
        return PlanOrder(
            order.id,
            self.sites.get(store.store_id, store.store_id),
            store.store_id,
            self.spot(store.place),
            self.spot(facts.dropoff),
            self.seconds(facts.created_ms),
            self.seconds(order.ready_ms),
            None if promised_ms is None else self.seconds(promised_ms),
            ready_spread_s=self.ready_spread_s(store.store_id) * self.settings.time_scale,
        )

    def _weight(self, store: int, now_ms: int) -> float:
        known = self.demand.get(store)
        if known is None:
            return 0.0
        return known.weight * exp(-max(0.0, self.seconds(now_ms - known.at_ms)) / MEMORY_S)

    def points(self, now_ms: int) -> tuple[DemandPoint, ...]:
        """Where orders come from."""
        return tuple(
            DemandPoint(self.spot(known.place), PRIOR + self._weight(store, now_ms))
            for store, known in self.demand.items()
        )

    def carry(self, order: Order) -> None:
        """Take in an order under way. Where its driver was when it was picked up is known, too."""
        self.drop(order.id)
        if order.driver_id is None:
            return
        self.carried[order.id] = order
        self.loads.setdefault(order.driver_id, set()).add(order.id)
        self.made_drivers.pop(order.driver_id, None)
        if order.status == "picked_up":
            self._seen_at(order.driver_id, order.facts.pickups[-1].place, order.updated_ms)

    def end(self, order: Order) -> float:
        """Take out an order that is over; a delivery says where its driver is.

        Returns the metres that its trip has saved by it: as neighbour of what the driver delivered before it.
        """
        carried = order.id in self.carried
        self.drop(order.id)
        if order.status != "delivered" or order.driver_id is None:
            return 0.0
        self._seen_at(order.driver_id, order.facts.dropoff, order.updated_ms)
        before = self.delivered.get(order.driver_id)
        if not carried:
            return 0.0
        self.delivered[order.driver_id] = order
        if before is None or before.trip is None or order.trip is None or before.trip.id != order.trip.id:
            return 0.0
        doors = self.spot(before.facts.dropoff), self.spot(order.facts.dropoff)
        stores = self.spot(before.facts.first.place), self.spot(order.facts.first.place)
        factor = self.settings.street_factor
        return factor * (dist(stores[0], doors[0]) + dist(stores[1], doors[1]) - dist(doors[0], doors[1]))

    def drop(self, number: int) -> None:
        """Forget an order that is not under way."""
        self.made_orders.pop(number, None)
        known = self.carried.pop(number, None)
        if known is not None and known.driver_id is not None:
            load = self.loads[known.driver_id]
            load.discard(number)
            self.made_drivers.pop(known.driver_id, None)
            if not load:
                del self.loads[known.driver_id]

    def located(self, driver_id: int, place: Place | None, now_ms: int) -> None:
        """Take in where a driver says that it is."""
        self.made_drivers.pop(driver_id, None)
        self.far.pop(driver_id, None)
        if place is not None:
            self._seen_at(driver_id, place, now_ms)

    def _seen_at(self, driver_id: int, place: Place, at_ms: int) -> None:
        known = self.known_places.get(driver_id)
        if known is None or known.at_ms <= at_ms:
            self.known_places[driver_id] = KnownPlace(place, at_ms)
            self.made_drivers.pop(driver_id, None)

    def left(self, driver_id: int) -> None:
        """Forget a driver who is not online."""
        self.known_places.pop(driver_id, None)
        self.far.pop(driver_id, None)
        self.rests.pop(driver_id, None)
        self.delivered.pop(driver_id, None)
        self.made_drivers.pop(driver_id, None)

    def answered(self, before: Order | None, after: Order, now_ms: int) -> None:
        """Learn from what became of an order's offers: an acceptance, or a driver who did not want it."""
        if before is None or not before.offers:
            return
        new = set(after.tried) - set(before.tried)
        for driver_id in new:
            self.rests[driver_id] = now_ms + round(self.settings.rest_s * 1000 / self.settings.time_scale)
            self.made_drivers.pop(driver_id, None)
            self.refusals.answered(driver_id, refused=True)
        taken = after.driver_id
        if taken is not None and any(offer.driver_id == taken for offer in before.offers):
            self.refusals.answered(taken, refused=False)
        if new or taken is not None:
            self.refusals.offered(refused=bool(new))
