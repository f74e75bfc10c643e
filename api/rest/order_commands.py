"""Commands on an order: drivers carry it, customers cancel it, admins operate it."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import datetime
from time import perf_counter
from typing import Literal

from aiohttp import web

from actors.errors import NoSuchActor
from api.auth.permissions import COMMANDS, WRITES
from api.contract.fields import DeclineReason, DriverId, OfferId, Pin, Reason, StoreId, Strict, Time, TripId
from api.contract.problems import Fault, Problem
from api.http.command_executor import refusal_code
from api.http.conditional import wanted_tags
from api.http.operation import Operation, Operations
from api.http.request import RequestContext, json_response
from api.rest import serializers
from api.rest.answers import DoneAnswer
from api.rest.orders import visible_order
from config import metrics
from dispatch.domain import commands as d
from dispatch.domain import ids, refusals
from dispatch.domain.commands import Wish
from dispatch.messages import Reply
from dispatch.service import Caller

operations = Operations(Operation)
_CARRY = ("order_not_found", "invalid_transition", "key_reused")
_ACCEPT = (
    "order_taken", "driver_busy", "driver_offline", "not_offered", "order_closed", "offer_expired",
    "order_not_found", "key_reused",
)  # fmt: skip

# Version in the tag of an order.
_VERSION = re.compile(r"[1-9][0-9]{0,8}", re.ASCII)
# A later time is a mistake.
READY_AHEAD_S = 24 * 3600


class AcceptBody(Strict):
    """`trip_id`: only if the order is offered in this trip."""

    offer_id: OfferId | None = None
    trip_id: TripId | None = None


class DeclineBody(Strict):
    offer_id: OfferId | None = None
    trip_id: TripId | None = None
    reason: DeclineReason = d.UNSPECIFIED


class NoBody(Strict):
    pass


class ReasonBody(Strict):
    reason: Reason = "unspecified"


class NeededReasonBody(Strict):
    reason: Reason


class DeliveryBody(Strict):
    """`pin`: what the customer says, where the order has `pin_required`. Another PIN needs another key."""

    pin: Pin | None = None


class FailureBody(Strict):
    """`returning`: the driver brings the goods back to the store; the order ends when it says that they are there."""

    reason: Reason
    returning: bool = False


class AssignBody(Strict):
    driver_id: DriverId


class ReassignBody(Strict):
    driver_id: DriverId
    reason: Reason


class ConclusionBody(Strict):
    outcome: Literal["delivered", "failed", "returned"]
    reason: Reason


class ReadyBody(Strict):
    """`store_id`: one of the order's pick-ups; without it the goods of all are meant."""

    ready_at: Time
    store_id: StoreId | None = None


def refusal(answer: Reply) -> Problem:
    """The problem of a refused command, with the order's status."""
    code = refusal_code(answer)
    if code == "order_not_found":
        return Problem(code)
    headers = {"ETag": f'"{answer.version}"'} if code == refusals.PRECONDITION_FAILED else None
    return Problem(code, headers=headers, order_status=answer.status, order_version=answer.version)


async def _command(context: RequestContext, name: str, wish: Callable[[Caller], Wish]) -> web.Response:
    """Execute a command on the order of the path, and answer with its result."""
    number = context.number(ids.ORDER)
    caller = context.caller(context.key())
    began = perf_counter()
    answer = await context.services.commands.execute(caller, number, wish(caller))
    metrics.command_seconds(name, "rest").observe(perf_counter() - began)
    metrics.command_count(name, "rest", answer.code).inc()
    if not refusal_code(answer):
        return json_response(serializers.reply(number, answer))
    # Returned, not raised, because it is common: of a hundred drivers who want an order ninety-nine are refused.
    return context.refuse(refusal(answer))


@operations.declare(
    "orders.ready_time",
    "PUT",
    "/api/v2/orders/{id}/ready-time",
    scope="orders:operate",
    limit=COMMANDS,
    prompt=True,
    summary="Say when it will be ready",
    body=ReadyBody,
    body_example={"ready_at": "2026-03-01T12:10:00Z"},
    answer=DoneAnswer,
    answer_example={"result": "ready_time_set", "status": "confirmed"},
    problems=(*_CARRY, "not_a_pickup"),
    key="optional",
)
async def ready_time(context: RequestContext) -> web.Response:
    body = await context.body(ReadyBody)
    ready_ms = _ready_ms(context, body.ready_at)
    return await _command(context, "ready-time", lambda c: d.SetReady(c.by, ready_ms, body.store_id))


