"""Payments of card orders. The money is held when the customer pays, and captured on delivery."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from aiohttp import web
from pydantic import Field, StringConstraints

from api.auth.permissions import ORDERS, READS, WRITES
from api.contract.fields import OrderId, Reason, Strict
from api.contract.problems import Fault, Problem
from api.http.conditional import row_tag, tagged
from api.http.operation import Operation, Operations
from api.http.pagination import LIST_PROBLEMS, Page, Truth, list_page
from api.http.request import RequestContext, json_response
from api.rest import serializers
from api.rest.answers import PaymentAnswer, PaymentsAnswer
from config import metrics
from dispatch.domain import ids
from dispatch.domain.money import Money
from dispatch.payments import PaymentResult, Payments

operations = Operations(Operation)

# Seconds until a client asks again for a payment with an unknown outcome.
LOOK_AGAIN_S = "2"

# Postgres's bigint has more; no order costs as much.
AMOUNT_MINOR_MAX = 10**15
Status = Literal["pending", "held", "declined", "captured", "voided", "refunding", "refunded"]


class Amount(Strict):
    amount_minor: Annotated[int, Field(ge=1, le=AMOUNT_MINOR_MAX)]
    currency: Annotated[str, StringConstraints(pattern=r"^[A-Z]{3}$")]


class PaymentPage(Page):
    """Query of payments: `stuck=true` selects those that wait for an operator."""

    order_id: OrderId | None = None
    status: Status | None = None
    stuck: Truth | None = None


class RefundBody(Strict):
    """`amount`: what is given back, in the payment's currency; all that is left without it."""

    amount: Amount | None = None
    reason: Reason | None = None


class SettlementBody(Strict):
    """`outcome`: how the payment has ended by the gateway's books; `retry`: it is asked again."""

    outcome: Literal["retry", "captured", "voided", "refunded"]
    reason: Reason


class PaymentBody(Strict):
    order_id: OrderId
    method: Literal["card"] = "card"
    token: Annotated[str, StringConstraints(pattern=r"^tok_[A-Za-z0-9_-]{4,64}$")]


def _office_payments(context: RequestContext) -> Payments:
    """The payments of this instance.

    Raises:
        Problem: this server has no payment gateway.
    """
    payments = context.services.payments
    if payments is None:
        raise Problem("cards_not_taken")
    return payments


@operations.declare(
    "payments.list",
    "GET",
    "/api/v2/payments",
    scope="payments:read:own",
    limit=READS,
    summary="Payments, one's own or all",
    query=PaymentPage,
    answer=PaymentsAnswer,
    problems=LIST_PROBLEMS,
)
async def list_payments(context: RequestContext) -> web.Response:
    """List payments: the caller's own or, for admins, all."""
    page = context.query(PaymentPage)
    own: dict[str, Any] = {} if context.who.role == "admin" else {"customer_id": context.who.number}
    return await list_page(context, context.services.records.payments, page, serializers.payment, **own)


@operations.declare(
    "payments.create",
    "POST",
    "/api/v2/payments",
    scope="payments:create",
    limit=ORDERS,
    summary="Pay an order by card: the money is held, and taken on delivery",
    body=PaymentBody,
    body_example={"order_id": "ord_17", "method": "card", "token": "tok_success"},
    answer=PaymentAnswer,
    status=201,
    problems=(
        "invalid_idempotency_key",
        "key_reused",
        "request_in_flight",
        "order_not_found",
        "payment_declined",
        "payment_not_due",
        "payment_exists",
        "cards_not_taken",
    ),
    key="required",
)
async def create(context: RequestContext) -> web.Response:
    """Pay an order. The same key and body always get the same answer, once the outcome is known."""
    key = context.key(required=True)
    body = await context.body(PaymentBody)
    context.about = {"order_id": ids.public_id(ids.ORDER, body.order_id)}
    payments = _office_payments(context)
    asked = await payments.pay(
        context.caller(key, body.model_dump_json().encode()), body.order_id, body.token
    )
    if asked.replayed:
        await context.services.admission.count_replay(context)
    metrics.IDEMPOTENCY.labels("replayed" if asked.replayed else asked.code).inc()
    return _answer(asked)


