"""Products: price in minor units, currency, stock."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from aiohttp import web
from pydantic import Field, StringConstraints

from api.auth.permissions import READS, WRITES
from api.contract.fields import ProductName, StoreId, Strict
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
from api.rest.answers import ProductAnswer, ProductsAnswer
from dispatch.domain import ids
from dispatch.errors import UnknownStore

operations = Operations(Operation)

# Limit of the column: ten million in most currencies.
PRICE_MINOR_MAX = 1_000_000_000
Currency = Annotated[str, StringConstraints(pattern=r"^[A-Z]{3}$")]
Stock = Annotated[int, Field(ge=0, le=1_000_000_000)]
LowStock = Annotated[
    int,
    Field(
        ge=0,
        le=1_000_000_000,
        description="A stock that falls to it is told of as `stock.low`, once until it is above again. 0: never; "
        "null: the server's limit.",
    ),
]


class Price(Strict):
    amount_minor: Annotated[int, Field(ge=0, le=PRICE_MINOR_MAX)]
    currency: Currency


class NewProduct(Strict):
    store_id: StoreId
    name: ProductName
    price: Price
    stock: Stock | None = None
    low_stock: LowStock | None = None


class PriceChange(Patch):
    amount_minor: Annotated[int, Field(ge=0, le=PRICE_MINOR_MAX)] = absent()
    currency: Currency = absent()


class ProductChange(Patch):
    """`stock: null` means that it never runs out; a part of the price leaves the other part as it is."""

    name: ProductName = absent()
    price: PriceChange = absent()
    stock: Stock | None = absent()
    low_stock: LowStock | None = absent()
    active: bool = absent()


class ProductPage(Page):
    """Query of a store's products: `q` is the beginning of a name, in any case; results are sorted by name."""

    active: Truth = True
    currency: Currency | None = None
    price_min_minor: Annotated[int, Field(ge=0, le=PRICE_MINOR_MAX)] | None = None
    price_max_minor: Annotated[int, Field(ge=0, le=PRICE_MINOR_MAX)] | None = None
    q: Prefix | None = None
    sort: Literal["id", "name", "-name", "price", "-price"] | None = None

    @property
    def order(self) -> str:
        """By name in a search for a name, else by id."""
        return self.sort or ("name" if self.q is not None else "id")


class AllProductsPage(ProductPage):
    """Query of the products of all stores, or of one."""

    store_id: StoreId | None = None


@operations.declare(
    "products.create",
    "POST",
    "/api/v2/products",
    scope="catalog:write",
    limit=WRITES,
    summary="Create a product",
    body=NewProduct,
    body_example={
        "store_id": "sto_1",
        "name": "Rye bread",
        "price": {"amount_minor": 450, "currency": "EUR"},
        "stock": 25,
    },
    answer=ProductAnswer,
    status=201,
    etag="sent",
)
async def create(context: RequestContext) -> web.Response:
    b = await context.body(NewProduct)
    price = b.price
    try:
        row = await context.services.catalogue.add_product(
            store_id=b.store_id,
            name=b.name,
            price_minor=price.amount_minor,
            currency=price.currency,
            stock=b.stock,
            low_stock=b.low_stock,
        )
    except UnknownStore:
        fault = Fault(
            "body", "#/store_id", "unknown", "there is no such store; GET /api/v2/stores lists them"
        )
        raise Problem("invalid", faults=[fault]) from None
    headers = {"Location": f"/api/v2/products/prd_{row['id']}", "ETag": product_tag(row)}
    return json_response(serializers.product(row), 201, headers)


def product_tag(row: Mapping[str, Any]) -> str:
    """The tag of a product: its version and its stock, which orders change without a new version.

    If-Match also accepts the version alone: the product as its owner left it, regardless of sales since.
    """
    return row_tag(row) if row["stock"] is None else f'"{row["version"]}.{row["stock"]}"'


