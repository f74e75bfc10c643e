"""Drivers: a driver's own status, and the operators' list."""

from __future__ import annotations

from typing import Annotated, Literal

from aiohttp import web
from pydantic import Field, WithJsonSchema
from typing_extensions import TypedDict

from api import json_schema as s
from api.auth.permissions import COMMANDS, LOCATIONS, READS
from api.contract.fields import Lat, Lon, Metres, Strict, Time, ZoneId
from api.contract.problems import Fault, Problem
from api.http.operation import Operation, Operations
from api.http.pagination import LIST_PROBLEMS, Page, list_page
from api.http.request import RequestContext, json_response
from api.rest import serializers
from api.rest.answers import DriverAnswer, DriverRowsAnswer, Online, OrdersAnswer
from config import metrics
from dispatch.domain import ids
from dispatch.domain.driver import UNREACHABLE, is_shift_end
from dispatch.domain.geo import Place
from dispatch.messages import Reply

operations = Operations(Operation)


class Availability(Strict):
    """`shift_ends_at`: the driver will pick nothing up later; without it no end is known."""

    status: Literal["online", "offline"]
    shift_ends_at: Time | None = None


class Location(Strict):
    lat: Lat
    lon: Lon
    cseq: Annotated[int, Field(ge=0, le=2**53 - 1)] | None = None
    accuracy_m: Metres = None


class Offline(Strict):
    status: Literal["offline"]


class DriverPage(Page):
    zone_id: ZoneId | None = None
    status: Literal["online", "offline"] | None = None
    state: Literal["online", "offline", "unreachable"] | None = None


class AvailableAnswer(TypedDict):
    result: Annotated[str, WithJsonSchema(s.one_of("now_online", "now_offline"))]
    status: Online


@operations.declare(
    "drivers.list",
    "GET",
    "/api/v2/drivers",
    scope="drivers:read:any",
    limit=READS,
    summary="Drivers",
    note="`state` says who can be asked: `unreachable` is a driver who is online and whose socket is gone for "
    "20 s, or who let two offers in a row pass without looking at them. Any sign of life ends it.",
    query=DriverPage,
    answer=DriverRowsAnswer,
    problems=LIST_PROBLEMS,
    etag="compared",
)
async def get_list(context: RequestContext) -> web.Response:
    return await list_page(
        context, context.services.records.drivers, context.query(DriverPage), serializers.driver_row
    )


@operations.declare(
    "drivers.me",
    "GET",
    "/api/v2/drivers/me",
    scope="drivers:profile:read:own",
    limit=READS,
    summary="The driver itself",
    answer=DriverAnswer,
)
async def me(context: RequestContext) -> web.Response:
    """The driver in its actor's state; the request counts as a sign of life."""
    seen = await context.services.dispatch.driver(context.who.number, context.carried)
    if seen.state == UNREACHABLE:
        context.services.dispatch.alive(context.who.number)
    return json_response(serializers.driver(seen))


@operations.declare(
    "drivers.my_orders",
    "GET",
    "/api/v2/drivers/me/orders",
    scope="drivers:profile:read:own",
    limit=READS,
    summary="What the driver carries",
    answer=OrdersAnswer,
)
async def my_orders(context: RequestContext) -> web.Response:
    """Orders that the driver carries now, from the database, which changes before any reader is notified."""
    orders = await context.services.records.carried_orders(context.who.number)
    shown: OrdersAnswer = {
        "items": [serializers.order(order, "driver", context.who.number) for order in orders],
        "next": None,
    }
    return json_response(shown)


@operations.declare(
    "drivers.availability",
    "PUT",
    "/api/v2/drivers/me/availability",
    scope="drivers:availability:write:own",
    limit=COMMANDS,
    summary="Go online or offline",
    body=Availability,
    body_example={"status": "online"},
    answer=AvailableAnswer,
    key="optional",
)
async def availability(context: RequestContext) -> web.Response:
    body = await context.body(Availability)
    caller = context.caller(context.key())
    ends_ms = None if body.shift_ends_at is None else int(body.shift_ends_at.timestamp() * 1000)
    if not is_shift_end(ends_ms, context.services.clock.wall() * 1000):
        fault = Fault("body", "#/shift_ends_at", "range", "must be within two days of now, before or after")
        raise Problem("invalid", faults=[fault])
    answer = await context.services.commands.execute_availability(caller, body.status, ends_ms)
    metrics.COMMANDS.labels("availability", "rest", answer.code).inc()
    return json_response(_available(answer))


@operations.declare(
    "drivers.take_offline",
    "PUT",
    "/api/v2/drivers/{id}/availability",
    scope="orders:operate",
    limit=COMMANDS,
    summary="Take a driver offline",
    note="For operators. Its offers die at once and go to others; what it carries it still delivers. It comes "
    "back by going online itself.",
    body=Offline,
    body_example={"status": "offline"},
    answer=AvailableAnswer,
    answer_example={"result": "now_offline", "status": "offline"},
    problems=("driver_not_found",),
    key="optional",
)
async def take_offline(context: RequestContext) -> web.Response:
    """Take a driver offline, for an operator: its phone is dead, or the driver does not answer."""
    number = context.number(ids.DRIVER)
    await context.body(Offline)
    answer = await context.services.commands.execute_offline(context.caller(context.key()), number)
    metrics.COMMANDS.labels("availability", "rest", answer.code).inc()
    return json_response(_available(answer))


def _available(answer: Reply) -> AvailableAnswer:
    return {"result": answer.code, "status": answer.status}


@operations.declare(
    "drivers.location",
    "PUT",
    "/api/v2/drivers/me/location",
    scope="drivers:location:write:own",
    limit=LOCATIONS,
    quiet=True,
    summary="Where the driver is",
    note="The newest wins; nothing is queued. Within a login a `cseq` that is not higher than the last is "
    "ignored for 10 s. An `accuracy_m` that makes no sense counts as left out. A fix at 0,0, one that may"
    " be wrong by more than 5 km, or a jump that no vehicle can make is not believed: the driver stays "
    "where it was.",
    body=Location,
    body_example={"lat": 52.52, "lon": 13.405, "cseq": 7, "accuracy_m": 12.5},
    status=204,
)
async def location(context: RequestContext) -> web.Response:
    """Report the driver's position: the newest replaces the others, none is queued."""
    body = await context.body(Location)
    place = Place(body.lat, body.lon)
    context.services.dispatch.locate(
        context.who.number,
        place,
        body.cseq,
        context.carried,
        accuracy_m=body.accuracy_m,
        session=context.who.session,
    )
    return web.Response(status=204)
