"""Drivers: their own status, and the list that operators see."""

from __future__ import annotations

from typing import Annotated, Literal

from aiohttp import web
from pydantic import Field

from actors.errors import NoSuchActor
from api import present
from api.call import Call, json_response
from api.edge import Route
from api.fields import Lat, Lon, Metres, Strict, ZoneId
from api.problems import Problem
from api.rest.paging import Page, list_page
from config import metrics
from dispatch.domain import ids
from dispatch.domain.driver import UNREACHABLE
from dispatch.domain.geo import Place
from dispatch.domain.order import order_from


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


async def me(call: Call) -> web.Response:
    """The driver as its actor sees it; who asks is alive."""
    seen = await call.office.dispatch.driver(call.who.number, call.trace)
    if seen.state == UNREACHABLE:
        call.office.dispatch.alive(call.who.number)
    return json_response(present.driver(seen))


async def my_orders(call: Call) -> web.Response:
    """What the driver carries now: from the rows, for they change before anybody hears of it."""
    rows = await call.office.database.rows("carried_orders", call.who.number)
    orders = [order_from(row, ()) for row in rows]
    return json_response(
        {"items": [present.order(order, "driver", call.who.number) for order in orders], "next": None}
    )


async def availability(call: Call) -> web.Response:
    body = await call.body(Availability)
    caller = call.caller(call.key())
    answer = await call.office.dispatch.set_availability(caller, body.status)
    metrics.COMMANDS.labels("availability", "rest", answer.code).inc()
    return json_response({"result": answer.code, "status": answer.status})


async def take_offline(call: Call) -> web.Response:
    """An operator takes a driver offline: whose phone is dead, or whom nobody reaches."""
    number = call.number(ids.DRIVER)
    await call.body(Offline)
    try:
        answer = await call.office.dispatch.take_offline(call.caller(call.key()), number)
    except NoSuchActor:
        raise Problem("driver_not_found") from None
    metrics.COMMANDS.labels("availability", "rest", answer.code).inc()
    return json_response({"result": answer.code, "status": answer.status})


async def location(call: Call) -> web.Response:
    """Where the driver is: the newest wins, nothing is queued."""
    body = await call.body(Location)
    place = Place(body.lat, body.lon)
    call.office.dispatch.locate(
        call.who.number, place, body.cseq, call.trace, accuracy_m=body.accuracy_m, session=call.who.session
    )
    return web.Response(status=204)


async def get_list(call: Call) -> web.Response:
    return await list_page(call, "driver_list", call.query(DriverPage), present.driver_row)


ROUTES = (
    Route("drivers.list", "GET", "/api/v2/drivers", get_list, query=True),
    Route("drivers.me", "GET", "/api/v2/drivers/me", me),
    Route("drivers.my_orders", "GET", "/api/v2/drivers/me/orders", my_orders),
    Route("drivers.availability", "PUT", "/api/v2/drivers/me/availability", availability),
    Route("drivers.take_offline", "PUT", "/api/v2/drivers/{id}/availability", take_offline),
    Route("drivers.location", "PUT", "/api/v2/drivers/me/location", location, quiet=True),
)
