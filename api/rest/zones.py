"""Zones: malls or city areas, and how orders are offered in them."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from aiohttp import web
from pydantic import Field

from api.contract.fields import Lat, Lon, Name, Strict
from api.contract.merge_patch import Patch, absent
from api.contract.problems import Problem
from api.http.conditional import catalogue_policy, missed, row_tag, tagged, wanted_tags, written
from api.http.pagination import Page, list_page
from api.http.pipeline import Route
from api.http.request import RequestContext, json_response
from api.rest import serializers
from dispatch.domain import ids

Mode = Literal["waves", "open"]
WaveSize = Annotated[int, Field(ge=1, le=50)]
OfferTtl = Annotated[int, Field(ge=1, le=600)]
OfferDistance = Annotated[int, Field(ge=1, le=1_000_000)]
ReleasePause = Annotated[int, Field(ge=0, le=86_400)]
GiveUpAfter = Annotated[int, Field(ge=1, le=7 * 86_400)]
# For a delivery, in the currency of its order.
DriverPay = Annotated[int, Field(ge=0, le=1_000_000_000)]


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
    offer_distance_max_m: OfferDistance = 50_000
    release_pause_s: ReleasePause = 600
    give_up_after_s: GiveUpAfter | None = 3600
    driver_pay_minor: DriverPay | None = None


class ZoneChange(Patch):
    name: Name = absent()
    mode: Mode = absent()
    wave_size: WaveSize = absent()
    offer_ttl_s: OfferTtl = absent()
    area: Area | None = absent()
    offer_distance_max_m: OfferDistance = absent()
    release_pause_s: ReleasePause = absent()
    give_up_after_s: GiveUpAfter | None = absent()
    driver_pay_minor: DriverPay | None = absent()


def _area(area: list[Corner] | None) -> Any:
    return None if area is None else [corner.model_dump() for corner in area]


async def create(context: RequestContext) -> web.Response:
    b = await context.body(NewZone)
    args = (
        b.name, b.mode, b.wave_size, b.offer_ttl_s, _area(b.area), b.offer_distance_max_m, b.release_pause_s,
        b.give_up_after_s, b.driver_pay_minor,
    )  # fmt: skip
    row = await context.services.database.row("zone_insert", *args)
    context.services.dispatch.wake_zone(row["id"])
    headers = {"Location": f"/api/v2/zones/zon_{row['id']}", "ETag": row_tag(row)}
    return json_response(serializers.zone(row), 201, headers)


async def get(context: RequestContext) -> web.Response:
    row = await context.services.database.row("zone_get", context.number(ids.ZONE))
    if row is None:
        raise Problem("not_found")
    return tagged(context, serializers.zone(row), row_tag(row), catalogue_policy(context))


async def get_list(context: RequestContext) -> web.Response:
    return await list_page(
        context, "zone_list", context.query(Page), serializers.zone, catalogue_policy(context)
    )


async def update(context: RequestContext) -> web.Response:
    """Change a zone, of the version that If-Match names; open orders follow within a second."""
    number, tags, b = context.number(ids.ZONE), wanted_tags(context), await context.body(ZoneChange)
    database = context.services.database
    args = (
        b.name, b.mode, b.wave_size, b.offer_ttl_s, _area(b.area), b.sets("area"), b.changes,
        b.offer_distance_max_m, b.release_pause_s, b.give_up_after_s, b.sets("give_up_after_s"),
        b.driver_pay_minor, b.sets("driver_pay_minor"),
    )  # fmt: skip
    row = await database.row("zone_update", number, tags, *args)
    if row is None:
        there = await database.row("zone_get", number)
        return missed(context, there and row_tag(there))
    if b.changes:
        context.services.dispatch.reconfigure_zone(number, context.trace)
    return written(serializers.zone(row), row_tag(row))


ROUTES = (
    Route("zones.list", "GET", "/api/v2/zones", get_list, query=True),
    Route("zones.create", "POST", "/api/v2/zones", create),
    Route("zones.get", "GET", "/api/v2/zones/{id}", get),
    Route("zones.update", "PATCH", "/api/v2/zones/{id}", update),
)
