"""Payments of card orders. The money is held when the customer pays, taken when the goods arrive."""

from __future__ import annotations

from typing import Annotated, Literal

from aiohttp import web
from pydantic import StringConstraints

from api import present
from api.call import Call, json_response
from api.conditional import row_tag, tagged
from api.edge import Route
from api.fields import OrderId, Strict
from api.problems import Problem
from config import metrics
from dispatch.domain import ids
from dispatch.payments import Asked, Payments

# When to look again at a payment whose outcome is not known.
LOOK_AGAIN_S = "2"


class PaymentBody(Strict):
    order_id: OrderId
    method: Literal["card"] = "card"
    token: Annotated[str, StringConstraints(pattern=r"^tok_[A-Za-z0-9_-]{4,64}$")]


def _office_payments(call: Call) -> Payments:
    """The cashier.

    Raises:
        Problem: this server has no payment gateway.
    """
    payments = call.office.payments
    if payments is None:
        raise Problem("unavailable", "No payment gateway is configured.")
    return payments


async def create(call: Call) -> web.Response:
    """Pay an order. The same key and body always get the same answer once the outcome is known."""
    key = call.key(required=True)
    body = await call.body(PaymentBody)
    call.about = {"order_id": ids.public_id(ids.ORDER, body.order_id)}
    payments = _office_payments(call)
    asked = await payments.pay(call.caller(key, body.model_dump_json().encode()), body.order_id, body.token)
    if asked.replayed:
        await call.office.gate.count_replay(call)
    metrics.IDEMPOTENCY.labels("replayed" if asked.replayed else asked.code).inc()
    return _answer(asked)


def _answer(asked: Asked) -> web.Response:
    headers = {"Idempotent-Replayed": "true"} if asked.replayed else {}
    facts = asked.facts
    if asked.code == "declined":
        number = ids.public_id(ids.PAYMENT, facts["id"])
        raise Problem(
            "payment_declined", headers=headers, payment_id=number, decline_code=facts["decline_code"]
        )
    if asked.code in ("held", "pending"):
        shown = present.payment(facts)
        headers["Location"] = f"/api/v2/payments/{shown['id']}"
        if asked.code == "pending":
            return json_response(shown, 202, headers | {"Retry-After": LOOK_AGAIN_S})
        return json_response(shown, 201, headers)
    if asked.code == "in_flight":
        raise Problem("request_in_flight")
    raise Problem(asked.code, headers=headers, **facts)


async def get(call: Call) -> web.Response:
    """A payment, for its customer and for admins."""
    number = call.number(ids.PAYMENT)
    row = await call.office.database.row("payment_get", number)
    call.about = {} if row is None else {"order_id": ids.public_id(ids.ORDER, row["order_id"])}
    if row is None or (call.who.role != "admin" and row["customer_id"] != call.who.number):
        raise Problem("not_found")
    return tagged(call, present.payment(row), row_tag(row))


async def refund(call: Call) -> web.Response:
    """Give a captured payment back, whole. Asking again changes nothing."""
    await call.no_body()
    number = call.number(ids.PAYMENT)
    code = await _office_payments(call).refund(number)
    if code == "not_found":
        raise Problem("not_found")
    row = await call.office.database.row("payment_get", number)
    call.about = {"order_id": ids.public_id(ids.ORDER, row["order_id"])}
    if code == "invalid_transition":
        raise Problem(code, payment_status=row["status"])
    waits = row["status"] == "refunding"
    headers = {"Retry-After": LOOK_AGAIN_S} if waits else {}
    return json_response(present.payment(row), 202 if waits else 200, headers)


ROUTES = (
    Route("payments.create", "POST", "/api/v2/payments", create),
    Route("payments.get", "GET", "/api/v2/payments/{id}", get),
    Route("payments.refund", "POST", "/api/v2/payments/{id}/refund", refund),
)
