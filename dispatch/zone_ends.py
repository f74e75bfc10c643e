"""What a zone ends: offers that can come to nothing, and orders that nobody takes."""

from __future__ import annotations

from collections.abc import Iterable

from actors.messages import ActorId, Tell, Turn
from dispatch.domain.commands import GiveUp, Withdraw
from dispatch.zone_state import ZoneState, within

# A proposal that was not heard of again by then is made anew.
PROPOSED_MS = 3_000
# Orders that are given up with one beat; after an outage there may be thousands.
GIVE_UP_MAX = 100


def withdrawals(state: ZoneState, driver_ids: Iterable[int], turn: Turn) -> tuple[Tell, ...]:
    """Offers to these drivers that can come to nothing: their orders shall ask others. Said again with each beat
    until it is so.
    """
    found: dict[tuple[int, str], list[int]] = {}
    for driver_id in driver_ids:
        why, numbers = state.in_vain(driver_id, turn.now_ms)
        for number in numbers:
            found.setdefault((number, why), []).append(driver_id)
    return tuple(
        Tell(ActorId("order", number), Withdraw(tuple(drivers), why), trace=state.traces.get(number))
        for (number, why), drivers in found.items()
    )


def given_up(state: ZoneState, now_ms: int) -> list[Tell]:
    """Orders that nobody takes: each decides whether operators are to be told, or that it is over."""
    if state.give_up_ms is None:
        return []
    wish, tells = GiveUp(state.give_up_ms), list[Tell]()
    for order in state.orders.values():
        end_ms = order.looking_since_ms + wish.after_ms
        due_ms = end_ms - wish.notice_ms
        if order.warned_ms is not None:
            due_ms = max(end_ms, order.warned_ms + wish.notice_ms)
        told_ms = state.pressed.get(order.id)
        if now_ms < due_ms or (told_ms is not None and within(now_ms, told_ms, PROPOSED_MS)):
            continue
        state.pressed[order.id] = now_ms
        tells.append(Tell(ActorId("order", order.id), wish, trace=state.traces.get(order.id)))
        if len(tells) == GIVE_UP_MAX:
            break
    return tells
