"""Orders: read by those whom they concern, carried by drivers, operated by admins."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import datetime
from typing import Annotated, Any, Literal

from aiohttp import web
from pydantic import BeforeValidator, Field, StringConstraints

from actors.errors import NoSuchActor
from api.contract.fields import DriverId, OfferId, Reason, StoreId, Strict, Time, ZoneId
from api.contract.problems import Fault, Problem
from api.http.command_executor import refusal_code
from api.http.conditional import tagged, wanted_tags
from api.http.pagination import Page, list_page
from api.http.pipeline import Route
from api.http.request import RequestContext, json_response
from api.rest import serializers
from api.rest.order_creation import create
from config import metrics
from dispatch.domain import commands as d
from dispatch.domain import ids, refusals
from dispatch.domain.commands import Wish
from dispatch.domain.driver import ONLINE
from dispatch.domain.order import STATUSES, Order, order_from
from dispatch.messages import Reply
from dispatch.service import Caller

# What the tag of an order is made of.
_VERSION = re.compile(r"[1-9][0-9]{0,8}", re.ASCII)
# A day ahead is a mistake, not a plan.
READY_AHEAD_S = 24 * 3600
# Numbers of a store begin with 1 each day.
NUMBER_MAX = 1_000_000


class AcceptBody(Strict):
    offer_id: OfferId | None = None


class DeclineBody(Strict):
    offer_id: OfferId | None = None
    reason: Reason = "unspecified"


class NoBody(Strict):
    pass


class ReasonBody(Strict):
    reason: Reason = "unspecified"


class NeededReasonBody(Strict):
    reason: Reason


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


def _statuses(value: object) -> object:
    """Several in one parameter, separated by commas; the same ones in any order are the same filter."""
    given = set(value.split(",")) if isinstance(value, str) and len(value) <= LISTED_MAX else set()
    if not given or not given <= set(STATUSES):
        raise ValueError(f"must be some of {', '.join(STATUSES)}, separated by commas")
    return sorted(given)


# All of them, twice over.
LISTED_MAX = 200
_LISTED = rf"^({'|'.join(STATUSES)})(,({'|'.join(STATUSES)}))*$"
Statuses = Annotated[
    list[str],
    BeforeValidator(
        _statuses,
        json_schema_input_type=Annotated[str, StringConstraints(pattern=_LISTED, max_length=LISTED_MAX)],
    ),
]


class OrderPage(Page):
    """`created_after` takes in the moment itself and `created_before` does not, so that spans join. `store_id` finds
    the orders that are fetched there, `number` among them the ones with that number on the receipt.
    """

    status: Statuses | None = None
    zone_id: ZoneId | None = None
    store_id: StoreId | None = None
    number: Annotated[int, Field(ge=1, le=NUMBER_MAX)] | None = None
    driver_id: DriverId | None = None
    created_after: Time | None = None
    created_before: Time | None = None
    sort: Literal["created_at", "-created_at"] = "-created_at"

    @property
    def order(self) -> str:
        """By default the newest first."""
        return self.sort

    def filters(self) -> dict[str, Any]:
        """As in every page; orders of one status lie in the index as they are listed, those of several do not."""
        found = super().filters()
        if self.status is not None:
            several = found.pop("status")
            found |= {"status": several[0]} if len(several) == 1 else {"statuses": several}
        return found


async def get(context: RequestContext) -> web.Response:
    """An order, for those whom it concerns; for everybody else there is none."""
    order = await visible_order(context)
    return tagged(
        context,
        context.services.shown.order(order, context.who.role, context.who.number),
        f'"{order.version}"',
    )


async def visible_order(context: RequestContext) -> Order:
    """The order of the path, if the caller may know of it.

    Raises:
        Problem: order_not_found.
    """
    number = context.number(ids.ORDER)
    try:
        order = await context.services.dispatch.order(number, context.trace)
    except NoSuchActor:
        raise Problem("order_not_found") from None
    if not await may_see(context, order):
        raise Problem("order_not_found")
    return order


async def may_see(context: RequestContext, order: Order) -> bool:
    """True for admins, for the order's customer, and for a driver that carries it or is offered it."""
    who = context.who
    if who.role == "customer":
        return order.facts.customer_id == who.number
    if who.role == "driver":
        return order.driver_id == who.number or await _offered(context, order)
    return who.role == "admin"


async def _offered(context: RequestContext, order: Order) -> bool:
    """True when a driver is offered the order: by name, or on the board of its zone while it is online."""
    if order.status != "confirmed":
        return False
    if order.mode == "open":
        seen = await context.services.dispatch.driver(context.who.number, context.trace)
        return seen.zone_id == order.facts.zone_id and seen.status == ONLINE
    return order.offer_for(context.who.number) is not None


async def get_list(context: RequestContext) -> web.Response:
    """The caller's orders, the newest first; an admin sees all. As of the database, a moment ago."""
    page, who = context.query(OrderPage), context.who
    whose: dict[str, Any] = {}
    if who.role != "admin":
        if page.driver_id is not None:
            fault = Fault("query", "driver_id", "role", "only an admin may ask for a driver's orders")
            raise Problem("invalid", faults=[fault])
        whose["customer_id" if who.role == "customer" else "driver_id"] = who.number
    asked = page.filters()
    if "number" in asked and "store_id" not in asked:
        fault = Fault("query", "number", "needs_store", "a number is one of a store: say store_id, too")
        raise Problem("invalid", faults=[fault])
    orders = context.services.records.orders
    return await list_page(
        context,
        orders,
        page,
        lambda row: serializers.order(order_from(row, ()), who.role, who.number),
        **whose,
    )


