"""Planning of a zone: what a step is told, and which offers follow from its proposals.

A step is a query of the zone's actor that is computed (plan_steps.py). Its answer is some milliseconds or seconds old
when it comes. So only what still holds becomes an offer, and each order's own turn decides again, as ever.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

from actors.messages import ActorId, Query, QueryAnswer, Tell
from dispatch import messages as m
from dispatch.domain.commands import DISPATCH, Assign, MakeOffers, Reassign, Release
from dispatch.domain.geo import distance_m
from dispatch.domain.ids import DRIVER, ORDER, public_id, trip_id
from dispatch.domain.offer_ladder import DIRECT, OF_PLANNER, PLANNED, RungPlace
from dispatch.domain.order import ASSIGNED, WAVES, Eta, Order, Trip
from dispatch.domain.planning import (
    CandidateDriver,
    PlanDriver,
    PlanOrder,
    PlanResult,
    PlanState,
    TripProposal,
)
from dispatch.step_inputs import StepInput
from dispatch.zone_expiry import PROPOSED_MS
from dispatch.zone_plan import ZonePlan
from dispatch.zone_predictions import predicted_end, promises_at_risk
from dispatch.zone_state import ZoneState, within

STEP = "plan"
# Reason in the history of an order that was taken from a driver who would have been late.
PROMISE_AT_RISK = "promise_at_risk"
# From one step to the next.
STEP_GAP_MS = 250
# A step without an answer by then is lost: its instance has died, or it fails.
STEP_LOST_MS = 15_000
# Without a plan for so long, orders go to the nearest drivers.
SILENT_MS = 2 * STEP_LOST_MS
# Orders of a step; with 2,000 drivers it takes some seconds (loadtests/README.md).
STEP_ORDERS_MAX = 1_000
# When all drivers had an offer without success, they are planned for again after this time.
REPEAT_MS = 5_000
# A driver who has not said when its shift ends is there for so long, in seconds of the planner.
SHIFT_S = 24 * 3600.0


def is_waiting(state: ZoneState, order: Order, now_ms: int) -> bool:
    """True for an order without a live offer and without a proposal under way."""
    if order.mode != WAVES or any(x.expires_ms > now_ms for x in order.offers):
        return False
    proposed = state.proposed.get(order.id)
    return proposed is None or not within(now_ms, proposed[0], PROPOSED_MS)


# -- a step -----------------------------------------------------------------------------------------------


def step_of(state: ZoneState, plan: ZonePlan, now_ms: int) -> Query | None:
    """The next step, if there is something to plan and no step under way."""
    if plan.wanted_ms is None:
        plan.wanted_ms = now_ms
    if plan.asked_ms is not None and within(now_ms, plan.asked_ms, STEP_LOST_MS):
        return None
    waiting = [order for order in state.orders.values() if _is_planned(state, order, now_ms)]
    plan.due = False
    at_risk = promises_at_risk(state, plan, now_ms)
    if not (waiting or at_risk) or not state.drivers:
        plan.before, plan.unplanned = (), frozenset()
        plan.wanted_ms = None
        return None
    plan.number += 1
    plan.asked_ms = now_ms
    # The oldest ones first; the others go to the nearest drivers, for a step must end in time.
    waiting, plan.beyond = (
        waiting[:STEP_ORDERS_MAX],
        frozenset(order.id for order in waiting[STEP_ORDERS_MAX:]),
    )
    plan_state = PlanState(
        tuple(_plan_order(state, plan, order, now_ms) for order in waiting),
        tuple(_plan_drivers(state, plan, now_ms)),
        plan.before,
        plan.points(now_ms),
        plan.number,
        at_risk,
        plan.recent.demand(plan.sites, plan.seconds(now_ms)) if plan.settings.pooling else (),
    )
    settings = replace(plan.settings, lead_s=plan.refusals.everybody * _offer_s(state, plan))
    return Query(
        STEP, (plan_state, plan.seconds(now_ms), state.id * 1_000_003 + plan.number, settings), tag=STEP
    )


def _offer_s(state: ZoneState, plan: ZonePlan) -> float:
    """How long an offer of the planner lasts, on its clock; 0: it makes none."""
    lasts_s = next((rung.offer_s for _, rung in state.ladder if rung.mode == PLANNED), 0)
    return lasts_s * plan.settings.time_scale


def input_of(state: ZoneState, step: Query) -> StepInput:
    """What a step was told, from its query."""
    plan_state, now_s, seed, settings = step.params
    return StepInput(state.id, _asked_ms(step), plan_state, now_s, seed, settings)


def _asked_ms(step: Query) -> int:
    """When a step was asked for: the planner's clock is the zone's, only faster."""
    _, now_s, _, settings = step.params
    asked_ms: int = round(now_s * 1000 / settings.time_scale)
    return asked_ms


def _is_planned(state: ZoneState, order: Order, now_ms: int) -> bool:
    """True for an order that the planner decides about."""
    if not is_waiting(state, order, now_ms):
        return False
    place = state.ladder.at(order.wave)
    return place is not None and place.rung.mode in OF_PLANNER


def _plan_order(state: ZoneState, plan: ZonePlan, order: Order, now_ms: int) -> PlanOrder:
    known = plan.made_orders.get(order.id)
    if known is not None and known[0] == order.version:
        made = known[1]
    else:
        made = plan.plan_order(order)
        plan.made_orders[order.id] = order.version, made
    declined = _declined_by(state, plan, order, now_ms)
    return replace(made, declined_by=declined) if declined else made


def _declined_by(state: ZoneState, plan: ZonePlan, order: Order, now_ms: int) -> frozenset[int]:
    """Drivers who do not get the order: it was offered to them in this round, or taken from them, or they are far.

    When that is everybody, those who had an offer may have another one after a pause.
    """
    released = [n for n, at_ms in order.released if within(now_ms, at_ms, state.pause_ms)]
    asked = {*order.tried, *(x.driver_id for x in order.offers)}
    far = [driver for driver, orders in plan.far.items() if order.id in orders]
    declined = frozenset((*asked, *released, *far))
    if declined and state.drivers.keys() <= declined and not within(now_ms, order.updated_ms, REPEAT_MS):
        return frozenset(far)
    return declined


def _plan_drivers(state: ZoneState, plan: ZonePlan, now_ms: int) -> Iterable[PlanDriver]:
    """Online drivers, with the place and time at which each will be free."""
    asked, offer_s = _asked(state, now_ms), _offer_s(state, plan)
    for driver in state.drivers.values():
        tasks = [plan.carried[n] for n in plan.loads.get(driver.driver_id, ())] + asked.get(
            driver.driver_id, []
        )
        if not tasks and driver.driver_id not in plan.rests:
            made = plan.made_drivers.get(driver.driver_id)
            if made is None:
                made = _plan_driver(plan, driver, (), now_ms, offer_s)
                queue = state.queue
                if queue.fence is not None and queue.waits_inside(driver.driver_id):
                    rank = queue.ranks[driver.driver_id]
                    made = replace(made, spot=plan.spot(queue.fence.middle), rank=rank)
                plan.made_drivers[driver.driver_id] = made
            yield made
        else:
            yield _plan_driver(plan, driver, tasks, now_ms, offer_s)


def _asked(state: ZoneState, now_ms: int) -> Mapping[int, list[Order]]:
    """Orders that are offered or proposed to drivers: they are expected to take them."""
    asked: defaultdict[int, list[Order]] = defaultdict(list)
    for order in state.orders.values():
        live = {x.driver_id for x in order.offers if x.expires_ms > now_ms}
        proposed = state.proposed.get(order.id)
        if proposed is not None and within(now_ms, proposed[0], PROPOSED_MS):
            live.update(proposed[1])
        for driver_id in live:
            asked[driver_id].append(order)
    return asked


def _plan_driver(
    plan: ZonePlan, driver: m.DriverChanged, tasks: Sequence[Order], now_ms: int, offer_s: float
) -> PlanDriver:
    spot, free_s = predicted_end(plan, driver.driver_id, tasks, now_ms)
    rest_ms = plan.rests.get(driver.driver_id, 0)
    if rest_ms <= now_ms:
        plan.rests.pop(driver.driver_id, None)
    ends_ms, refuses = driver.shift_ends_ms, plan.refusals.own(driver.driver_id)
    return PlanDriver(
        driver.driver_id,
        spot,
        max(free_s, plan.seconds(rest_ms)),
        plan.seconds(now_ms) + SHIFT_S if ends_ms is None else plan.seconds(ends_ms),
        driver.capacity,
        lead_s=None if refuses is None else refuses * offer_s,
    )


# -- proposals --------------------------------------------------------------------------------------------


class _Circumstances(NamedTuple):
    """Of an offer: when its step was asked for, the time, and the way to the first store."""

    asked_ms: int
    now_ms: int
    away_m: int


def planned(state: ZoneState, plan: ZonePlan, answer: QueryAnswer, now_ms: int) -> list[Tell]:
    """Offers, or assignments, of the trips that a step proposes, as far as they still hold."""
    result: PlanResult = answer.result
    plan.before, plan.unplanned = result.routes, frozenset(result.unplanned)
    asked = {driver: len(orders) for driver, orders in _asked(state, now_ms).items()}
    tells: list[Tell] = []
    for proposal in result.proposals:
        orders = _still_open(state, proposal, now_ms)
        driver = state.drivers.get(proposal.driver_id)
        taken = asked.get(proposal.driver_id, 0)
        if not orders or driver is None or driver.free - taken < len(orders):
            continue
        places = [place for place in (state.ladder.at(order.wave) for order in orders) if place is not None]
        if len(places) < len(orders):
            continue
        away_m = _away_m(plan, proposal.driver_id, orders[0])
        if away_m > min(place.rung.reach_m for place in places):
            plan.far.setdefault(proposal.driver_id, set()).update(proposal.order_ids)
            continue
        asked[proposal.driver_id] = taken + len(orders)
        found = _Circumstances(_asked_ms(answer.query), now_ms, away_m)
        tells += _tells(state, plan, proposal, orders, places, found)
    return tells + _rescues(state, plan, result, asked)


def _rescues(state: ZoneState, plan: ZonePlan, result: PlanResult, asked: Mapping[int, int]) -> list[Tell]:
    """Take orders from drivers who would break their promises, for drivers who would keep them.

    Where trips are assigned the new driver gets the order. Where they are offered it is released, and the next step
    offers it: nobody gets an order unasked. The order's own turn refuses what was picked up meanwhile.
    """
    tells = []
    for found in result.reassignments:
        order, driver = plan.carried.get(found.order_id), state.drivers.get(found.to_driver_id)
        if order is None or order.driver_id != found.from_driver_id or order.status != ASSIGNED:
            continue
        if driver is None or driver.free - asked.get(driver.driver_id, 0) < 1:
            continue
        place = state.ladder.at(0)
        wish: Reassign | Release = Release(DISPATCH, PROMISE_AT_RISK)
        if place is not None and place.rung.mode == DIRECT:
            wish = Reassign(DISPATCH, driver.driver_id, PROMISE_AT_RISK)
        tells.append(Tell(ActorId("order", order.id), wish, trace=state.traces.get(order.id)))
    return tells


def _still_open(state: ZoneState, proposal: TripProposal, now_ms: int) -> list[Order]:
    """The proposal's orders, if all of them still wait and the driver may have them; else none."""
    orders = [state.orders.get(number) for number in proposal.order_ids]
    found = [order for order in orders if order is not None and is_waiting(state, order, now_ms)]
    if len(found) < len(orders):
        return []
    repeated = any(proposal.driver_id in (x.driver_id for x in order.offers) for order in found)
    return [] if repeated else found


