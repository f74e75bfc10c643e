"""Stores, and the search around a place."""

from __future__ import annotations

import re
from functools import partial
from math import cos, pi, radians
from typing import Annotated, Any

from aiohttp import web
from pydantic import Field, StringConstraints, model_validator

from api import present
from api.call import Call, json_response
from api.edge import Route
from api.fields import Digits, Lat, Lon, Name, Strict, ZoneId
from api.problems import Fault, Problem
from api.rest.paging import Page, page_of
from dispatch.domain import ids
from dispatch.domain.geo import EARTH_RADIUS_M
from storage.errors import MissingReference

RADIUS_M_MAX = 50_000
Preparation = Annotated[int, Field(ge=0, le=86_400)]
_NEAR = re.compile(r"(-?[0-9]{1,2}(?:\.[0-9]{1,12})?),(-?[0-9]{1,3}(?:\.[0-9]{1,12})?)", re.ASCII)


class NewStore(Strict):
    zone_id: ZoneId
    name: Name
    lat: Lat
    lon: Lon
    preparation_s: Preparation = 600


class StoreChange(Strict):
    name: Name | None = None
    lat: Lat | None = None
    lon: Lon | None = None
    preparation_s: Preparation | None = None
    active: bool | None = None


class StorePage(Page):
    zone_id: ZoneId | None = None
    near: Annotated[str, StringConstraints(max_length=40)] | None = None
    radius_m: Annotated[int, Digits, Field(ge=1, le=RADIUS_M_MAX)] | None = None

    @model_validator(mode="after")
    def _both_or_none(self) -> StorePage:
        if (self.near is None) != (self.radius_m is None):
            raise ValueError("near and radius_m belong together")
        if self.near is not None and (self.cursor is not None or self.zone_id is not None):
            raise ValueError("near takes neither cursor nor zone_id")
        return self


async def create(call: Call) -> web.Response:
    b = await call.body(NewStore)
    args = (b.zone_id, b.name, b.lat, b.lon, b.preparation_s)
    try:
        row = await call.office.database.row("store_insert", *args)
    except MissingReference:
        fault = Fault("body", "#/zone_id", "unknown", "there is no such zone")
        raise Problem("invalid", faults=[fault]) from None
    await call.office.catalogue.store_changed(row)
    return json_response(present.store(row), 201, {"Location": f"/api/v2/stores/sto_{row['id']}"})


async def get(call: Call) -> web.Response:
    row = await call.office.catalogue.store(call.number(ids.STORE))
    if row is None:
        raise Problem("not_found")
    return json_response(present.store(row))


async def get_list(call: Call) -> web.Response:
    page = call.query(StorePage)
    if page.near is not None and page.radius_m is not None:
        rows = await _near(call, page.near, page.radius_m, page.limit)
        return json_response({"items": [present.store(row) for row in rows], "next": None})
    load = partial(call.office.database.rows, "store_list", page.after(0), page.limit + 1, page.zone_id)
    rows = await (call.office.catalogue.stores(page.zone_id, load) if page.opening else load())
    return json_response(page_of(rows, page.limit, present.store))


async def _near(call: Call, near: str, radius_m: int, limit: int) -> list[Any]:
    found = _NEAR.fullmatch(near)
    lat, lon = (float(found[1]), float(found[2])) if found else (999.0, 999.0)
    if abs(lat) > 90 or abs(lon) > 180:
        raise Problem("invalid", faults=[Fault("query", "near", "place", "must be lat,lon in degrees")])
    half_lat = radius_m / EARTH_RADIUS_M * 180 / pi
    # Towards the poles a circle of so many metres spans all longitudes.
    narrow = cos(radians(min(90.0, abs(lat) + half_lat)))
    half_lon = 180.0 if narrow < 0.01 else half_lat / narrow
    return await call.office.database.rows("store_near", lat, lon, float(radius_m), half_lat, half_lon, limit)


async def update(call: Call) -> web.Response:
    number, b = call.number(ids.STORE), await call.body(StoreChange)
    args = (b.name, b.lat, b.lon, b.preparation_s, b.active)
    row = await call.office.database.row("store_update", number, *args)
    if row is None:
        raise Problem("not_found")
    await call.office.catalogue.store_changed(row)
    return json_response(present.store(row))


async def delete(call: Call) -> web.Response:
    """Take a store off the mall; its orders keep their history."""
    await call.no_body()
    number = call.number(ids.STORE)
    row = await call.office.database.row("store_update", number, None, None, None, None, False)
    if row is None:
        raise Problem("not_found")
    await call.office.catalogue.store_changed(row)
    return web.Response(status=204)


ROUTES = (
    Route("stores.list", "GET", "/api/v2/stores", get_list, query=True),
    Route("stores.create", "POST", "/api/v2/stores", create),
    Route("stores.get", "GET", "/api/v2/stores/{id}", get),
    Route("stores.update", "PATCH", "/api/v2/stores/{id}", update),
    Route("stores.delete", "DELETE", "/api/v2/stores/{id}", delete),
)
