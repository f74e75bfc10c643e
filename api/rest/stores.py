"""Stores, and the search around a place."""

from __future__ import annotations

from typing import Annotated, Literal

from aiohttp import web
from pydantic import Field, model_validator

from api.contract.fields import Lat, LatLon, Lon, Name, Strict, ZoneId
from api.contract.merge_patch import Patch, absent
from api.contract.problems import Fault, Problem
from api.http.conditional import catalogue_policy, missed, row_tag, tagged, wanted_tags, written
from api.http.pagination import Page, Prefix, Truth, list_page
from api.http.pipeline import Route
from api.http.request import RequestContext, json_response
from api.rest import serializers
from dispatch.domain import ids
from dispatch.errors import UnknownZone

RADIUS_M_MAX = 50_000
Preparation = Annotated[int, Field(ge=0, le=86_400)]
# How far orders go, in a straight line; beyond a thousand kilometres nobody delivers.
DeliveryRadius = Annotated[int, Field(ge=1, le=1_000_000)]


class NewStore(Strict):
    zone_id: ZoneId
    name: Name
    lat: Lat
    lon: Lon
    preparation_s: Preparation = 600
    delivery_radius_m: DeliveryRadius | None = None


class StoreChange(Patch):
    name: Name = absent()
    lat: Lat = absent()
    lon: Lon = absent()
    preparation_s: Preparation = absent()
    active: bool = absent()
    delivery_radius_m: DeliveryRadius | None = absent()


class StorePage(Page):
    """`q` is the beginning of a name, in capitals or not; what it finds comes by name."""

    zone_id: ZoneId | None = None
    active: Truth = True
    q: Prefix | None = None
    sort: Literal["id", "name", "-name"] | None = None
    near: LatLon | None = None
    radius_m: Annotated[int, Field(ge=1, le=RADIUS_M_MAX)] | None = None

    @model_validator(mode="after")
    def _both_or_none(self) -> StorePage:
        if (self.near is None) != (self.radius_m is None):
            raise ValueError("near and radius_m belong together")
        # What is sent as it would be anyway says nothing: many clients send all that has a default.
        more = self.model_dump(exclude={"near", "radius_m", "limit"}, exclude_defaults=True)
        if self.near is not None and more:
            raise ValueError(f"near goes without {', '.join(more)}: leave it out")
        return self

    @property
    def order(self) -> str:
        """By name where a name is looked for, else by id."""
        return self.sort or ("name" if self.q is not None else "id")


async def create(context: RequestContext) -> web.Response:
    """Open a store; `delivery_radius_m: null` means that it delivers anywhere, an absent one the usual."""
    b = await context.body(NewStore)
    named = "delivery_radius_m" in b.model_fields_set
    radius_m = b.delivery_radius_m if named else context.services.settings.delivery_radius_m or None
    try:
        row = await context.services.catalogue.add_store(**b.model_dump() | {"delivery_radius_m": radius_m})
    except UnknownZone:
        fault = Fault("body", "#/zone_id", "unknown", "there is no such zone; GET /api/v2/zones lists them")
        raise Problem("invalid", faults=[fault]) from None
    headers = {"Location": f"/api/v2/stores/sto_{row['id']}", "ETag": row_tag(row)}
    return json_response(serializers.store(row), 201, headers)


async def get(context: RequestContext) -> web.Response:
    row = await context.services.catalogue.store(context.number(ids.STORE))
    if row is None:
        raise Problem("not_found")
    return tagged(context, serializers.store(row), row_tag(row), catalogue_policy(context))


async def get_list(context: RequestContext) -> web.Response:
    page, catalogue = context.query(StorePage), context.services.catalogue
    if page.near is not None and page.radius_m is not None:
        rows = await catalogue.stores_near(*page.near, float(page.radius_m), page.limit)
        return json_response({"items": [serializers.store(row) for row in rows], "next": None})
    cached = page.opening and page.filters().keys() <= {"zone_id"}
    load = catalogue.first_stores if cached else catalogue.stores
    return await list_page(context, load, page, serializers.store, catalogue_policy(context))


async def update(context: RequestContext) -> web.Response:
    """Change a store, of the version that If-Match names."""
    number, tags, b = context.number(ids.STORE), wanted_tags(context), await context.body(StoreChange)
    row = await context.services.catalogue.change_store(number, tags, b.given())
    if row is None:
        return await _missed(context, number)
    return written(serializers.store(row), row_tag(row))


async def delete(context: RequestContext) -> web.Response:
    """Take a store off the mall, of the version that If-Match names; its orders keep their history."""
    number, tags = context.number(ids.STORE), wanted_tags(context)
    await context.no_body()
    if await context.services.catalogue.change_store(number, tags, {"active": False}) is None:
        return await _missed(context, number)
    return web.Response(status=204)


async def _missed(context: RequestContext, number: int) -> web.Response:
    there = await context.services.catalogue.store_now(number)
    return missed(context, None if there is None else row_tag(there))


ROUTES = (
    Route("stores.list", "GET", "/api/v2/stores", get_list, query=True),
    Route("stores.create", "POST", "/api/v2/stores", create),
    Route("stores.get", "GET", "/api/v2/stores/{id}", get),
    Route("stores.update", "PATCH", "/api/v2/stores/{id}", update),
    Route("stores.delete", "DELETE", "/api/v2/stores/{id}", delete),
)