def _away_m(plan: ZonePlan, driver_id: int, order: Order) -> int:
    known_place = plan.known_places.get(driver_id)
    return -1 if known_place is None else round(distance_m(known_place.place, order.facts.first.place))


def _tells(
    state: ZoneState,
    plan: ZonePlan,
    proposal: TripProposal,
    orders: Sequence[Order],
    places: Sequence[RungPlace],
    circumstances: _Circumstances,
) -> list[Tell]:
    """Offers, or assignments if all orders are on rungs that assign."""
    lead, driver_id = orders[0], proposal.driver_id
    trip = None
    if len(orders) > 1:
        trip = Trip(trip_id(lead.id, lead.offer_count + 1), proposal.order_ids, _pay_minor(orders))
    direct = all(place.rung.mode == DIRECT for place in places)
    ttl_ms = 1000 * min(place.rung.offer_s for place in places)
    tells, etas = [], _etas(plan, proposal)
    for order, place in zip(orders, places, strict=True):
        state.proposed[order.id] = (circumstances.now_ms, (driver_id,))
        told = plan_reasons(plan, proposal) | {
            "asked_ms": circumstances.asked_ms,
            "at_ms": circumstances.now_ms,
        }
        # Where its driver was is what times of preparation are learned with (functions/learned_times.sql).
        reasons: dict[str, Any] = {
            "plan": told,
            "rung": place.shown(),
            "distances_m": [circumstances.away_m],
        }
        message: MakeOffers | Assign
        if direct:
            message = Assign(DISPATCH, driver_id, trip, etas[order.id], reasons)
        else:
            reasons["again"] = driver_id in order.tried
            message = MakeOffers(order.round, order.wave, (driver_id,), ttl_ms, reasons, trip, etas[order.id])
        tells.append(Tell(ActorId("order", order.id), message, trace=state.traces.get(order.id)))
    return tells


