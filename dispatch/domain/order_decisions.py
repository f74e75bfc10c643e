"""Decisions about each command of an order: a decision, a refusal, or no change.

Pure: no clock, no database, no await. A decision has everything that must be written together. The database checks the
driver (online, free slot) and the transition again.
"""

from __future__ import annotations

from dataclasses import replace
from typing import assert_never

from dispatch.domain import order as o
from dispatch.domain import refusals as r
from dispatch.domain.carrier_decisions import carry, driver_by
from dispatch.domain.commands import (
    DISPATCH,
    Accept,
    Assign,
    BringBack,
    By,
    Cancel,
    Conclude,
    Decision,
    Decline,
    Deliver,
    Expire,
    Fail,
    FeedEntry,
    GiveUp,
    MakeOffers,
    NotePayment,
    OrderCommand,
    Pay,
    PickUp,
    Reassign,
    Release,
    ReturnGoods,
    SetEta,
    SetMode,
    SetReady,
    TellUnclaimed,
    Unchanged,
    Verdict,
    Withdraw,
)
from dispatch.domain.ids import DRIVER, STORE, public_id
from dispatch.domain.operator_decisions import conclude, hand_over, released
from dispatch.domain.order import TRANSITIONS, Eta, Order, Trip
from dispatch.domain.order_visibility import offer_terms, order_for_driver
from dispatch.domain.payment_decisions import note_payment, pay
from dispatch.domain.refusals import Refused
from dispatch.domain.search_decisions import give_up, set_eta, set_mode, tell_unclaimed, withdraw


def decide(order: Order, command: OrderCommand, now_ms: int) -> Verdict:
    """Decide this command on this order now."""
    match command:
        case Accept():
            return _accept(order, command, now_ms)
        case Decline():
            return _decline(order, command, now_ms)
        case PickUp() | Deliver() | Fail() | BringBack() | ReturnGoods():
            return carry(order, command, now_ms)
        case Cancel():
            return _cancel(order, command, now_ms)
        case Release():
            return _release(order, command, now_ms)
        case Assign() | Reassign() | Conclude():
            return _operated(order, command, now_ms)
        case SetReady():
            return _set_ready(order, command, now_ms)
        case Pay():
            return pay(order, command, now_ms)
        case NotePayment():
            return note_payment(order, command, now_ms)
        case MakeOffers() | Withdraw() | GiveUp() | TellUnclaimed() | SetEta() | SetMode():
            return _of_zone(order, command, now_ms)
        case Expire():
            return _expire(order, command, now_ms)
        case _:
            assert_never(command)


def _operated(order: Order, command: Assign | Reassign | Conclude, now_ms: int) -> Verdict:
    match command:
        case Assign():
            return _assign(order, command, now_ms)
        case Reassign():
            return _reassign(order, command, now_ms)
        case Conclude():
            return conclude(order, command, now_ms)


def _of_zone(
    order: Order, command: MakeOffers | Withdraw | GiveUp | TellUnclaimed | SetEta | SetMode, now_ms: int
) -> Verdict:
    match command:
        case MakeOffers():
            return _offer(order, command, now_ms)
        case Withdraw():
            return withdraw(order, command, now_ms)
        case GiveUp():
            return give_up(order, command, now_ms) or _cancel(order, Cancel(DISPATCH, "no_driver"), now_ms)
        case TellUnclaimed():
            return tell_unclaimed(order, command, now_ms)
        case SetEta():
            return set_eta(order, command, now_ms)
        case SetMode():
            return set_mode(order, command, now_ms)


def _accept(order: Order, command: Accept, now_ms: int) -> Verdict:
    if order.driver_id == command.driver_id and order.status != o.CONFIRMED:
        return Unchanged("already_yours")
    if order.status in o.CARRIED:
        return Refused(r.ORDER_TAKEN, order.status)
    if order.status != o.CONFIRMED:
        return Refused(r.ORDER_CLOSED, order.status)
    refusal = _offer_refusal(order, command, now_ms)
    if refusal is not None:
        return refusal
    return _assigned(
        order, command.driver_id, driver_by(command.driver_id), "won", now_ms, order.trip, order.eta
    )


def _offer_refusal(order: Order, command: Accept, now_ms: int) -> Refused | None:
    """Refusal of a driver's acceptance of a confirmed order, or None."""
    if order.mode == o.OPEN:
        if now_ms < order.opens_ms:
            return Refused(r.NOT_OFFERED, order.status)
        if command.offer_id is not None and command.offer_id != order.round_id:
            return Refused(r.OFFER_EXPIRED, order.status)
        return None
    offer = order.offer_for(command.driver_id)
    if offer is None:
        had_one = command.driver_id in order.tried or command.offer_id is not None
        return Refused(r.OFFER_EXPIRED if had_one else r.NOT_OFFERED, order.status)
    if offer.expires_ms <= now_ms or command.offer_id not in (None, offer.id):
        return Refused(r.OFFER_EXPIRED, order.status)
    return None if _is_in(order, command.trip_id) else Refused(r.OFFER_EXPIRED, order.status)


