"""Decisions about commands of the driver who carries an order: pick-up, delivery, failure, and the way back."""

from __future__ import annotations

from hmac import compare_digest

from dispatch.domain import order as o
from dispatch.domain import refusals as r
from dispatch.domain.commands import (
    BringBack,
    By,
    Decision,
    Deliver,
    Fail,
    FeedEntry,
    PickUp,
    ReturnGoods,
    Unchanged,
    Verdict,
)
from dispatch.domain.ids import DRIVER, public_id
from dispatch.domain.operator_decisions import FEED_TYPES, REACHED
from dispatch.domain.order import OPERATED, TRANSITIONS, Eta, Order
from dispatch.domain.order_visibility import order_for_driver
from dispatch.domain.refusals import Refused

# After so many wrong PINs only an operator can conclude the delivery.
PIN_TRIES_MAX = 5


def driver_by(driver_id: int) -> By:
    """A driver as the author of a command."""
    return By("driver", public_id(DRIVER, driver_id))


def carry(order: Order, command: PickUp | Deliver | Fail | BringBack | ReturnGoods, now_ms: int) -> Verdict:
    """Decide a command of the carrying driver; all others are refused."""
    if order.driver_id != command.driver_id:
        return Refused(r.NOT_YOURS, order.status)
    match command:
        case PickUp():
            return _moved(order, "picked_up", now_ms)
        case Deliver(pin=pin):
            return _pin_decision(order, pin, now_ms) or _moved(order, "delivered", now_ms)
        case Fail(reason=reason):
            return _moved(order, "failed", now_ms, reason)
        case BringBack(reason=reason):
            return _bring_back(order, reason, now_ms)
        case ReturnGoods():
            return _moved(order, "returned", now_ms)


def _moved(order: Order, event: str, now_ms: int, reason: str | None = None) -> Verdict:
    """Decide a transition that the driver reports."""
    assert order.driver_id is not None, "its driver reports"
    status = TRANSITIONS.get((order.status, event))
    if status is None or ((order.status, event) in OPERATED and not _is_returned(order, event)):
        if order.status == REACHED[event]:
            return Unchanged(event)
        return Refused(r.INVALID_TRANSITION, order.status)
    eta = order.eta
    if eta is not None and event == "picked_up":
        # What the pick-up was late or early, the delivery will be.
        eta = Eta(now_ms, eta.door_ms + now_ms - eta.pickup_ms)
    next_order = order.evolve(status, now_ms, due_ms=None, eta=eta, returning_ms=None)
    driver_id = order.driver_id
    return Decision(
        order=next_order,
        event=event,
        by=driver_by(driver_id),
        answer=event,
        reason=reason,
        data={"eta_ms": eta.door_ms} if eta is not None and event == "picked_up" else {},
        feed=(FeedEntry(driver_id, FEED_TYPES[event], order_for_driver(next_order, driver_id)),),
        free=status in o.TERMINAL,
        # Before the pick-up the goods are still in the store.
        restock=event == "returned" or (event == "failed" and order.status == o.ASSIGNED),
    )


def _is_returned(order: Order, event: str) -> bool:
    """True for the end of the way back, which a driver may report once it has begun."""
    return event == "returned" and order.returning_ms is not None


def _pin_decision(order: Order, pin: str | None, now_ms: int) -> Verdict | None:
    """Decide a delivery without the right PIN: it is refused, and a wrong one is counted. None: it is the right one."""
    wanted = order.facts.terms.pin
    if wanted is None or order.status != o.PICKED_UP:
        return None
    if order.pin_tries >= PIN_TRIES_MAX:
        return Refused(r.PIN_LOCKED, order.status)
    if pin is None:
        return Refused(r.PIN_REQUIRED, order.status)
    if compare_digest(pin.encode(), wanted.encode()):
        return None
    assert order.driver_id is not None, "its driver delivers"
    tries = order.pin_tries + 1
    return Decision(
        order=order.evolve(order.status, now_ms, pin_tries=tries),
        event=r.WRONG_PIN,
        by=driver_by(order.driver_id),
        answer=r.WRONG_PIN,
        data={"tries_left": PIN_TRIES_MAX - tries},
    )


def _bring_back(order: Order, reason: str, now_ms: int) -> Verdict:
    """Decide the beginning of the way back to the store. The driver keeps its slot until the goods are there."""
    if order.status != o.PICKED_UP or order.driver_id is None:
        return Refused(r.INVALID_TRANSITION, order.status)
    if order.returning_ms is not None:
        return Unchanged("returning")
    next_order = order.evolve(order.status, now_ms, returning_ms=now_ms, eta=None)
    entry = order_for_driver(next_order, order.driver_id) | {"reason": reason}
    return Decision(
        order=next_order,
        event="returning",
        by=driver_by(order.driver_id),
        answer="returning",
        reason=reason,
        feed=(FeedEntry(order.driver_id, "order.returning", entry),),
    )