def _ready_ms(context: RequestContext, ready_at: datetime) -> int:
    ready_s = ready_at.timestamp()
    if abs(ready_s - context.services.clock.wall()) > READY_AHEAD_S:
        fault = Fault("body", "#/ready_at", "range", "must be within a day of now, before or after")
        raise Problem("invalid", faults=[fault])
    return int(ready_s * 1000)


@operations.declare(
    "orders.accept",
    "POST",
    "/api/v2/orders/{id}/acceptance",
    scope="orders:accept",
    limit=COMMANDS,
    prompt=True,
    busy=2,
    summary="Accept an order: the first driver wins",
    note="Without `offer_id` it means whatever is offered at that moment. Repeating an acceptance that won "
    "answers `already_yours`, for ever.",
    body=AcceptBody,
    body_example={"offer_id": "ofr_17_1"},
    answer=DoneAnswer,
    problems=_ACCEPT,
    key="optional",
)
async def accept(context: RequestContext) -> web.Response:
    body = await context.optional_body(AcceptBody)
    return await _command(context, "accept", lambda c: d.Accept(c.number, body.offer_id, body.trip_id))


@operations.declare(
    "orders.decline",
    "POST",
    "/api/v2/orders/{id}/decline",
    scope="orders:accept",
    limit=COMMANDS,
    prompt=True,
    summary="Decline an offer",
    body=DeclineBody,
    body_example={"offer_id": "ofr_17_1", "reason": "too far"},
    answer=DoneAnswer,
    answer_example={"result": "declined", "status": "confirmed"},
    problems=("not_offered", "offer_expired", "order_not_found", "key_reused"),
    key="optional",
)
async def decline(context: RequestContext) -> web.Response:
    body = await context.optional_body(DeclineBody)
    return await _command(
        context, "decline", lambda c: d.Decline(c.number, body.offer_id, body.reason, body.trip_id)
    )


@operations.declare(
    "orders.pickup",
    "POST",
    "/api/v2/orders/{id}/pickup",
    scope="orders:carry:own",
    limit=COMMANDS,
    prompt=True,
    summary="The driver has the goods",
    body=NoBody,
    body_example={},
    answer=DoneAnswer,
    answer_example={"result": "picked_up", "status": "picked_up"},
    problems=_CARRY,
    key="optional",
)
async def pickup(context: RequestContext) -> web.Response:
    await context.optional_body(NoBody)
    return await _command(context, "pickup", lambda c: d.PickUp(c.number))


@operations.declare(
    "orders.delivery",
    "POST",
    "/api/v2/orders/{id}/delivery",
    scope="orders:carry:own",
    limit=COMMANDS,
    prompt=True,
    summary="The customer has the goods",
    body=DeliveryBody,
    body_example={"pin": "0417"},
    answer=DoneAnswer,
    answer_example={"result": "delivered", "status": "delivered"},
    problems=(*_CARRY, "pin_required", "wrong_pin", "pin_locked"),
    key="optional",
)
async def delivery(context: RequestContext) -> web.Response:
    body = await context.optional_body(DeliveryBody)
    return await _command(context, "delivery", lambda c: d.Deliver(c.number, body.pin))


@operations.declare(
    "orders.failure",
    "POST",
    "/api/v2/orders/{id}/failure",
    scope="orders:carry:own",
    limit=COMMANDS,
    prompt=True,
    summary="It cannot be delivered",
    note="The order ends, and the slot is free. With `returning` the driver, who has the goods, brings them back: "
    "the order stays with it until it says so (`/return`).",
    body=FailureBody,
    body_example={"reason": "nobody at the door"},
    answer=DoneAnswer,
    answer_example={"result": "failed", "status": "undeliverable"},
    problems=_CARRY,
    key="optional",
)
async def failure(context: RequestContext) -> web.Response:
    body = await context.body(FailureBody)
    wish = d.BringBack if body.returning else d.Fail
    return await _command(context, "failure", lambda c: wish(c.number, body.reason))


@operations.declare(
    "orders.return",
    "POST",
    "/api/v2/orders/{id}/return",
    scope="orders:carry:own",
    limit=COMMANDS,
    prompt=True,
    summary="The store has the goods again",
    note="The end of a way back that the driver has begun with a failure and `returning`. The stock is given back.",
    body=NoBody,
    body_example={},
    answer=DoneAnswer,
    answer_example={"result": "returned", "status": "undeliverable"},
    problems=_CARRY,
    key="optional",
)
async def give_back(context: RequestContext) -> web.Response:
    await context.optional_body(NoBody)
    return await _command(context, "return", lambda c: d.ReturnGoods(c.number))


