"""Lists by page number, with totals. Version 2 has neither, so these lists have queries of their own.

Version 2 serializes the rows, and decides which rows a caller sees.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Annotated, Any, Literal

from aiohttp import web
from pydantic import Field, model_validator

from actors.values import frozen
from api.contract.fields import Lat, Lon, Strict
from api.contract.problems import Problem
from api.http.request import json_response
from api.rest import serializers
from api.rest.stores import RADIUS_M_MAX
from api.rest.users import Role
from api.v1.handlers import HandlerV1, Routes, path_ids
from api.v1.request import RequestContextV1
from api.v1.transforms.paging import page_of
from api.v1.transforms.statuses import FORWARD
from dispatch.domain import ids
from dispatch.domain.order import order_from
from dispatch.records import NumberedKind

# Limit of the page number, because the database reads all pages before it. Beyond it: a filter, or version 2.
PAGE_NUMBER_MAX = 1000
PAGE_SIZE_MAX = 100
Number = Annotated[int, Field(ge=1, le=ids.NUMBER_MAX)]
STATUSES_V1 = tuple(FORWARD)


class NumberedQuery(Strict):
    """Page `page` of pages of `page_size`."""

    page: Annotated[int, Field(ge=1, le=PAGE_NUMBER_MAX)] = 1
    page_size: Annotated[int, Field(ge=1, le=PAGE_SIZE_MAX)] = 50


class UsersQuery(NumberedQuery):
    role: Role | None = None


class StoresQuery(NumberedQuery):
    zone_id: Number | None = None
    lat: Lat | None = None
    lng: Lon | None = None
    radius_m: Annotated[int, Field(ge=1, le=RADIUS_M_MAX)] | None = None

    @model_validator(mode="after")
    def _all_or_none(self) -> StoresQuery:
        given = [part is not None for part in (self.lat, self.lng, self.radius_m)]
        if any(given) and not all(given):
            raise ValueError("lat, lng and radius_m belong together")
        if any(given) and (self.zone_id is not None or self.page != 1):
            raise ValueError("a search around a place has one page, and takes no zone_id")
        return self


class ProductsQuery(NumberedQuery):
    store_id: Number | None = None


class OrdersQuery(NumberedQuery):
    status: Literal[STATUSES_V1] | None = None  # type: ignore[valid-type]
    zone_id: Number | None = None


class DriversQuery(NumberedQuery):
    zone_id: Number | None = None
    status: Literal["online", "offline"] | None = None


@frozen
class Listing:
    """Definition of a list.

    Attributes:
        query: model of its query parameters.
        kind: the listed resource.
        filters: makes the list's filters from the request and its query.
        show: serializes a row in the form of version 2.
    """

    query: type[NumberedQuery]
    kind: NumberedKind
    filters: Callable[[RequestContextV1, Any], tuple[Any, ...]]
    show: Callable[[RequestContextV1, Any], Mapping[str, Any]]


def _orders_of(context: RequestContextV1, q: OrdersQuery) -> tuple[Any, ...]:
    role, number = context.who.role, context.who.number
    customer = number if role == "customer" else None
    driver = number if role == "driver" else None
    return customer, driver, None if q.status is None else FORWARD[q.status], q.zone_id


LISTINGS: Mapping[str, Listing] = {
    "users.list": Listing(UsersQuery, "user", lambda _, q: (q.role,), lambda _, row: serializers.user(row)),
    "zones.list": Listing(NumberedQuery, "zone", lambda *_: (), lambda _, row: serializers.zone(row)),
    "stores.list": Listing(
        StoresQuery, "store", lambda _, q: (q.zone_id,), lambda _, row: serializers.store(row)
    ),
    "products.list": Listing(
        ProductsQuery, "product", lambda _, q: (q.store_id,), lambda _, row: serializers.product(row)
    ),
    "orders.list": Listing(
        OrdersQuery,
        "order",
        _orders_of,
        lambda context, row: serializers.order(order_from(row, ()), context.who.role, context.who.number),
    ),
    "drivers.list": Listing(
        DriversQuery,
        "driver",
        lambda _, q: (q.zone_id, q.status),
        lambda _, row: serializers.driver_row(row),
    ),
}
# The list of a store's products filters by its id.
OF_STORE = Listing(
    NumberedQuery, "product", lambda context, _: (_store(context),), lambda _, row: serializers.product(row)
)


def _store(context: RequestContextV1) -> int:
    number = ids.parse_id(ids.STORE, path_ids(context, "/api/v1/stores")["id"])
    if number is None:
        raise Problem("not_found")
    return number


def listed(operation: str, path: str, routes: Routes) -> HandlerV1:
    """Handler of a list of version 1."""
    del path
    listing = OF_STORE if operation == "stores.products" else LISTINGS[operation]

    async def run(context: RequestContextV1) -> web.StreamResponse:
        query = context.query(listing.query)
        if isinstance(query, StoresQuery) and query.radius_m is not None:
            return await _around(context, query, routes)
        filters = listing.filters(context, query)
        if listing is OF_STORE and await context.services.catalogue.store_now(*filters) is None:
            raise Problem("not_found")
        found = await context.services.records.numbered(listing.kind, query.page, query.page_size, filters)
        items = [listing.show(context, row) for row in found.rows]
        return json_response(page_of(items, query.page, query.page_size, found.total))

    return run


async def _around(context: RequestContextV1, query: StoresQuery, routes: Routes) -> web.StreamResponse:
    """The search for stores around a place, with version 2's handler."""
    draft = context.draft("stores.list")
    draft.query = {
        "near": f"{query.lat!r},{query.lng!r}",
        "radius_m": str(query.radius_m),
        "limit": str(query.page_size),
    }
    context.forward(draft, {})
    return await routes["stores.list"].handler(context)
