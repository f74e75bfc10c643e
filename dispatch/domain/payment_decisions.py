"""Decisions about payments of an order."""

from __future__ import annotations

from dispatch.domain import order as o
from dispatch.domain import refusals as r
from dispatch.domain.commands import By, Decision, NotePayment, Pay, Unchanged, Verdict
from dispatch.domain.ids import PAYMENT, public_id
from dispatch.domain.order import TRANSITIONS, Order, Paid
from dispatch.domain.refusals import Refused


def pay(order: Order, command: Pay, now_ms: int) -> Verdict:
    """Decide that the money is held: the search for a driver begins."""
    if order.status == o.CANCELLED:
        return Refused(r.ORDER_CLOSED, order.status)
    if order.status != o.AWAITING_PAYMENT:
        return Unchanged("paid")
    # Due at once, as an order without card payment: after a crash the timer tells the zone.
    held = Paid(command.payment_id, "held", order.facts.total_minor)
    return Decision(
        order=order.evolve(
            TRANSITIONS[order.status, "paid"],
            now_ms,
            due_ms=now_ms,
            since_ms=now_ms,
            payments=(*order.payments, held),
        ),
        event="paid",
        by=By("system", public_id(PAYMENT, command.payment_id)),
        answer="paid",
    )


def note_payment(order: Order, command: NotePayment, now_ms: int) -> Verdict:
    """Decide a history entry about a payment. Orders that have ended get entries too."""
    paid = command.paid
    if any(p.id == paid.id and p.version >= paid.version for p in order.payments):
        return Unchanged("noted")
    others = tuple(p for p in order.payments if p.id != paid.id)
    return Decision(
        order=order.evolve(order.status, now_ms, payments=(*others, paid)),
        event=command.event,
        by=command.by,
        answer="noted",
        reason=command.reason,
        data=command.data,
    )
