"""One step of a zone that pools: partners are chosen first, then drivers. A pure function, as `plan` is.

Where all pick-ups are at one place and drivers come back to it, it hardly matters who drives, but much who rides with
whom. So orders are taken in the sequence in which they are ready. Each takes the driver who can be there first, and the
partners that save most beyond what these are expected to save with others (`pooling.py`). A trip that could leave, but
for which waiting pays, is not proposed yet, unless orders wait for drivers. Nothing is remembered from step to step.
"""

from __future__ import annotations

from dispatch.domain.planning.fleet import Fleet
from dispatch.domain.planning.legs import Legs
from dispatch.domain.planning.pooling import PoolSettings, Prospects
from dispatch.domain.planning.position import PositionWorth
from dispatch.domain.planning.proposals import Proposer
from dispatch.domain.planning.route_set import RouteSet
from dispatch.domain.planning.routes import RouteBook
from dispatch.domain.planning.settings import PlanSettings
from dispatch.domain.planning.trips import TripShape, TripShapes
from dispatch.domain.planning.values import PlannedRoute, PlanResult, PlanState

# Where a driver is when: time, spot, and what it has cost until then.
Start = tuple[float, int, float]


def plan_pooled(
    state: PlanState, now_s: float, seed: int, settings: PlanSettings, pooling: PoolSettings
) -> PlanResult:
    """Plan trips with partners, and propose those whose time has come."""
    return _PooledStep(state, now_s, seed, settings, pooling).run()


