"""Zones: malls or city areas, and how orders are offered in them."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from aiohttp import web
from pydantic import Field

from api import present
from api.call import Call, json_response
from api.edge import Route
from api.fields import Lat, Lon, Name, Strict
from api.problems import Problem
from api.rest.paging import Page, page_of
from dispatch.domain import ids

Mode = Literal["waves", "open"]
WaveSize = Annotated[int, Field(ge=1, le=50)]
OfferTtl = Annotated[int, Field(ge=1, le=600)]


class Corner(Strict):
    lat: Lat
    lon: Lon


Area = Annotated[list[Corner], Field(min_length=3, max_length=100)]


class NewZone(Strict):
    name: Name
    mode: Mode = "waves"
    wave_size: WaveSize = 3
    offer_ttl_s: OfferTtl = 20
    area: Area | None = None


class ZoneChange(Strict):
    name: Name | None = None
    mode: Mode | None = None
    wave_size: WaveSize | None = None
    offer_ttl_s: OfferTtl | None = None
    area: Area | None = None


def _area(area: list[Corner] | None) -> Any:
    return None if area is None else [corner.model_dump() for corner in area]


async def create(call: Call) -> web.Response:
    b = await call.body(NewZone)
    args = (b.name, b.mode, b.wave_size, b.offer_ttl_s, _area(b.area))
    row = await call.office.database.row("zone_insert", *args)
    call.office.dispatch.wake_zone(row["id"])
    return json_response(present.zone(row), 201, {"Location": f"/api/v2/zones/zon_{row['id']}"})


async def get(call: Call) -> web.Response:
    row = await call.office.database.row("zone_get", call.number(ids.ZONE))
    if row is None:
        raise Problem("not_found")
    return json_response(present.zone(row))


async def get_list(call: Call) -> web.Response:
    page = call.query(Page)
    rows = await call.office.database.rows("zone_list", page.after(0), page.limit + 1)
    return json_response(page_of(rows, page.limit, present.zone))


async def update(call: Call) -> web.Response:
    """Change a zone; open orders follow within a second."""
    number, b = call.number(ids.ZONE), await call.body(ZoneChange)
    args = (b.name, b.mode, b.wave_size, b.offer_ttl_s, _area(b.area))
    row = await call.office.database.row("zone_update", number, *args)
    if row is None:
        raise Problem("not_found")
    call.office.dispatch.reconfigure_zone(number, call.trace)
    return json_response(present.zone(row))


ROUTES = (
    Route("zones.list", "GET", "/api/v2/zones", get_list, query=True),
    Route("zones.create", "POST", "/api/v2/zones", create),
    Route("zones.get", "GET", "/api/v2/zones/{id}", get),
    Route("zones.update", "PATCH", "/api/v2/zones/{id}", update),
)
