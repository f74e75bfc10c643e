"""Orders: placed by customers, carried by drivers, operated by admins."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import Annotated, Literal

from aiohttp import web
from pydantic import AwareDatetime, Field, field_validator

from actors.errors import NoSuchActor
from api import present
from api.call import Call, json_response
from api.edge import Route
from api.fields import Address, DriverId, Lat, Lon, Notes, OfferId, ProductId, Reason, Strict, ZoneId
from api.problems import Fault, Problem
from api.rest.paging import Page, page_of
from config import metrics
from dispatch.domain import ids, refusals
from dispatch.domain.geo import Place
from dispatch.domain.order import STATUSES, Order, order_from
from dispatch.messages import Reply
from dispatch.service import Caller, NewOrder, Placed

# A day ahead is a mistake, not a plan.
READY_AHEAD_S = 24 * 3600
_GOOD = frozenset(
    {
        "won", "already_yours", "declined", "picked_up", "delivered", "failed", "cancelled", "released",
        "assigned", "ready_time_set",
    }
)  # fmt: skip


class Line(Strict):
    product_id: ProductId
    quantity: Annotated[int, Field(ge=1, le=99)]


class Dropoff(Strict):
    lat: Lat
    lon: Lon
    address: Address


class OrderBody(Strict):
    items: Annotated[list[Line], Field(min_length=1, max_length=50)]
    dropoff: Dropoff
    payment: Literal["card", "cash"]
    notes: Notes | None = None

    @field_validator("items")
    @classmethod
    def _each_once(cls, items: list[Line]) -> list[Line]:
        if len({line.product_id for line in items}) != len(items):
            raise ValueError("a product stands in two lines; add the quantities")
        return items


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


class ReadyBody(Strict):
    ready_at: AwareDatetime


class OrderPage(Page):
    status: Literal[STATUSES] | None = None  # type: ignore[valid-type]
    zone_id: ZoneId | None = None


async def create(call: Call) -> web.Response:
    """Place an order. The same key and body always get the same answer, byte for byte."""
    key = call.key(required=True)
    body = await call.body(OrderBody)
    new = NewOrder(
        tuple((line.product_id, line.quantity) for line in body.items),
        Place(body.dropoff.lat, body.dropoff.lon),
        body.dropoff.address,
        body.payment,
        body.notes,
    )
    # The fingerprint is of what was understood, so white space and the order of names do not matter.
    placed = await call.office.dispatch.create_order(call.caller(key, body.model_dump_json().encode()), new)
    metrics.IDEMPOTENCY.labels("replayed" if placed.replayed else placed.code).inc()
    return _placed(placed)


def _placed(placed: Placed) -> web.Response:
    if placed.code == "created":
        shown = present.order(placed.order, "customer")
        headers = {"Location": f"/api/v2/orders/{shown['id']}"}
        if placed.replayed:
            headers["Idempotent-Replayed"] = "true"
        return json_response(shown, 201, headers)
    if placed.code == "in_flight":
        raise Problem("request_in_flight")
    if placed.code == "out_of_range":
        raise _too_far(placed)
    faults = [
        Fault("body", f"#/items/{line}/product_id", placed.code, "see code")
        for line in placed.facts.get("lines", ())
    ]
    headers = {"Idempotent-Replayed": "true"} if placed.replayed else {}
    raise Problem(placed.code, faults=faults, headers=headers)


def _too_far(placed: Placed) -> Problem:
    away_m, radius_m = placed.facts["distance_m"], placed.facts["radius_m"]
    detail = f"{away_m} m from the store, which delivers within {radius_m} m"
    headers = {"Idempotent-Replayed": "true"} if placed.replayed else {}
    return Problem(placed.code, faults=[Fault("body", "#/dropoff", placed.code, detail)], headers=headers)


async def get(call: Call) -> web.Response:
    """An order, for those whom it concerns; for everybody else there is none."""
    order = await visible_order(call)
    return json_response(present.order(order, call.who.role), headers={"ETag": f'"{order.version}"'})


async def visible_order(call: Call) -> Order:
    """The order of the path, if the caller may know of it.

    Raises:
        Problem: order_not_found.
    """
    number = call.number(ids.ORDER)
    try:
        order = await call.office.dispatch.order(number, call.trace)
    except NoSuchActor:
        raise Problem("order_not_found") from None
    if not await may_see(call, order):
        raise Problem("order_not_found")
    return order


async def may_see(call: Call, order: Order) -> bool:
    """True for admins, for the order's customer, and for a driver that carries it or is offered it."""
    who = call.who
    if who.role == "customer":
        return order.facts.customer_id == who.number
    if who.role == "driver":
        return order.driver_id == who.number or await _offered(call, order)
    return who.role == "admin"


async def _offered(call: Call, order: Order) -> bool:
    """True when a driver is offered the order: by name, or on the board of its zone."""
    if order.status != "confirmed":
        return False
    if order.mode == "open":
        seen = await call.office.dispatch.driver(call.who.number, call.trace)
        return seen.zone_id == order.facts.zone_id
    return order.offer_for(call.who.number) is not None