def _is_in(order: Order, trip_id: str | None) -> bool:
    """True if a command that names this trip, or none, is about the order's present offer."""
    return trip_id is None or (order.trip is not None and order.trip.id == trip_id)


def _assigned(
    order: Order,
    driver_id: int,
    by: By,
    answer: str,
    now_ms: int,
    trip: Trip | None = None,
    eta: Eta | None = None,
) -> Decision:
    taken = order.evolve(
        TRANSITIONS[order.status, "assigned"],
        now_ms,
        driver_id=driver_id,
        offers=(),
        tried=(),
        due_ms=None,
        trip=trip,
        eta=eta,
    )
    expected = {} if eta is None else {"eta_ms": eta.door_ms}
    return Decision(
        order=taken,
        event="assigned",
        by=by,
        answer=answer,
        data={"driver_id": public_id(DRIVER, driver_id), "wave": order.wave, "mode": order.mode, **expected},
        feed=(FeedEntry(driver_id, "order.assigned", order_for_driver(taken, driver_id)),),
        take=driver_id,
        zone_id=order.facts.zone_id if order.mode == o.OPEN else None,
        revoked=tuple((x.driver_id, x.id) for x in order.offers if x.driver_id != driver_id),
        why="taken",
    )


def _decline(order: Order, command: Decline, now_ms: int) -> Verdict:
    offer = order.offer_for(command.driver_id)
    if order.status != o.CONFIRMED or offer is None:
        if command.driver_id in order.tried:
            return Unchanged("declined")
        return Refused(r.NOT_OFFERED, order.status)
    if command.offer_id not in (None, offer.id) or not _is_in(order, command.trip_id):
        return Refused(r.OFFER_EXPIRED, order.status)
    offers = tuple(x for x in order.offers if x is not offer)
    return Decision(
        order=order.evolve(
            order.status,
            now_ms,
            offers=offers,
            tried=(*order.tried, command.driver_id),
            due_ms=order.due_ms if offers else None,
            trip=order.trip if offers else None,
            eta=order.eta if offers else None,
        ),
        event="declined",
        by=driver_by(command.driver_id),
        answer="declined",
        reason=command.reason,
        data={"offer_id": offer.id},
    )


def _cancel(order: Order, command: Cancel, now_ms: int) -> Verdict:
    if order.status == o.CANCELLED:
        return Unchanged("cancelled")
    if command.versions is not None and order.version not in command.versions:
        return Refused(r.PRECONDITION_FAILED, order.status)
    status = TRANSITIONS.get((order.status, "cancelled"))
    if status is None:
        return Refused(r.INVALID_TRANSITION, order.status)
    fee_minor = _fee_minor(order, command.by)
    next_order = order.evolve(status, now_ms, offers=(), due_ms=None, fee_minor=fee_minor)
    driver_id = order.driver_id
    entry = order_for_driver(next_order) | {"reason": command.reason}
    return Decision(
        order=next_order,
        event="cancelled",
        by=command.by,
        answer="cancelled",
        reason=command.reason,
        data={"fee_minor": fee_minor} if fee_minor else {},
        feed=() if driver_id is None else (FeedEntry(driver_id, "order.cancelled", entry),),
        free=driver_id is not None,
        restock=True,
        revoked=tuple((x.driver_id, x.id) for x in order.offers),
        why="cancelled",
    )


def _fee_minor(order: Order, by: By) -> int:
    """What a customer owes who cancels after a driver has accepted. Others cancel for nothing."""
    if by.role != "customer" or order.status != o.ASSIGNED:
        return 0
    return min(order.facts.terms.fee_minor, order.facts.total_minor)


def _release(order: Order, command: Release, now_ms: int) -> Verdict:
    status = TRANSITIONS.get((order.status, "released"))
    if status is None or order.driver_id is None:
        return Refused(r.INVALID_TRANSITION, order.status)
    next_order = order.evolve(
        status,
        now_ms,
        driver_id=None,
        round=order.round + 1,
        wave=0,
        offers=(),
        tried=(),
        released=released(order, order.driver_id, now_ms),
        since_ms=now_ms,
        warned_ms=None,
        trip=None,
        eta=None,
    )
    entry = order_for_driver(next_order) | {"reason": command.reason}
    return Decision(
        order=next_order,
        event="released",
        by=command.by,
        answer="released",
        reason=command.reason,
        data={"driver_id": public_id(DRIVER, order.driver_id)},
        feed=(FeedEntry(order.driver_id, "order.released", entry),),
        free=True,
    )


