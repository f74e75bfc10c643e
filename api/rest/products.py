"""Products: price in minor units, currency, stock."""

from __future__ import annotations

from typing import Annotated

from aiohttp import web
from pydantic import Field, StringConstraints

from api import present
from api.call import Call, json_response
from api.edge import Route
from api.fields import ProductName, StoreId, Strict
from api.problems import Fault, Problem
from api.rest.paging import Page, page_of
from dispatch.domain import ids
from storage.errors import MissingReference

Stock = Annotated[int, Field(ge=0, le=1_000_000_000)]


class Price(Strict):
    amount_minor: Annotated[int, Field(ge=0, le=1_000_000_000)]
    currency: Annotated[str, StringConstraints(pattern=r"^[A-Z]{3}$")]


class NewProduct(Strict):
    store_id: StoreId
    name: ProductName
    price: Price
    stock: Stock | None = None


class ProductChange(Strict):
    name: ProductName | None = None
    price: Price | None = None
    stock: Stock | None = None
    active: bool | None = None


class ProductPage(Page):
    store_id: StoreId | None = None


async def create(call: Call) -> web.Response:
    b = await call.body(NewProduct)
    args = (b.store_id, b.name, b.price.amount_minor, b.price.currency, b.stock)
    try:
        row = await call.office.database.row("product_insert", *args)
    except MissingReference:
        fault = Fault("body", "#/store_id", "unknown", "there is no such store")
        raise Problem("invalid", faults=[fault]) from None
    return json_response(present.product(row), 201, {"Location": f"/api/v2/products/prd_{row['id']}"})


async def get(call: Call) -> web.Response:
    row = await call.office.database.row("product_get", call.number(ids.PRODUCT))
    if row is None:
        raise Problem("not_found")
    return json_response(present.product(row))


async def get_list(call: Call) -> web.Response:
    page = call.query(ProductPage)
    return await _page(call, page, page.store_id)


async def of_store(call: Call) -> web.Response:
    page, number = call.query(Page), call.number(ids.STORE)
    if await call.office.database.row("store_get", number) is None:
        raise Problem("not_found")
    return await _page(call, page, number)


async def _page(call: Call, page: Page, store: int | None) -> web.Response:
    rows = await call.office.database.rows("product_list", page.after(0), page.limit + 1, store)
    return json_response(page_of(rows, page.limit, present.product))


async def update(call: Call) -> web.Response:
    """Change a product; `stock: null` means that it never runs out, an absent stock keeps it."""
    number, b = call.number(ids.PRODUCT), await call.body(ProductChange)
    price = (None, None) if b.price is None else (b.price.amount_minor, b.price.currency)
    sets_stock = "stock" in b.model_fields_set
    row = await call.office.database.row(
        "product_update", number, b.name, *price, b.stock, sets_stock, b.active
    )
    if row is None:
        raise Problem("not_found")
    return json_response(present.product(row))


async def delete(call: Call) -> web.Response:
    """Take a product off the shelf; orders keep their lines."""
    await call.no_body()
    number = call.number(ids.PRODUCT)
    row = await call.office.database.row("product_update", number, None, None, None, None, False, False)
    if row is None:
        raise Problem("not_found")
    return web.Response(status=204)


ROUTES = (
    Route("products.list", "GET", "/api/v2/products", get_list, query=True),
    Route("products.create", "POST", "/api/v2/products", create),
    Route("products.get", "GET", "/api/v2/products/{id}", get),
    Route("products.update", "PATCH", "/api/v2/products/{id}", update),
    Route("products.delete", "DELETE", "/api/v2/products/{id}", delete),
    Route("stores.products", "GET", "/api/v2/stores/{id}/products", of_store, query=True),
)