def _answer(asked: PaymentResult) -> web.Response:
    headers = {"Idempotent-Replayed": "true"} if asked.replayed else {}
    facts = asked.facts
    if asked.code in ("declined", "voided"):  # voided: the order ended before the outcome was known
        number = ids.public_id(ids.PAYMENT, facts["id"])
        raise Problem(
            "payment_declined", headers=headers, payment_id=number, decline_code=facts["decline_code"]
        )
    if asked.code in ("held", "pending"):
        shown = serializers.payment(facts)
        headers["Location"] = f"/api/v2/payments/{shown['id']}"
        if asked.code == "pending":
            return json_response(shown, 202, headers | {"Retry-After": LOOK_AGAIN_S})
        return json_response(shown, 201, headers)
    if asked.code == "in_flight":
        raise Problem("request_in_flight")
    raise Problem(asked.code, headers=headers, **facts)


@operations.declare(
    "payments.get",
    "GET",
    "/api/v2/payments/{id}",
    scope="payments:read:own",
    limit=READS,
    summary="A payment",
    answer=PaymentAnswer,
    etag="compared",
)
async def get(context: RequestContext) -> web.Response:
    """One payment, for its customer and for admins."""
    number = context.number(ids.PAYMENT)
    row = await context.services.records.payment(number)
    context.about = {} if row is None else {"order_id": ids.public_id(ids.ORDER, row["order_id"])}
    if row is None or (context.who.role != "admin" and row["customer_id"] != context.who.number):
        raise Problem("not_found")
    return tagged(context, serializers.payment(row), row_tag(row))


@operations.declare(
    "payments.refund",
    "POST",
    "/api/v2/payments/{id}/refund",
    scope="payments:refund",
    limit=WRITES,
    summary="Give a captured payment back, whole or in part",
    body=RefundBody,
    body_example={"amount": {"amount_minor": 300, "currency": "EUR"}, "reason": "one loaf was stale"},
    answer=PaymentAnswer,
    answer_example={"status": "captured", "refunded": {"amount_minor": 300, "currency": "EUR"}, "version": 5},
    problems=(
        "invalid_transition",
        "refund_in_progress",
        "refund_too_large",
        "cards_not_taken",
        "key_reused",
        "invalid_idempotency_key",
    ),
    key="optional",
)
async def refund(context: RequestContext) -> web.Response:
    """Refund a captured payment, whole or in part.

    Under one key it happens once; a repetition without key and amount changes nothing.
    """
    number = context.number(ids.PAYMENT)
    body = await context.optional_body(RefundBody)
    key = context.key(required=body.amount is not None)
    row = await _row(context, number)
    if body.amount is not None and body.amount.currency != row["currency"]:
        fault = Fault("body", "#/amount/currency", "currency", f"the payment is in {row['currency']}")
        raise Problem("invalid", "See errors.", faults=[fault])
    amount = None if body.amount is None else body.amount.amount_minor
    answer = await _office_payments(context).refund(context.caller(key), number, amount, body.reason)
    row = await _row(context, number)
    code = answer["code"]
    if code == "refund_too_large":
        left = serializers.money(Money(answer["left"], row["currency"]))
        raise Problem(code, payment_status=row["status"], refundable=left)
    if code not in ("refunding", "captured", "refunded"):
        raise Problem(code, payment_status=row["status"])
    waits = row["status"] == "refunding" and row["stuck_code"] is None
    headers = {"Retry-After": LOOK_AGAIN_S} if waits else {}
    return json_response(serializers.payment(row), 202 if waits else 200, headers)


@operations.declare(
    "payments.settle",
    "POST",
    "/api/v2/payments/{id}/settlement",
    scope="payments:refund",
    limit=WRITES,
    summary="End a payment that is stuck as the gateway's books have it, or try it again",
    body=SettlementBody,
    body_example={"outcome": "voided", "reason": "the hold had expired"},
    answer=PaymentAnswer,
    answer_example={"status": "voided", "version": 4},
    problems=("invalid_transition", "cards_not_taken"),
)
async def settle(context: RequestContext) -> web.Response:
    """Settle a stuck payment with the outcome in the gateway's books, or retry it."""
    number, body = context.number(ids.PAYMENT), await context.body(SettlementBody)
    code = await _office_payments(context).settle(context.caller(), number, body.outcome, body.reason)
    row = await _row(context, number)
    if code != "settled":
        raise Problem(code, payment_status=row["status"])
    return json_response(serializers.payment(row))


async def _row(context: RequestContext, number: int) -> Any:
    """The payment's row; its id is added to the request's log line.

    Raises:
        Problem: not_found.
    """
    row = await context.services.records.payment(number)
    if row is None:
        raise Problem("not_found")
    context.about = {"order_id": ids.public_id(ids.ORDER, row["order_id"])}
    return row