@operations.declare(
    "orders.cancel",
    "POST",
    "/api/v2/orders/{id}/cancellation",
    scope="orders:cancel:own",
    limit=WRITES,
    prompt=True,
    summary="Cancel an order",
    note="Until the pick-up. Where the zone takes a fee, a customer who cancels after a driver has accepted pays it: "
    "`cancellation_fee` of the order.",
    body=ReasonBody,
    body_example={"reason": "changed my mind"},
    answer=DoneAnswer,
    answer_example={"result": "cancelled", "status": "cancelled"},
    problems=(*_CARRY, "precondition_failed"),
    key="optional",
)
async def cancel(context: RequestContext) -> web.Response:
    tags = wanted_tags(context, required=False)
    versions = None if tags is None else tuple(int(tag) for tag in tags if _VERSION.fullmatch(tag))
    body = await context.optional_body(ReasonBody)
    await visible_order(context)
    return await _command(context, "cancellation", lambda c: d.Cancel(c.by, body.reason, versions))


async def _known_driver(context: RequestContext, number: int) -> None:
    try:
        await context.services.dispatch.driver(number, context.carried)
    except NoSuchActor:
        detail = "there is no such driver; GET /api/v2/drivers lists them"
        fault = Fault("body", "#/driver_id", "unknown", detail)
        raise Problem("driver_not_found", faults=[fault]) from None


@operations.declare(
    "orders.assign",
    "POST",
    "/api/v2/orders/{id}/assignment",
    scope="orders:operate",
    limit=COMMANDS,
    prompt=True,
    summary="Give an order to a driver",
    body=AssignBody,
    body_example={"driver_id": "drv_3"},
    answer=DoneAnswer,
    answer_example={"result": "assigned"},
    problems=(*_ACCEPT, "driver_not_found"),
    key="optional",
)
async def assign(context: RequestContext) -> web.Response:
    body = await context.body(AssignBody)
    await _known_driver(context, body.driver_id)
    return await _command(context, "assignment", lambda c: d.Assign(c.by, body.driver_id))


@operations.declare(
    "orders.reassign",
    "POST",
    "/api/v2/orders/{id}/reassignment",
    scope="orders:operate",
    limit=COMMANDS,
    prompt=True,
    summary="Hand an order over to another driver",
    note="For operators, at any time before the end: the one driver gets `order.released`, the other "
    "`order.assigned`, in one commit. The status stays, also after the pick-up; that the goods change "
    "hands is up to the operator. An order without a driver is assigned.",
    body=ReassignBody,
    body_example={"driver_id": "drv_4", "reason": "phone is dead"},
    answer=DoneAnswer,
    answer_example={"result": "reassigned"},
    problems=(*_ACCEPT, "driver_not_found"),
    key="optional",
)
async def reassign(context: RequestContext) -> web.Response:
    """Reassign an order to another driver, in one step."""
    body = await context.body(ReassignBody)
    await _known_driver(context, body.driver_id)
    return await _command(context, "reassignment", lambda c: d.Reassign(c.by, body.driver_id, body.reason))


@operations.declare(
    "orders.conclude",
    "POST",
    "/api/v2/orders/{id}/conclusion",
    scope="orders:operate",
    limit=COMMANDS,
    prompt=True,
    summary="End an order whose driver cannot",
    note="For operators, when the driver cannot: `delivered` takes the money, `failed` and `returned` end as "
    "`undeliverable` and let it go. The stock is given back for what was returned, and for what was never"
    " fetched. The history says who and why. An order that waits for its payment is cancelled instead.",
    body=ConclusionBody,
    body_example={"outcome": "returned", "reason": "brought back to the counter"},
    answer=DoneAnswer,
    answer_example={"result": "returned", "status": "undeliverable"},
    problems=_CARRY,
    key="optional",
)
async def conclude(context: RequestContext) -> web.Response:
    """Conclude an order whose driver cannot."""
    body = await context.body(ConclusionBody)
    return await _command(context, "conclusion", lambda c: d.Conclude(c.by, body.outcome, body.reason))


@operations.declare(
    "orders.release",
    "POST",
    "/api/v2/orders/{id}/release",
    scope="orders:operate",
    limit=COMMANDS,
    prompt=True,
    summary="Take an order from its driver",
    body=ReasonBody,
    body_example={"reason": "changed my mind"},
    answer=DoneAnswer,
    answer_example={"result": "released", "status": "confirmed"},
    problems=_CARRY,
    key="optional",
)
async def release(context: RequestContext) -> web.Response:
    body = await context.optional_body(ReasonBody)
    return await _command(context, "release", lambda c: d.Release(c.by, body.reason))
