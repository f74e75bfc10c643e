"""Decisions about the search for a driver, apart from making offers."""

from __future__ import annotations

from dispatch.domain import order as o
from dispatch.domain import refusals as r
from dispatch.domain.commands import (
    DISPATCH,
    Decision,
    GiveUp,
    SetEta,
    SetMode,
    TellUnclaimed,
    Unchanged,
    Verdict,
    Withdraw,
)
from dispatch.domain.order import Order
from dispatch.domain.refusals import Refused


def withdraw(order: Order, command: Withdraw, now_ms: int) -> Verdict:
    """Decide to end offers to drivers that cannot take the order."""
    dead = tuple(x for x in order.offers if x.driver_id in command.driver_ids)
    if order.status != o.CONFIRMED or not dead:
        return Refused(r.NOT_OFFERED, order.status)
    left = tuple(x for x in order.offers if x not in dead)
    # A busy driver counts as not asked: it gets an offer again when a slot is free.
    asked = () if command.why == "busy" else tuple(x.driver_id for x in dead)
    return Decision(
        order=order.evolve(
            order.status,
            now_ms,
            offers=left,
            tried=tuple(dict.fromkeys((*order.tried, *asked))),
            due_ms=order.due_ms if left else None,
            trip=order.trip if left else None,
            eta=order.eta if left else None,
        ),
        event="offer_withdrawn",
        by=DISPATCH,
        answer="withdrawn",
        reason=command.why,
        data={"offers": [x.id for x in dead]},
        revoked=tuple((x.driver_id, x.id) for x in dead),
        why="withdrawn",
    )


def give_up(order: Order, command: GiveUp, now_ms: int) -> Verdict | None:
    """Decide the notice for operators; None if the order is to be cancelled."""
    if order.status != o.CONFIRMED:
        return Refused(r.ORDER_CLOSED, order.status)
    end_ms = order.looking_since_ms + command.after_ms
    if order.warned_ms is None:
        if now_ms < end_ms - command.notice_ms:
            return Unchanged("waiting")
        end_ms = max(end_ms, now_ms + command.notice_ms)
        return Decision(
            order=order.evolve(order.status, now_ms, warned_ms=now_ms),
            event="unclaimed",
            by=DISPATCH,
            answer="unclaimed",
            data={"gives_up_at_ms": end_ms},
        )
    if now_ms < max(end_ms, order.warned_ms + command.notice_ms):
        return Unchanged("waiting")
    return None


def tell_unclaimed(order: Order, command: TellUnclaimed, now_ms: int) -> Verdict:
    """Decide the notice for operators about an order that nobody is asked for any more."""
    if order.status != o.CONFIRMED:
        return Refused(r.ORDER_CLOSED, order.status)
    if order.warned_ms is not None or order.offers or command.round != order.round:
        return Unchanged("waiting")
    return Decision(
        order=order.evolve(order.status, now_ms, warned_ms=now_ms),
        event="unclaimed",
        by=DISPATCH,
        answer="unclaimed",
        reason="ladder_ended",
        data={} if command.gives_up_ms is None else {"gives_up_at_ms": command.gives_up_ms},
    )


def set_eta(order: Order, command: SetEta, now_ms: int) -> Verdict:
    """Decide a new prediction for an order that a driver has."""
    if order.status not in o.CARRIED or order.returning_ms is not None:
        return Refused(r.ORDER_CLOSED, order.status)
    if order.eta == command.eta:
        return Unchanged("eta_set")
    return Decision(
        order=order.evolve(order.status, now_ms, eta=command.eta),
        event="eta_changed",
        by=DISPATCH,
        answer="eta_set",
        data={"eta_ms": command.eta.door_ms},
    )


def set_mode(order: Order, command: SetMode, now_ms: int) -> Verdict:
    """Decide a change of the zone's mode: a new round begins."""
    if order.mode == command.mode or order.status not in (o.CONFIRMED, o.AWAITING_PAYMENT):
        return Unchanged("mode_set")
    return Decision(
        order=order.evolve(
            order.status, now_ms, mode=command.mode, offers=(), round=order.round + 1, wave=0, trip=None
        ),
        event="mode_set",
        by=DISPATCH,
        answer="mode_set",
        data={"mode": command.mode},
        revoked=tuple((x.driver_id, x.id) for x in order.offers),
        why="mode_changed",
    )
