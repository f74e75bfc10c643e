"""Where a zone's orders stand on its offer ladder, apart from those that a plan offers (zone_planning.py)."""

from __future__ import annotations

from actors.messages import ActorId, Tell
from dispatch.domain.commands import SetMode, TellUnclaimed
from dispatch.domain.offer_ladder import BOARD, NEAREST, OF_PLANNER, RungPlace
from dispatch.domain.order import OPEN, Order
from dispatch.zone_expiry import GIVE_UP_MAX
from dispatch.zone_planning import SILENT_MS, is_waiting
from dispatch.zone_state import ZoneState, within


def for_the_nearest(state: ZoneState, now_ms: int) -> list[tuple[Order, RungPlace]]:
    """Orders that the nearest drivers are to be asked for, each as a rung of the ladder says."""
    found = []
    for order in state.orders.values():
        if is_waiting(state, order, now_ms):
            place = _nearest_place(state, order, now_ms)
            if place is not None:
                found.append((order, place))
    return found


def _nearest_place(state: ZoneState, order: Order, now_ms: int) -> RungPlace | None:
    """The rung by which the nearest drivers are asked for an order.

    It is the order's own, or the next one, if the order is the planner's and is not placed: nobody can do it, there are
    too many, or there has been no plan for long.
    """
    place, plan = state.ladder.at(order.wave), state.plan
    if place is None or place.rung.mode == NEAREST:
        return place
    if plan is None or place.rung.mode not in OF_PLANNER:
        return None
    silent = plan.wanted_ms is not None and not within(now_ms, plan.wanted_ms, SILENT_MS)
    unplanned = (silent or order.id in plan.unplanned) and not within(
        now_ms, order.looking_since_ms, place.rung.unplanned_s * 1000
    )
    return state.ladder.unplanned(place) if unplanned or order.id in plan.beyond else None


def for_the_board(state: ZoneState, now_ms: int) -> list[Tell]:
    """Put orders on the board that have come to its rung."""
    if not state.ladder.has_board:
        return []
    tells = []
    for order in state.orders.values():
        place = state.ladder.at(order.wave)
        if place is not None and place.rung.mode == BOARD and is_waiting(state, order, now_ms):
            state.proposed[order.id] = (now_ms, ())
            tells.append(Tell(ActorId("order", order.id), SetMode(OPEN), trace=state.traces.get(order.id)))
    return tells


def beyond_the_end(state: ZoneState, now_ms: int) -> list[Tell]:
    """Tell orders that have come to the end of the ladder: each tells the operators, once."""
    if not state.ladder.ends:
        return []
    tells: list[Tell] = []
    for order in state.orders.values():
        if state.ladder.at(order.wave) is not None or order.warned_ms is not None:
            continue
        if is_waiting(state, order, now_ms) and len(tells) < GIVE_UP_MAX:
            state.proposed[order.id] = (now_ms, ())
            ends_ms = None if state.give_up is None else order.looking_since_ms + state.give_up.after_ms
            message = TellUnclaimed(order.round, ends_ms)
            tells.append(Tell(ActorId("order", order.id), message, trace=state.traces.get(order.id)))
    return tells