def _pay_minor(orders: Sequence[Order]) -> int | None:
    """What a driver gets for these orders, tips included; None: the zone does not say what it pays."""
    pays = [order.facts.driver_pay_minor for order in orders]
    if None in pays:
        return None
    return sum(pay or 0 for pay in pays) + sum(order.facts.terms.tip_minor for order in orders)


def _etas(plan: ZonePlan, proposal: TripProposal) -> dict[int, Eta]:
    """When each order of a trip will be picked up and delivered, if its driver sets out as soon as it is free."""
    pickups: dict[int, int] = {}
    doors: dict[int, int] = {}
    for stop in proposal.trip.stops:
        times = pickups if stop.kind == "pickup" else doors
        times.update(dict.fromkeys(stop.order_ids, plan.milliseconds(stop.at_s)))
    return {number: Eta(pickups[number], doors[number]) for number in proposal.order_ids}


def plan_reasons(plan: ZonePlan, proposal: TripProposal) -> dict[str, Any]:
    """Why a trip is offered to a driver, small enough for the history of each of its orders.

    All of it follows from the step's input (step_inputs.py): a replay gives the same.
    """
    return {
        "number": proposal.plan_number,
        "seed": proposal.seed,
        "orders": [public_id(ORDER, number) for number in proposal.order_ids],
        "latest_start_ms": plan.milliseconds(proposal.latest_start_s),
        "stops": [[stop.kind, plan.milliseconds(stop.at_s)] for stop in proposal.trip.stops],
        "chosen": _candidate(plan, proposal.chosen),
        "next_best": [_candidate(plan, other) for other in proposal.next_best],
    }


def _candidate(plan: ZonePlan, found: CandidateDriver) -> dict[str, Any]:
    terms = found.terms
    return {
        "driver_id": public_id(DRIVER, found.driver_id),
        "pickup_ms": plan.milliseconds(found.pickup_s),
        "door_s": round(terms.door_s),
        "driving_s": round(terms.driving_s),
        "late_s": round(terms.late_s),
        "position_s": round(terms.position_s),
    }