def _assign(order: Order, command: Assign, now_ms: int) -> Verdict:
    if order.status in o.CARRIED:
        if order.driver_id == command.driver_id:
            return Unchanged("assigned")
        return Refused(r.ORDER_TAKEN, order.status)
    if order.status != o.CONFIRMED:
        return Refused(r.ORDER_CLOSED, order.status)
    decision = _assigned(order, command.driver_id, command.by, "assigned", now_ms, command.trip, command.eta)
    mine = tuple((x.driver_id, x.id) for x in order.offers if x.driver_id == command.driver_id)
    data = decision.data | command.reasons
    return replace(decision, zone_id=None, revoked=decision.revoked + mine, data=data)


def _reassign(order: Order, command: Reassign, now_ms: int) -> Verdict:
    if order.driver_id is None or order.status not in o.CARRIED:
        decided = _assign(order, Assign(command.by, command.driver_id), now_ms)
        return replace(decided, reason=command.reason) if isinstance(decided, Decision) else decided
    return hand_over(order, command, order.driver_id, now_ms)


def _set_ready(order: Order, command: SetReady, now_ms: int) -> Verdict:
    if order.status in o.TERMINAL or order.status == o.PICKED_UP:
        return Refused(r.INVALID_TRANSITION, order.status)
    stores = [pickup.store_id for pickup in order.facts.pickups]
    if command.store_id is not None and command.store_id not in stores:
        return Refused(r.NOT_A_PICKUP, order.status)
    ready = tuple(
        command.ready_ms if command.store_id in (None, store) else before
        for store, before in zip(stores, order.ready, strict=True)
    )
    if order.ready == ready:
        return Unchanged("ready_time_set")
    next_order = order.evolve(order.status, now_ms, ready=ready)
    view = order_for_driver(next_order)
    feed = [FeedEntry(x.driver_id, "offer.ready_time", view | offer_terms(x)) for x in order.offers]
    if order.driver_id is not None:
        entry = order_for_driver(next_order, order.driver_id)
        feed.append(FeedEntry(order.driver_id, "order.ready_time", entry))
    return Decision(
        order=next_order,
        event="ready_time_set",
        by=command.by,
        answer="ready_time_set",
        data={"ready_at_ms": command.ready_ms}
        | ({} if command.store_id is None else {"store_id": public_id(STORE, command.store_id)}),
        feed=tuple(feed),
    )


def _offer(order: Order, command: MakeOffers, now_ms: int) -> Verdict:
    live = tuple(x for x in order.offers if x.expires_ms > now_ms)
    stale = command.round != order.round or command.wave != order.wave or live
    if order.status != o.CONFIRMED or order.mode != o.WAVES or stale or not command.driver_ids:
        return Refused(r.ORDER_CLOSED, order.status)
    expires_ms = now_ms + command.ttl_ms
    offers = tuple(order.next_offer(i, driver, expires_ms) for i, driver in enumerate(command.driver_ids))
    lapsed = tuple(x.driver_id for x in order.offers)
    next_order = order.evolve(
        order.status,
        now_ms,
        wave=order.wave + 1,
        offers=offers,
        offer_count=order.offer_count + len(offers),
        tried=tuple(dict.fromkeys((*order.tried, *lapsed))),
        due_ms=expires_ms,
        trip=command.trip,
        eta=command.eta,
    )
    view = order_for_driver(next_order)
    return Decision(
        order=next_order,
        event="offered",
        by=DISPATCH,
        answer="offered",
        data={"wave": next_order.wave, "drivers": list(command.driver_ids), **command.reasons},
        feed=tuple([FeedEntry(x.driver_id, "offer", view | offer_terms(x)) for x in offers]),
        revoked=tuple((x.driver_id, x.id) for x in order.offers),
        why="expired",
    )


def _expire(order: Order, command: Expire, now_ms: int) -> Verdict:
    """Decide the order's timer: an unpaid order ends, a wave of offers expires."""
    if order.due_ms != command.at_ms:
        return Unchanged("timer_obsolete")
    now_ms = max(now_ms, command.at_ms)
    if order.status == o.AWAITING_PAYMENT:
        return _cancel(order, Cancel(By("system", "payment_window"), "payment_timeout"), now_ms)
    if order.status == o.CONFIRMED and order.offers:
        lapsed = tuple(x for x in order.offers if x.expires_ms <= now_ms)
        if not lapsed:
            return Unchanged("timer_obsolete")
        left = tuple(x for x in order.offers if x.expires_ms > now_ms)
        return Decision(
            order=order.evolve(
                order.status,
                now_ms,
                offers=left,
                tried=tuple(dict.fromkeys((*order.tried, *(x.driver_id for x in lapsed)))),
                due_ms=min((x.expires_ms for x in left), default=None),
                trip=order.trip if left else None,
                eta=order.eta if left else None,
            ),
            event="offer_expired",
            by=DISPATCH,
            answer="offer_expired",
            data={"offers": [x.id for x in lapsed]},
            revoked=tuple((x.driver_id, x.id) for x in lapsed),
            why="expired",
        )
    return Unchanged("open")