@operations.declare(
    "products.get",
    "GET",
    "/api/v2/products/{id}",
    scope="catalog:read",
    limit=READS,
    summary="A product",
    answer=ProductAnswer,
    etag="compared",
)
async def get(context: RequestContext) -> web.Response:
    row = await _seen(context, context.number(ids.PRODUCT))
    if row is None:
        raise Problem("not_found")
    return tagged(context, serializers.product(row), product_tag(row), catalogue_policy(context))


async def _seen(context: RequestContext, number: int) -> Mapping[str, Any] | None:
    """The product as the caller may see it.

    An admin gets the present state: the tag contains the stock, and a cached tag would be refused.
    """
    catalogue = context.services.catalogue
    return await (catalogue.product_now if context.who.role == "admin" else catalogue.product)(number)


@operations.declare(
    "products.list",
    "GET",
    "/api/v2/products",
    scope="catalog:read",
    limit=READS,
    summary="Products",
    query=AllProductsPage,
    answer=ProductsAnswer,
    problems=LIST_PROBLEMS,
    etag="compared",
)
async def get_list(context: RequestContext) -> web.Response:
    page, load = context.query(AllProductsPage), context.services.catalogue.products
    return await list_page(context, load, page, serializers.product, catalogue_policy(context))


@operations.declare(
    "stores.products",
    "GET",
    "/api/v2/stores/{id}/products",
    scope="catalog:read",
    limit=READS,
    summary="Products of a store",
    query=ProductPage,
    answer=ProductsAnswer,
    problems=LIST_PROBLEMS,
    etag="compared",
)
async def of_store(context: RequestContext) -> web.Response:
    page, number = context.query(ProductPage), context.number(ids.STORE)
    catalogue, policy = context.services.catalogue, catalogue_policy(context)
    if await catalogue.store(number) is None:
        raise Problem("not_found")
    usual = page.opening and page.active and page.filters().keys() <= {"active"}
    cached = usual and context.who.role != "admin"
    load = catalogue.first_products if cached else catalogue.products
    return await list_page(context, load, page, serializers.product, policy, store_id=number)


@operations.declare(
    "products.update",
    "PATCH",
    "/api/v2/products/{id}",
    scope="catalog:write",
    limit=WRITES,
    summary="Change a product",
    note="`stock: null` means that it never runs out; an absent stock stays.",
    body=ProductChange,
    body_example={"price": {"amount_minor": 500, "currency": "EUR"}, "stock": None},
    answer=ProductAnswer,
    problems=WRITE_PROBLEMS,
    etag="sent",
)
async def update(context: RequestContext) -> web.Response:
    """Change a product in the version that If-Match names."""
    number, tags, b = context.number(ids.PRODUCT), wanted_tags(context), await context.body(ProductChange)
    changes = b.given()
    if changes.pop("price", None) is not None:
        changes |= {"price_minor": b.price.amount_minor, "currency": b.price.currency}
    row = await context.services.catalogue.change_product(number, tags, changes, context.carried)
    if row is None:
        return await _missed(context, number)
    return written(serializers.product(row), product_tag(row))


@operations.declare(
    "products.delete",
    "DELETE",
    "/api/v2/products/{id}",
    scope="catalog:write",
    limit=WRITES,
    summary="Take a product off the shelf",
    note="It is not listed any more and cannot be ordered. Orders keep their lines, and its id still answers, "
    "with `active: false`.",
    status=204,
    problems=WRITE_PROBLEMS,
)
async def delete(context: RequestContext) -> web.Response:
    """Delete a product in the version that If-Match names; orders keep their items."""
    number, tags = context.number(ids.PRODUCT), wanted_tags(context)
    await context.no_body()
    if await context.services.catalogue.change_product(number, tags, {"active": False}) is None:
        return await _missed(context, number)
    return web.Response(status=204)


async def _missed(context: RequestContext, number: int) -> web.Response:
    there = await context.services.catalogue.product_now(number)
    return missed(context, None if there is None else product_tag(there))
