"""Share links of orders: made and revoked by their customers, followed by whoever has one, without an account."""

from __future__ import annotations

from hashlib import blake2b
from typing import Annotated

import orjson
from aiohttp import web
from pydantic import WithJsonSchema
from typing_extensions import TypedDict

from actors.errors import NoSuchActor
from api import json_schema as s
from api.auth.permissions import SHARES, WRITES
from api.contract.problems import Problem
from api.http.conditional import tagged
from api.http.operation import Operation, Operations
from api.http.request import RequestContext, json_response
from api.rest.orders import visible_order
from api.rest.shared_order import SharedOrderAnswer, shared_order
from dispatch.domain.order import PICKED_UP, TERMINAL, Order
from dispatch.domain.order_sharing import is_on_last_way
from dispatch.messages import DriverSeen
from dispatch.order_shares import SECRET_CHARS

operations = Operations(Operation)

# Scheme of the Authorization header that carries a link's secret.
SCHEME = "Share"
PAGE = "/t/"


class ShareAnswer(TypedDict):
    """`url` works until a while after the order's end; `secret` is its part behind `#`, told only now."""

    url: Annotated[str, WithJsonSchema(s.text(400, f"#[A-Za-z0-9_-]{{{SECRET_CHARS}}}$"))]
    secret: Annotated[str, WithJsonSchema(s.text(SECRET_CHARS, f"^[A-Za-z0-9_-]{{{SECRET_CHARS}}}$"))]


@operations.declare(
    "orders.share",
    "POST",
    "/api/v2/orders/{id}/share",
    scope="orders:share:own",
    limit=WRITES,
    summary="A link with which anybody follows the order",
    note="For those who are at the door: it shows less than the order, and works without an account until two hours"
    " after the order's end. The secret stands behind `#`, so it is in no log; only its hash is kept. An order has"
    " five links at most.",
    answer=ShareAnswer,
    status=201,
    problems=("order_not_found", "order_closed", "too_many_shares"),
)
async def share(context: RequestContext) -> web.Response:
    """Make a share link of an order."""
    order = await visible_order(context)
    await context.no_body()
    if order.status in TERMINAL:
        raise Problem("order_closed", order_status=order.status, order_version=order.version)
    secret = await context.services.order_shares.add(order.id)
    if secret is None:
        raise Problem("too_many_shares")
    shown: ShareAnswer = {"url": f"{_site(context)}{PAGE}#{secret}", "secret": secret}
    return json_response(shown, 201)


def _site(context: RequestContext) -> str:
    """The customers' site, else the server as the caller has asked it."""
    site = context.services.settings.public_url
    return str(context.request.url.origin()) if site is None else site.rstrip("/")


@operations.declare(
    "orders.unshare",
    "DELETE",
    "/api/v2/orders/{id}/share",
    scope="orders:share:own",
    limit=WRITES,
    summary="Revoke all share links of an order",
    status=204,
    problems=("order_not_found",),
)
async def unshare(context: RequestContext) -> web.Response:
    order = await visible_order(context)
    await context.no_body()
    await context.services.order_shares.revoke(order.id)
    return web.Response(status=204)


@operations.declare(
    "orders.shared",
    "GET",
    "/api/v2/shared-order",
    scope=None,
    shared=True,
    limit=SHARES,
    quiet=True,
    summary="The order of a share link",
    note="`Authorization: Share SECRET`; a secret never stands in an address. `door` and the driver's place are rounded"
    " to some fifty metres, and the driver is there only between pick-up and delivery, while this door is its next"
    " stop. There is no PIN in it. Ask again after `poll_after_s`, with `If-None-Match`.",
    answer=SharedOrderAnswer,
    problems=("unauthenticated", "not_found"),
    etag="compared",
)
async def shared(context: RequestContext) -> web.Response:
    """The order of the link whose secret is in the Authorization header.

    Raises:
        Problem: unauthenticated; not_found for every secret that leads nowhere, for whatever reason.
    """
    found = await context.services.order_shares.find(_secret(context))
    if found is None:
        raise Problem("not_found")
    try:
        order = await context.services.dispatch.order(found.order_id, context.carried)
    except NoSuchActor:
        raise Problem("not_found") from None
    driver = await _driver_on_last_way(context, order)
    body = orjson.dumps(shared_order(order, found, driver))
    return tagged(context, body, f'"{blake2b(body, digest_size=12).hexdigest()}"')


def _secret(context: RequestContext) -> str:
    headers = context.request.headers.getall("Authorization", [])
    scheme, _, secret = headers[0].partition(" ") if len(headers) == 1 else ("", "", "")
    if scheme.lower() != SCHEME.lower() or not secret:
        raise Problem("unauthenticated", headers={"WWW-Authenticate": f'{SCHEME} realm="mall"'})
    return secret.strip()


async def _driver_on_last_way(context: RequestContext, order: Order) -> DriverSeen | None:
    """The driver, if it may be shown."""
    services, number = context.services, order.driver_id
    if order.status != PICKED_UP or number is None:
        return None
    seen = await services.dispatch.driver(number, context.carried)
    if order.id not in seen.carrying:
        return None
    alone = len(seen.carrying) == 1
    carried = [order] if alone else await services.records.carried_orders(number)
    return seen if is_on_last_way(order, carried) else None