async def get_list(call: Call) -> web.Response:
    """The caller's orders, the newest first; an admin sees all. As of the database, a moment ago."""
    page, who = call.query(OrderPage), call.who
    customer = who.number if who.role == "customer" else None
    driver = who.number if who.role == "driver" else None
    args = (page.after(ids.NUMBER_MAX), page.limit + 1, customer, driver, page.status, page.zone_id)
    rows = await call.office.database.rows("order_list", *args)
    return json_response(page_of(rows, page.limit, lambda row: present.order(order_from(row, ()), who.role)))


def refusal(answer: Reply) -> Problem:
    """The problem of a command that came to nothing; the order's status comes along."""
    if answer.code == refusals.NOT_YOURS:
        return Problem("order_not_found")
    return Problem(answer.code, order_status=answer.status, order_version=answer.version)


async def _command(call: Call, name: str, work: Callable[[Caller, int], Awaitable[Reply]]) -> web.Response:
    """Run a command on the order of the path and show its answer."""
    number = call.number(ids.ORDER)
    try:
        answer = await work(call.caller(call.key()), number)
    except NoSuchActor:
        raise Problem("order_not_found") from None
    metrics.command_count(name, "rest", answer.code).inc()
    if answer.code in _GOOD:
        return json_response(present.reply(number, answer))
    # Not raised: of a hundred who want an order ninety-nine are refused.
    return call.refuse(refusal(answer))


async def accept(call: Call) -> web.Response:
    body = await call.optional_body(AcceptBody)
    accept_order = call.office.dispatch.accept
    return await _command(call, "accept", lambda c, n: accept_order(c, n, body.offer_id))


async def decline(call: Call) -> web.Response:
    body = await call.optional_body(DeclineBody)
    decline_order = call.office.dispatch.decline
    return await _command(call, "decline", lambda c, n: decline_order(c, n, body.offer_id, body.reason))


async def pickup(call: Call) -> web.Response:
    await call.optional_body(NoBody)
    return await _command(call, "pickup", call.office.dispatch.pick_up)


async def delivery(call: Call) -> web.Response:
    await call.optional_body(NoBody)
    return await _command(call, "delivery", call.office.dispatch.deliver)


async def failure(call: Call) -> web.Response:
    body = await call.body(NeededReasonBody)
    fail = call.office.dispatch.fail
    return await _command(call, "failure", lambda c, n: fail(c, n, body.reason))


async def cancel(call: Call) -> web.Response:
    body = await call.optional_body(ReasonBody)
    await visible_order(call)
    cancel_order = call.office.dispatch.cancel
    return await _command(call, "cancellation", lambda c, n: cancel_order(c, n, body.reason))


async def assign(call: Call) -> web.Response:
    body = await call.body(AssignBody)
    try:
        await call.office.dispatch.driver(body.driver_id, call.trace)
    except NoSuchActor:
        raise Problem(
            "driver_not_found", faults=[Fault("body", "#/driver_id", "unknown", "no such driver")]
        ) from None
    assign_order = call.office.dispatch.assign
    return await _command(call, "assignment", lambda c, n: assign_order(c, n, body.driver_id))


async def release(call: Call) -> web.Response:
    body = await call.optional_body(ReasonBody)
    release_order = call.office.dispatch.release
    return await _command(call, "release", lambda c, n: release_order(c, n, body.reason))


async def ready_time(call: Call) -> web.Response:
    body = await call.body(ReadyBody)
    ready_ms = _ready_ms(call, body.ready_at)
    set_ready = call.office.dispatch.set_ready
    return await _command(call, "ready-time", lambda c, n: set_ready(c, n, ready_ms))


def _ready_ms(call: Call, ready_at: datetime) -> int:
    ready_s = ready_at.timestamp()
    if abs(ready_s - call.office.clock.wall()) > READY_AHEAD_S:
        fault = Fault("body", "#/ready_at", "range", "must be within a day of now")
        raise Problem("invalid", faults=[fault])
    return int(ready_s * 1000)


# The router tries them in this order: the busiest first.
ROUTES = (
    Route("orders.accept", "POST", "/api/v2/orders/{id}/acceptance", accept, prompt=True),
    Route("orders.create", "POST", "/api/v2/orders", create),
    Route("orders.list", "GET", "/api/v2/orders", get_list, query=True),
    Route("orders.get", "GET", "/api/v2/orders/{id}", get, prompt=True),
    Route("orders.ready_time", "PUT", "/api/v2/orders/{id}/ready-time", ready_time, prompt=True),
    Route("orders.decline", "POST", "/api/v2/orders/{id}/decline", decline, prompt=True),
    Route("orders.pickup", "POST", "/api/v2/orders/{id}/pickup", pickup, prompt=True),
    Route("orders.delivery", "POST", "/api/v2/orders/{id}/delivery", delivery, prompt=True),
    Route("orders.failure", "POST", "/api/v2/orders/{id}/failure", failure, prompt=True),
    Route("orders.cancel", "POST", "/api/v2/orders/{id}/cancellation", cancel, prompt=True),
    Route("orders.assign", "POST", "/api/v2/orders/{id}/assignment", assign, prompt=True),
    Route("orders.release", "POST", "/api/v2/orders/{id}/release", release, prompt=True),
)
