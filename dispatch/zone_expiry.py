"""Zone expiry: ends offers that cannot succeed, and searches that find no driver."""

from __future__ import annotations

from actors.messages import ActorId, Tell
from dispatch.domain.commands import Withdraw
from dispatch.zone_state import ZoneState, within

# A proposal without an answer from its order is repeated after this time.
PROPOSED_MS = 3_000
# Limit of `GiveUp` messages per second; after an outage there may be thousands of orders.
GIVE_UP_MAX = 100


def withdrawals(state: ZoneState, now_ms: int, *, everybody: bool) -> list[Tell]:
    """Withdraw offers that cannot succeed, so that their orders are offered to others.

    Their driver is not online, or has fewer free slots than offers (the older orders keep theirs). The message is
    repeated every second until the offer has ended.

    `everybody`: check all drivers with offers, not only the suspects.
    """
    if not state.manned or not (everybody or state.suspects):
        return []
    live: dict[int, list[int]] = {}
    for order in state.orders.values():
        for offer in order.offers:
            if offer.expires_ms > now_ms and (everybody or offer.driver_id in state.suspects):
                live.setdefault(offer.driver_id, []).append(order.id)
    state.suspects.clear()
    found: dict[tuple[int, str], list[int]] = {}
    for driver_id, numbers in live.items():
        seat = state.drivers.get(driver_id)
        if seat is not None and len(numbers) <= seat.free:
            continue
        carrying, free = (frozenset(), 0) if seat is None else (seat.carrying, seat.free)
        for number in sorted(set(numbers) - carrying)[free:]:
            found.setdefault((number, "offline" if seat is None else "busy"), []).append(driver_id)
    return [
        Tell(ActorId("order", number), Withdraw(tuple(drivers), why), trace=state.traces.get(number))
        for (number, why), drivers in found.items()
    ]


def given_up(state: ZoneState, now_ms: int) -> list[Tell]:
    """Tell orders without a driver that their time is up. Each decides on a notice for operators or its end."""
    wish = state.give_up
    if wish is None or (state.end_ms is not None and now_ms < state.end_ms):
        return []  # called every second, and a zone may have thousands of orders
    tells, ends = list[Tell](), list[int]()
    for order in state.orders.values():
        told_ms = state.pressed.get(order.id)
        if told_ms is not None and within(now_ms, told_ms, PROPOSED_MS):
            ends.append(told_ms + PROPOSED_MS)
            continue
        due_ms = wish.due_ms(order)
        if now_ms < due_ms:
            ends.append(due_ms)
            continue
        ends.append(now_ms + PROPOSED_MS)
        state.pressed[order.id] = now_ms
        tells.append(Tell(ActorId("order", order.id), wish, trace=state.traces.get(order.id)))
        if len(tells) == GIVE_UP_MAX:
            ends.append(now_ms)
            break
    state.end_ms = min(ends, default=None)
    return tells