class _PooledStep:
    """What one step builds up: all orders and drivers are known by their numbers in it."""

    def __init__(
        self, state: PlanState, now_s: float, seed: int, settings: PlanSettings, pooling: PoolSettings
    ) -> None:
        self._state, self._now_s, self._seed = state, now_s, seed
        self._settings, self._pooling = settings, pooling
        self._legs = Legs(settings.travel.seconds)
        self._orders = sorted(state.orders, key=lambda order: order.id)
        self._shapes = TripShapes(self._orders, self._legs, settings)
        drivers = sorted(state.drivers, key=lambda driver: driver.id)
        # Drivers come back, so where a trip ends is worth nothing.
        worth = PositionWorth((), drivers, now_s, self._legs, settings)
        books = [
            RouteBook(driver, now_s, self._legs, self._shapes, settings, worth)
            for driver in drivers
            if max(driver.free_s, now_s) <= min(driver.shift_end_s, now_s + settings.horizon_s) and driver.slots > 0
        ]  # fmt: skip
        self._routes = RouteSet(books, self._shapes, settings.pickup_half_s)
        self._fleet = Fleet(self._routes, self._legs, settings.candidates)
        self._prospects = self._prospects_by_site()
        self._waiting: set[TripShape] = set()
        self._scarce = False
        self._potentials_s = [self._potential_s(number) for number in range(len(self._orders))]

    def run(self) -> PlanResult:
        """Take orders in the sequence in which they are ready, each with its partners."""
        waiting = sorted(
            range(len(self._orders)), key=lambda n: (self._orders[n].ready_s, self._orders[n].id)
        )
        by_site: dict[int, dict[int, None]] = {}
        for number in waiting:
            by_site.setdefault(self._orders[number].site_id, {})[number] = None
        unplanned = []
        for number in waiting:
            others = by_site[self._orders[number].site_id]
            if number in others:
                del others[number]
                if not self._place(number, others):
                    unplanned.append(self._orders[number].id)
                    self._scarce = True
        proposer = Proposer(
            self._orders, self._shapes, self._legs, self._routes, self._settings, self._fleet.options
        )
        waiting_ids = self._ids_that_wait()
        proposals = [
            each
            for each in proposer.due(self._now_s, self._state.number, self._seed)
            if each.order_ids[0] not in waiting_ids
        ]
        return PlanResult(
            tuple(proposals),
            tuple(
                PlannedRoute(
                    self._routes.books[driver].driver.id,
                    tuple(tuple(self._orders[n].id for n in trip.numbers) for trip in route.trips),
                )
                for driver, route in self._routes.planned()
            ),
            tuple(sorted(unplanned)),
            self._routes.cost_s + self._settings.unplanned_s * len(unplanned),
            0,
        )

    def _ids_that_wait(self) -> set[int]:
        """Orders whose trips wait for partners: none while an order waits for a driver."""
        if self._scarce:
            return set()
        return {self._orders[number].id for trip in self._waiting for number in trip.numbers}

    def _place(self, number: int, others: dict[int, None]) -> bool:
        """Plan an order with its partners, who are taken out of `others`. False: there is no driver for it."""
        alone = self._shapes.single[number]
        found = self._fleet.best(alone, self._orders[number].declined_by)
        if found is None:
            return False
        book, start = self._routes.books[found], self._routes.routes[found].before[-1]
        trip = self._with_partners(alone, others, book, start)
        for taken in trip.numbers:
            others.pop(taken, None)
        trips = self._routes.routes[found].trips
        if trips and self._departed_s(trip, start) > trip.ready_s:
            self._scarce = True
        if self._waits(trip, book, start):
            self._waiting.add(trip)
        # Also a trip that waits has its driver: nobody else gets the last one.
        route = book.route((*trips, trip))
        assert route is not None, "a trip ends its pick-ups within the shift"
        self._routes.put(found, route)
        return True

    def _with_partners(
        self, trip: TripShape, others: dict[int, None], book: RouteBook, start: Start
    ) -> TripShape:
        """The trip with the partners that are worth more in it than elsewhere, one after the other."""
        slots = min(book.driver.slots, self._settings.trip_orders_max)
        while trip.count < slots:
            best_s, best = 0.0, trip
            for number in self._near(trip, others, book):
                for joined in self._shapes.with_order(trip, number):
                    worth_s = self._worth_s(trip, joined, start) - self._potentials_s[number]
                    if worth_s > best_s and book.fits(joined) and self._keeps(joined, book, start):
                        best_s, best = worth_s, joined
            if best is trip:
                break
            trip = best
        return trip

    def _near(self, trip: TripShape, others: dict[int, None], book: RouteBook) -> list[int]:
        """Orders that save most as neighbours of one in the trip, less what they are expected to save with others."""
        rows, orders = self._legs.rows, self._orders
        doors = [
            (self._shapes.dropoff(n), rows[self._shapes.pickup(n)][self._shapes.dropoff(n)])
            for n in trip.numbers
        ]
        latest_s = self._latest_s(trip)
        found = []
        for number in others:
            if number in trip.numbers or orders[number].ready_s > latest_s:
                continue
            if book.driver.id in orders[number].declined_by:
                continue
            door = self._shapes.dropoff(number)
            alone_s = rows[self._shapes.pickup(number)][door]
            saved_s = max(far_s + alone_s - rows[other][door] for other, far_s in doors)
            if saved_s > self._potentials_s[number]:
                found.append((self._potentials_s[number] - saved_s, number))
        return [number for _, number in sorted(found)[: self._pooling.partners]]

    def _worth_s(self, trip: TripShape, joined: TripShape, start: Start) -> float:
        """Driving that one more order saves, less what customers lose: by waiting for it, and by the detour."""
        [number] = set(joined.numbers).difference(trip.numbers)
        alone = self._shapes.single[number]
        saved_s = self._round_s(trip) + self._round_s(alone) - self._round_s(joined)
        wait_s = self._departed_s(joined, start) - self._departed_s(trip, start)
        detour_s = joined.door_s - trip.door_s - alone.door_s
        return (
            saved_s - self._pooling.wait_weight * trip.count * wait_s - self._pooling.detour_weight * detour_s
        )

    def _round_s(self, trip: TripShape) -> float:
        """Driving of a trip, with the way back."""
        return trip.moving_s + self._legs.rows[trip.end][trip.first]

    def _departed_s(self, trip: TripShape, start: Start) -> float:
        return max(start[0] + self._legs.rows[start[1]][trip.first] + trip.lead_s, trip.ready_s)

    def _latest_s(self, trip: TripShape) -> float:
        """Latest departure of a trip for the sake of partners."""
        alone = [self._shapes.single[number] for number in trip.numbers]
        latest_s = min(each.ready_s - each.lead_s for each in alone) + trip.lead_s + self._pooling.wait_max_s
        for after_s, promise_s in trip.promises:
            latest_s = min(latest_s, promise_s - self._pooling.margin_s - after_s)
        return latest_s

    def _keeps(self, trip: TripShape, book: RouteBook, start: Start) -> bool:
        """True if no partner is the cause of a broken promise, or of waiting for too long.

        Whoever would be late alone, or would wait that long for its driver alone, is no later with partners.
        """
        departed_s, pooling = self._departed_s(trip, start), self._pooling
        if departed_s > book.limit_s:
            return False
        after_s = 0.0
        at, half_s = self._last_store(trip), self._settings.dropoff_half_s
        for number in trip.numbers:
            alone, order = self._shapes.single[number], self._orders[number]
            alone_s = self._departed_s(alone, start)
            # Service at further stores is no waiting.
            if departed_s - trip.lead_s > max(alone_s, alone.ready_s + pooling.wait_max_s) - alone.lead_s:
                return False
            after_s += self._legs.rows[at][self._shapes.dropoff(number)] + half_s
            if order.promise_s is not None:
                door_s = alone_s + alone.drive_s - half_s
                if departed_s + after_s > max(door_s, order.promise_s - pooling.margin_s):
                    return False
            at, after_s = self._shapes.dropoff(number), after_s + half_s
        return True

    def _last_store(self, trip: TripShape) -> int:
        return self._shapes.pickup(trip.stores[-1][0])

    def _waits(self, trip: TripShape, book: RouteBook, start: Start) -> bool:
        """True if the trip could leave, has room, and a partner to come is worth the wait."""
        if trip.count >= min(book.driver.slots, self._settings.trip_orders_max):
            return False
        departed_s = self._departed_s(trip, start)
        window_s = self._latest_s(trip) - departed_s
        if window_s <= 0.0:
            return False
        orders = [self._orders[number] for number in trip.numbers]
        return self._prospects[trip.site_id].waiting_pays(orders, window_s)

    def _prospects_by_site(self) -> dict[int, Prospects]:
        recent = {each.site_id: each for each in self._state.recent}
        sites: dict[int, Prospects] = {}
        for order in self._orders:
            if order.site_id not in sites:
                sites[order.site_id] = Prospects(
                    recent.get(order.site_id), order.pickup, self._settings.travel, self._pooling
                )
        return sites

    def _potential_s(self, number: int) -> float:
        order = self._orders[number]
        window_s = self._latest_s(self._shapes.single[number]) - self._now_s
        return self._prospects[order.site_id].potential_s(order.id, order.dropoff, max(0.0, window_s))
