"""Drivers: their own status, and the list that operators see."""

from __future__ import annotations

from typing import Annotated, Literal

from aiohttp import web
from pydantic import Field

from api.contract.fields import Lat, Lon, Metres, Strict, ZoneId
from api.http.pagination import Page, list_page
from api.http.pipeline import Route
from api.http.request import RequestContext, json_response
from api.rest import serializers
from config import metrics
from dispatch.domain import ids
from dispatch.domain.driver import UNREACHABLE
from dispatch.domain.geo import Place


class Availability(Strict):
    status: Literal["online", "offline"]


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


async def me(context: RequestContext) -> web.Response:
    """The driver as its actor sees it; who asks is alive."""
    seen = await context.services.dispatch.driver(context.who.number, context.trace)
    if seen.state == UNREACHABLE:
        context.services.dispatch.alive(context.who.number)
    return json_response(serializers.driver(seen))


async def my_orders(context: RequestContext) -> web.Response:
    """What the driver carries now: from the rows, for they change before anybody hears of it."""
    orders = await context.services.records.carried_orders(context.who.number)
    return json_response(
        {"items": [serializers.order(order, "driver", context.who.number) for order in orders], "next": None}
    )


async def availability(context: RequestContext) -> web.Response:
    body = await context.body(Availability)
    caller = context.caller(context.key())
    answer = await context.services.commands.execute_availability(caller, body.status)
    metrics.COMMANDS.labels("availability", "rest", answer.code).inc()
    return json_response({"result": answer.code, "status": answer.status})


async def take_offline(context: RequestContext) -> web.Response:
    """An operator takes a driver offline: whose phone is dead, or whom nobody reaches."""
    number = context.number(ids.DRIVER)
    await context.body(Offline)
    answer = await context.services.commands.execute_offline(context.caller(context.key()), number)
    metrics.COMMANDS.labels("availability", "rest", answer.code).inc()
    return json_response({"result": answer.code, "status": answer.status})


async def location(context: RequestContext) -> web.Response:
    """Where the driver is: the newest wins, nothing is queued."""
    body = await context.body(Location)
    place = Place(body.lat, body.lon)
    context.services.dispatch.locate(
        context.who.number,
        place,
        body.cseq,
        context.trace,
        accuracy_m=body.accuracy_m,
        session=context.who.session,
    )
    return web.Response(status=204)


async def get_list(context: RequestContext) -> web.Response:
    return await list_page(
        context, context.services.records.drivers, context.query(DriverPage), serializers.driver_row
    )


ROUTES = (
    Route("drivers.list", "GET", "/api/v2/drivers", get_list, query=True),
    Route("drivers.me", "GET", "/api/v2/drivers/me", me),
    Route("drivers.my_orders", "GET", "/api/v2/drivers/me/orders", my_orders),
    Route("drivers.availability", "PUT", "/api/v2/drivers/me/availability", availability),
    Route("drivers.take_offline", "PUT", "/api/v2/drivers/{id}/availability", take_offline),
    Route("drivers.location", "PUT", "/api/v2/drivers/me/location", location, quiet=True),
)
