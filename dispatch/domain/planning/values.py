"""Values of the planner: what it is told, and what it answers.

Times are seconds of any clock, the same for all of them. Places are metres on a plane (`travel.py` lays degrees on it).
"""

from __future__ import annotations

from typing import Literal, NamedTuple

from actors.values import frozen


class Spot(NamedTuple):
    """A place on the plane."""

    x_m: float
    y_m: float


@frozen
class PlanOrder:
    """An order without a driver.

    Attributes:
        site_id: orders of one site may share a trip: a store of its own, or a mall with several stores.
        store_id: orders of one store are picked up at one stop.
        ready_s: the time at which the store has it ready, as far as that is known.
        promise_s: the time by which it was promised; None if nothing was.
        units: room that it takes in a vehicle.
        declined_by: drivers who declined it or let the offer lapse. It is not proposed to them again.
        ready_spread_s: how much later than that the store is when it is late.
    """

    id: int
    site_id: int
    store_id: int
    pickup: Spot
    dropoff: Spot
    placed_s: float
    ready_s: float
    promise_s: float | None = None
    units: int = 1
    declined_by: frozenset[int] = frozenset()
    ready_spread_s: float = 0.0


@frozen
class PlanDriver:
    """A driver on shift, or with a shift that begins soon.

    Attributes:
        spot: place of the driver, or of the end of the trip under way.
        free_s: time at which it can set out from there: end of the trip under way, beginning of the shift or of the
            rest after an offer was declined. A time that is over means now.
        shift_end_s: it picks up nothing later. It still delivers.
        asked_from_s: it is proposed nothing before, for it has not answered an offer yet, or rests after one.
        fair_s: advantage of a driver who has had less than its share; negative for one who has had more (fairness.py).
        slots: greatest number of orders in one trip.
        capacity_units: greatest sum of the units of one trip.
        lead_s: offers to it go out this long before the last harmless moment; None: as the settings say.
        rank: of drivers who are equally good for a trip, the one with the lowest rank gets it, then with the lowest id.
    """

    id: int
    spot: Spot
    free_s: float
    shift_end_s: float
    slots: int = 4
    capacity_units: int = 1000
    lead_s: float | None = None
    rank: int = 1 << 62
    asked_from_s: float = 0.0
    fair_s: float = 0.0


@frozen
class AssignedOrder:
    """An order that has a driver. It may get another one as long as nobody has picked it up.

    Attributes:
        order: its `declined_by` are drivers who do not get it, whatever happens.
        driver_id: who has it.
        door_s: predicted time at its door with that driver.
        picked_up: it stays where it is.
    """

    order: PlanOrder
    driver_id: int
    door_s: float
    picked_up: bool = False


@frozen
class DemandPoint:
    """Share of the orders to come that one place has. Weights of a state need no particular sum."""

    spot: Spot
    weight: float


class RecentDoor(NamedTuple):
    """Where an order of late went, and how long after its placing it was ready."""

    order_id: int
    spot: Spot
    lead_s: float


@frozen
class SiteDemand:
    """Recent orders of a site: they were placed within `period_s`."""

    site_id: int
    period_s: float
    doors: tuple[RecentDoor, ...]


@frozen
class PlannedRoute:
    """Trips planned for one driver: each is a tuple of order ids in the sequence of their delivery."""

    driver_id: int
    trips: tuple[tuple[int, ...], ...]


@frozen
class PlanState:
    """Everything that a step depends on, beside the time, the seed and the settings.

    Attributes:
        before: the plan of the step before; a hint that may be empty.
        demand: where orders come from; empty if that is not known.
        number: number of this plan, for the explanation.
        assigned: orders that may get another driver if their promise breaks.
        recent: recent orders of sites whose orders are pooled.
    """

    orders: tuple[PlanOrder, ...]
    drivers: tuple[PlanDriver, ...]
    before: tuple[PlannedRoute, ...] = ()
    demand: tuple[DemandPoint, ...] = ()
    number: int = 0
    assigned: tuple[AssignedOrder, ...] = ()
    recent: tuple[SiteDemand, ...] = ()


@frozen
class PlanStop:
    """A stop of a trip. `at_s`: the time of the pick-up or drop-off; service goes on until `leave_s`."""

    kind: Literal["pickup", "dropoff"]
    spot: Spot
    order_ids: tuple[int, ...]
    at_s: float
    leave_s: float


@frozen
class PlanTrip:
    """A trip as a driver would do it: pick-ups first, then drop-offs."""

    order_ids: tuple[int, ...]
    start_s: float
    stops: tuple[PlanStop, ...]

    @property
    def end_s(self) -> float:
        """Time at which the driver is free again."""
        return self.stops[-1].leave_s


@frozen
class CostTerms:
    """What a trip costs if one driver gets it, in seconds; the planner minimises the sum.

    Attributes:
        door_s: from placing to the door, summed over the trip's orders, with the delay of later trips of the driver.
        driving_s: weighted driving time.
        late_s: weighted lateness against promises.
        position_s: what the driver's place is worth for orders to come, before less after.
        fair_s: weighted advantage of the driver over those who have had more, with the sign turned.
    """

    door_s: float
    driving_s: float
    late_s: float
    position_s: float
    fair_s: float = 0.0

    @property
    def total_s(self) -> float:
        """The sum."""
        return self.door_s + self.driving_s + self.late_s + self.position_s + self.fair_s


@frozen
class CandidateDriver:
    """A driver who could do a trip: time of its last pick-up and its cost."""

    driver_id: int
    pickup_s: float
    terms: CostTerms


@frozen
class TripProposal:
    """Proposal: offer this trip to this driver now, with the reason.

    Attributes:
        latest_start_s: the driver may set out that late without delaying the pick-up.
        next_best: at most two other drivers, the better first.
        plan_number, seed: the step that made it; the same state, time and seed make it again.
    """

    chosen: CandidateDriver
    trip: PlanTrip
    latest_start_s: float
    next_best: tuple[CandidateDriver, ...]
    plan_number: int
    seed: int

    @property
    def driver_id(self) -> int:
        """The driver it goes to."""
        return self.chosen.driver_id

    @property
    def order_ids(self) -> tuple[int, ...]:
        """Orders in the sequence of their delivery."""
        return self.trip.order_ids


@frozen
class Reassignment:
    """Proposal: take an order from its driver, who would break its promise, and give it to another one who is free.

    Attributes:
        door_s: predicted time at its door with the new driver, who sets out as soon as it can.
        gain_s: by how much that is earlier than with the old one.
        promise_kept: False: it is late with either, but clearly less so with the new one.
        plan_number, seed: the step that made it.
    """

    order_id: int
    from_driver_id: int
    to_driver_id: int
    door_s: float
    gain_s: float
    promise_kept: bool
    plan_number: int
    seed: int


@frozen
class PlanResult:
    """The plan.

    Attributes:
        proposals: trips to offer now. They are part of `routes`, too.
        routes: all trips, by driver; the next step's `before`, without what was taken.
        unplanned: orders that no driver can pick up, or not within the horizon.
        cost_s: what the search minimised.
        improvements: number of iterations that made the plan better.
        reassignments: orders of `PlanState.assigned` that had better have another driver; each at most once, and each
            driver at most once. They take only drivers whom the plan leaves without a trip.
    """

    proposals: tuple[TripProposal, ...]
    routes: tuple[PlannedRoute, ...]
    unplanned: tuple[int, ...]
    cost_s: float
    improvements: int
    reassignments: tuple[Reassignment, ...] = ()