def refusal(answer: Reply) -> Problem:
    """The problem of a command that came to nothing; the order's status comes along."""
    code = refusal_code(answer)
    if code == "order_not_found":
        return Problem(code)
    headers = {"ETag": f'"{answer.version}"'} if code == refusals.PRECONDITION_FAILED else None
    return Problem(code, headers=headers, order_status=answer.status, order_version=answer.version)


async def _command(context: RequestContext, name: str, wish: Callable[[Caller], Wish]) -> web.Response:
    """Have a command on the order of the path executed, and show its answer."""
    number = context.number(ids.ORDER)
    caller = context.caller(context.key())
    answer = await context.services.commands.execute(caller, number, wish(caller))
    metrics.command_count(name, "rest", answer.code).inc()
    if not refusal_code(answer):
        return json_response(serializers.reply(number, answer))
    # Not raised: of a hundred who want an order ninety-nine are refused.
    return context.refuse(refusal(answer))


async def accept(context: RequestContext) -> web.Response:
    body = await context.optional_body(AcceptBody)
    return await _command(context, "accept", lambda c: d.Accept(c.number, body.offer_id))


async def decline(context: RequestContext) -> web.Response:
    body = await context.optional_body(DeclineBody)
    return await _command(context, "decline", lambda c: d.Decline(c.number, body.offer_id, body.reason))


async def pickup(context: RequestContext) -> web.Response:
    await context.optional_body(NoBody)
    return await _command(context, "pickup", lambda c: d.PickUp(c.number))


async def delivery(context: RequestContext) -> web.Response:
    await context.optional_body(NoBody)
    return await _command(context, "delivery", lambda c: d.Deliver(c.number))


async def failure(context: RequestContext) -> web.Response:
    body = await context.body(NeededReasonBody)
    return await _command(context, "failure", lambda c: d.Fail(c.number, body.reason))


async def cancel(context: RequestContext) -> web.Response:
    tags = wanted_tags(context, required=False)
    versions = None if tags is None else tuple(int(tag) for tag in tags if _VERSION.fullmatch(tag))
    body = await context.optional_body(ReasonBody)
    await visible_order(context)
    return await _command(context, "cancellation", lambda c: d.Cancel(c.by, body.reason, versions))


async def _known_driver(context: RequestContext, number: int) -> None:
    try:
        await context.services.dispatch.driver(number, context.trace)
    except NoSuchActor:
        detail = "there is no such driver; GET /api/v2/drivers lists them"
        fault = Fault("body", "#/driver_id", "unknown", detail)
        raise Problem("driver_not_found", faults=[fault]) from None


async def assign(context: RequestContext) -> web.Response:
    body = await context.body(AssignBody)
    await _known_driver(context, body.driver_id)
    return await _command(context, "assignment", lambda c: d.Assign(c.by, body.driver_id))


async def reassign(context: RequestContext) -> web.Response:
    """Hand an order over to another driver, in one step."""
    body = await context.body(ReassignBody)
    await _known_driver(context, body.driver_id)
    return await _command(context, "reassignment", lambda c: d.Reassign(c.by, body.driver_id, body.reason))


async def conclude(context: RequestContext) -> web.Response:
    """End an order whose driver cannot."""
    body = await context.body(ConclusionBody)
    return await _command(context, "conclusion", lambda c: d.Conclude(c.by, body.outcome, body.reason))


async def release(context: RequestContext) -> web.Response:
    body = await context.optional_body(ReasonBody)
    return await _command(context, "release", lambda c: d.Release(c.by, body.reason))


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


# The router tries them in this order: the busiest first.
ROUTES = (
    Route("orders.accept", "POST", "/api/v2/orders/{id}/acceptance", accept, prompt=True),
    Route("orders.create", "POST", "/api/v2/orders", create, prompt=True),
    Route("orders.list", "GET", "/api/v2/orders", get_list, query=True),
    Route("orders.get", "GET", "/api/v2/orders/{id}", get, prompt=True),
    Route("orders.ready_time", "PUT", "/api/v2/orders/{id}/ready-time", ready_time, prompt=True),
    Route("orders.decline", "POST", "/api/v2/orders/{id}/decline", decline, prompt=True),
    Route("orders.pickup", "POST", "/api/v2/orders/{id}/pickup", pickup, prompt=True),
    Route("orders.delivery", "POST", "/api/v2/orders/{id}/delivery", delivery, prompt=True),
    Route("orders.failure", "POST", "/api/v2/orders/{id}/failure", failure, prompt=True),
    Route("orders.cancel", "POST", "/api/v2/orders/{id}/cancellation", cancel, prompt=True),
    Route("orders.assign", "POST", "/api/v2/orders/{id}/assignment", assign, prompt=True),
    Route("orders.reassign", "POST", "/api/v2/orders/{id}/reassignment", reassign, prompt=True),
    Route("orders.conclude", "POST", "/api/v2/orders/{id}/conclusion", conclude, prompt=True),
    Route("orders.release", "POST", "/api/v2/orders/{id}/release", release, prompt=True),
)
