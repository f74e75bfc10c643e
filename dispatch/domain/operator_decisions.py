"""Decisions about commands of operators: hand an order over to another driver, and end it."""

from __future__ import annotations

from dispatch.domain import order as o
from dispatch.domain import refusals as r
from dispatch.domain.commands import Conclude, Decision, FeedEntry, Reassign, Unchanged, Verdict
from dispatch.domain.ids import DRIVER, public_id
from dispatch.domain.order import TRANSITIONS, Order
from dispatch.domain.order_visibility import order_for_driver
from dispatch.domain.refusals import Refused

# Number of drivers that an order remembers as released.
RELEASED_MAX = 8

FEED_TYPES = {
    "picked_up": "order.picked_up",
    "delivered": "order.delivered",
    "failed": "order.undeliverable",
    "returned": "order.undeliverable",
}
REACHED = {
    "picked_up": o.PICKED_UP,
    "delivered": o.DELIVERED,
    "failed": o.UNDELIVERABLE,
    "returned": o.UNDELIVERABLE,
}


def hand_over(order: Order, command: Reassign, before: int, now_ms: int) -> Verdict:
    """Decide a hand-over from the carrying driver to another one. The status stays."""
    if before == command.driver_id:
        return Unchanged("reassigned")
    next_order = order.evolve(
        order.status, now_ms, driver_id=command.driver_id, released=released(order, before, now_ms), trip=None
    )
    return Decision(
        order=next_order,
        event="handed_over",
        by=command.by,
        answer="reassigned",
        reason=command.reason,
        data={"driver_id": public_id(DRIVER, command.driver_id), "from": public_id(DRIVER, before)},
        feed=(
            FeedEntry(before, "order.released", order_for_driver(next_order) | {"reason": command.reason}),
            FeedEntry(command.driver_id, "order.assigned", order_for_driver(next_order, command.driver_id)),
        ),
        take=command.driver_id,
        free=True,
    )


def released(order: Order, driver_id: int, now_ms: int) -> tuple[tuple[int, int], ...]:
    """Drivers from whom the order was taken, with this driver as the newest."""
    others = tuple((driver, at_ms) for driver, at_ms in order.released if driver != driver_id)
    return (*others, (driver_id, now_ms))[-RELEASED_MAX:]


def conclude(order: Order, command: Conclude, now_ms: int) -> Verdict:
    """Decide the end of an order by an operator."""
    event = command.outcome
    status = TRANSITIONS.get((order.status, event))
    if status is None:
        if order.status == REACHED[event]:
            return Unchanged(event)
        return Refused(r.INVALID_TRANSITION, order.status)
    next_order = order.evolve(status, now_ms, offers=(), due_ms=None)
    driver = order.driver_id
    entry = order_for_driver(next_order) | {"reason": command.reason}
    return Decision(
        order=next_order,
        event=event,
        by=command.by,
        answer=event,
        reason=command.reason,
        data={} if driver is None else {"driver_id": public_id(DRIVER, driver)},
        feed=() if driver is None else (FeedEntry(driver, FEED_TYPES[event], entry),),
        free=driver is not None,
        # Goods that were not picked up are still in the store.
        restock=event == "returned" or (event == "failed" and order.status != o.PICKED_UP),
        revoked=tuple((x.driver_id, x.id) for x in order.offers),
        why="cancelled",
    )
