"""Settings of the planner. One set serves all zones; only the metric and the service times are a zone's own."""

from __future__ import annotations

from actors.values import frozen
from dispatch.domain.planning.travel import Travel

MINUTE_S = 60.0


@frozen
class PlanSettings:
    """Weights are in seconds of one order's way to the door.

    Attributes:
        travel: the metric.
        pickup_half_s, dropoff_half_s: service before and after the pick-up or drop-off.
        trip_orders_max: greatest number of orders in a trip, whatever a driver's slots are.
        detour_max_s: no order of a trip is longer under way than alone by more than this.
        horizon_s: drivers who are free later than this are left out.
        offer_lead_s: offers go out this long before the last harmless moment, so that a second driver can be asked.
        candidates: drivers that are considered for an order.
        iterations: rounds of the search; a number and not a time, so that the same seed gives the same plan.
        iterations_per_waiting: further rounds for each order that waits for its driver, or has none.
        iterations_max: greatest number of rounds, without those for refused orders.
        iterations_per_refused: further rounds for each order that its best driver has declined.
        iterations_max_refused: greatest number of rounds, with those for refused orders.
        removed_min, removed_max: least and greatest number of orders that one round takes out.
        noise_s: half of the rounds blur costs by up to this.
        unplanned_s: cost of an order without a driver.
        driving_weight: cost of a second of driving.
        late_weight: cost of a second after the promise.
        reassign_kept_s: an order changes its driver for the sake of its promise if it is this much earlier then.
        reassign_late_s: the same, if it is late with the new driver as well.
        fair_weight: what counts of a driver's advantage in fairness.
        fair_max_s: greatest advantage or disadvantage.
        position_s: worth of a place within reach of all demand, with no other driver near.
        position_reach_s: demand at this distance counts 1/e.
        position_crowding: how many drivers' worth of competition each place has in any case.
        position_shift_s: with less than this left of a shift, the place is worth less in proportion.
    """

    travel: Travel
    pickup_half_s: float = 2 * MINUTE_S
    dropoff_half_s: float = 2 * MINUTE_S
    trip_orders_max: int = 4
    detour_max_s: float = 20 * MINUTE_S
    horizon_s: float = 45 * MINUTE_S
    offer_lead_s: float = 0.0
    candidates: int = 16
    iterations: int = 20
    iterations_per_waiting: float = 3.0
    iterations_max: int = 60
    iterations_per_refused: int = 8
    iterations_max_refused: int = 160
    removed_min: int = 3
    removed_max: int = 8
    noise_s: float = 2 * MINUTE_S
    unplanned_s: float = 300 * MINUTE_S
    driving_weight: float = 0.0
    late_weight: float = 1.0
    reassign_kept_s: float = 1 * MINUTE_S
    reassign_late_s: float = 5 * MINUTE_S
    fair_weight: float = 0.0
    fair_max_s: float = 5 * MINUTE_S
    position_s: float = 40 * MINUTE_S
    position_reach_s: float = 5 * MINUTE_S
    position_crowding: float = 0.5
    position_shift_s: float = 60 * MINUTE_S
