"""Payment notes: history entries of an order about its payment."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from dispatch.domain.commands import By, NotePayment
from dispatch.domain.ids import PAYMENT, public_id
from dispatch.domain.order import Paid


def payment_note(row: Mapping[str, Any]) -> NotePayment:
    """Make the history entry for the present version of a payment, from a row of `payment_rows`."""
    stuck = row["stuck_code"] is not None
    paid = Paid(row["id"], row["status"], row["amount_minor"], row["refunded_minor"], row["version"], stuck)
    data: dict[str, Any] = {"payment_id": public_id(PAYMENT, paid.id), "status": paid.status}
    event, by, reason = f"payment_{paid.status}", By("system", data["payment_id"]), None
    settled = row["settled"]
    if stuck:
        event, reason = "payment_stuck", row["stuck_code"]
    elif settled is not None and settled["version"] == paid.version:
        event, by, reason = "payment_settled", By("admin", settled["by"]), settled["reason"]
    elif paid.refunded_minor and row["refund_number"] is not None:
        event, by, reason = "payment_refunded", By("admin", row["refund_by"]), row["refund_reason"]
        data |= {"amount_minor": row["refund_minor"], "currency": row["currency"]}
    if paid.refunded_minor:
        data["refunded_minor"] = paid.refunded_minor
    return NotePayment(paid, event, by, reason, data)
