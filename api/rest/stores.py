"""Stores, and the search around a place."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from aiohttp import web
from pydantic import Field, model_validator

from api.auth.permissions import READS, WRITES
from api.contract.fields import Lat, LatLon, Lon, Name, Strict, ZoneId
from api.contract.merge_patch import Patch, absent
from api.contract.problems import Fault, Problem
from api.http.conditional import (
    WRITE_PROBLEMS,
    catalogue_policy,
    missed,
    row_tag,
    tagged,
    wanted_tags,
    written,
)
from api.http.operation import Operation, Operations
from api.http.pagination import LIST_PROBLEMS, Page, Prefix, Truth, list_page
from api.http.request import RequestContext, json_response
from api.rest import serializers
from api.rest.answers import StoreAnswer, StoresAnswer
from dispatch.domain import ids
from dispatch.errors import UnknownZone

operations = Operations(Operation)

RADIUS_M_MAX = 50_000
Preparation = Annotated[int, Field(ge=0, le=86_400)]
PreparationLearned = Annotated[
    bool,
    Field(
        description="New orders are ready when those of late were, at this store and hour, and `preparation_s` holds "
        "until there are enough of them. A given `preparation_s` makes it false unless it is given too: the store's "
        "word holds."
    ),
]
# Radius of delivery, in a straight line; nobody delivers beyond a thousand kilometres.
DeliveryRadius = Annotated[int, Field(ge=1, le=1_000_000)]


class NewStore(Strict):
    zone_id: ZoneId
    name: Name
    lat: Lat
    lon: Lon
    preparation_s: Preparation = 600
    preparation_learned: PreparationLearned | None = None
    delivery_radius_m: DeliveryRadius | None = None

    def is_learned(self) -> bool:
        """Whether the time of preparation is learned: unless it is said."""
        if self.preparation_learned is not None:
            return self.preparation_learned
        return "preparation_s" not in self.model_fields_set


class StoreChange(Patch):
    name: Name = absent()
    lat: Lat = absent()
    lon: Lon = absent()
    preparation_s: Preparation = absent()
    preparation_learned: PreparationLearned = absent()
    active: bool = absent()
    delivery_radius_m: DeliveryRadius | None = absent()

    def given(self) -> dict[str, Any]:
        """The fields that were given; a time of preparation that is said is not learned any more."""
        given = super().given()
        return {"preparation_learned": False, **given} if "preparation_s" in given else given


class StorePage(Page):
    """Query of stores: `q` is the beginning of a name, in any case; results are sorted by name."""

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
        # A parameter that is sent with its default counts as absent: many clients send all defaults.
        more = self.model_dump(exclude={"near", "radius_m", "limit"}, exclude_defaults=True)
        if self.near is not None and more:
            raise ValueError(f"near goes without {', '.join(more)}: leave it out")
        return self

    @property
    def order(self) -> str:
        """By name in a search for a name, else by id."""
        return self.sort or ("name" if self.q is not None else "id")


@operations.declare(
    "stores.create",
    "POST",
    "/api/v2/stores",
    scope="catalog:write",
    limit=WRITES,
    summary="Create a store",
    body=NewStore,
    body_example={"zone_id": "zon_1", "name": "Bakery", "lat": 52.52, "lon": 13.405, "preparation_s": 300},
    answer=StoreAnswer,
    status=201,
    etag="sent",
)
async def create(context: RequestContext) -> web.Response:
    """Create a store; `delivery_radius_m: null` means that it delivers anywhere, an absent one the default."""
    b = await context.body(NewStore)
    named = "delivery_radius_m" in b.model_fields_set
    radius_m = b.delivery_radius_m if named else context.services.settings.delivery_radius_m or None
    try:
        row = await context.services.catalogue.add_store(
            **b.model_dump() | {"delivery_radius_m": radius_m, "preparation_learned": b.is_learned()},
            trace=context.carried,
        )
    except UnknownZone:
        fault = Fault("body", "#/zone_id", "unknown", "there is no such zone; GET /api/v2/zones lists them")
        raise Problem("invalid", faults=[fault]) from None
    headers = {"Location": f"/api/v2/stores/sto_{row['id']}", "ETag": row_tag(row)}
    return json_response(serializers.store(row), 201, headers)


@operations.declare(
    "stores.get",
    "GET",
    "/api/v2/stores/{id}",
    scope="catalog:read",
    limit=READS,
    summary="A store",
    answer=StoreAnswer,
    etag="compared",
)
async def get(context: RequestContext) -> web.Response:
    row = await context.services.catalogue.store(context.number(ids.STORE))
    if row is None:
        raise Problem("not_found")
    return tagged(context, serializers.store(row), row_tag(row), catalogue_policy(context))


@operations.declare(
    "stores.list",
    "GET",
    "/api/v2/stores",
    scope="catalog:read",
    limit=READS,
    summary="Stores, or those around a place",
    note="`near` and `radius_m` belong together, and go without `cursor` and `zone_id`; the nearest comes "
    "first, with its `distance_m`.",
    query=StorePage,
    answer=StoresAnswer,
    problems=LIST_PROBLEMS,
)
async def get_list(context: RequestContext) -> web.Response:
    page, catalogue = context.query(StorePage), context.services.catalogue
    if page.near is not None and page.radius_m is not None:
        rows = await catalogue.stores_near(*page.near, float(page.radius_m), page.limit)
        return json_response({"items": [serializers.store(row) for row in rows], "next": None})
    cached = page.opening and page.active and page.filters().keys() <= {"active", "zone_id"}
    load = catalogue.first_stores if cached else catalogue.stores
    return await list_page(context, load, page, serializers.store, catalogue_policy(context))


@operations.declare(
    "stores.update",
    "PATCH",
    "/api/v2/stores/{id}",
    scope="catalog:write",
    limit=WRITES,
    summary="Change a store",
    body=StoreChange,
    body_example={"preparation_s": 900},
    answer=StoreAnswer,
    problems=WRITE_PROBLEMS,
    etag="sent",
)
async def update(context: RequestContext) -> web.Response:
    """Change a store in the version that If-Match names."""
    number, tags, b = context.number(ids.STORE), wanted_tags(context), await context.body(StoreChange)
    row = await context.services.catalogue.change_store(number, tags, b.given(), context.carried)
    if row is None:
        return await _missed(context, number)
    return written(serializers.store(row), row_tag(row))


@operations.declare(
    "stores.delete",
    "DELETE",
    "/api/v2/stores/{id}",
    scope="catalog:write",
    limit=WRITES,
    summary="Take a store off the mall",
    note="It is not listed any more and sells nothing. Its orders keep their history, and its id still "
    "answers, with `active: false`.",
    status=204,
    problems=WRITE_PROBLEMS,
)
async def delete(context: RequestContext) -> web.Response:
    """Delete a store in the version that If-Match names; its orders keep their history."""
    number, tags = context.number(ids.STORE), wanted_tags(context)
    await context.no_body()
    if (
        await context.services.catalogue.change_store(number, tags, {"active": False}, context.carried)
        is None
    ):
        return await _missed(context, number)
    return web.Response(status=204)


async def _missed(context: RequestContext, number: int) -> web.Response:
    there = await context.services.catalogue.store_now(number)
    return missed(context, None if there is None else row_tag(there))
