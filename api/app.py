"""The two applications: the public one, and the one for operators."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from aiohttp import web

from api import front, negotiation, ops
from api.access import ACCESS
from api.bodies import BODY_BYTES_MAX
from api.call import INTERNAL, OFFICE, Office
from api.cors import allow_origins
from api.docs import asyncapi, catalogue, openapi, page
from api.edge import UNKNOWN_PATH, Route, bind, expect, outside, unknown
from api.feed import handshake
from api.rest import (
    accounts,
    drivers,
    health,
    orders,
    payments,
    products,
    resets,
    stores,
    tracking,
    users,
    zones,
)
from api.transport.prompt import PROMPTS, Handler, Prompts
from api.v1 import serving
from api.versions import Lifecycle

ROUTES: tuple[Route, ...] = (
    *accounts.ROUTES,
    *users.ROUTES,
    *resets.ROUTES,
    *zones.ROUTES,
    *stores.ROUTES,
    *products.ROUTES,
    *orders.ROUTES,
    *payments.ROUTES,
    *tracking.ROUTES,
    *handshake.ROUTES,
    *drivers.ROUTES,
    *health.ROUTES,
    *openapi.ROUTES,
    *page.ROUTES,
    *negotiation.ROUTES,
    *asyncapi.ROUTES,
    *catalogue.ROUTES,
    *front.ROUTES,
)


def check_routes(routes: Iterable[Route]) -> None:
    """Every route has a row in ACCESS, every row a route, and none stands twice.

    Raises:
        ValueError: names what does not fit; such a server must not start.
    """
    operations = [route.operation for route in routes]
    unguarded = sorted(set(operations) - set(ACCESS))
    unused = sorted(set(ACCESS) - set(operations))
    twice = sorted({name for name in operations if operations.count(name) > 1})
    if unguarded or unused or twice:
        raise ValueError(
            f"routes without access: {unguarded}; access without route: {unused}; twice: {twice}"
        )


def with_head(route: Route) -> tuple[Route, ...]:
    """The route, and for a GET that ends by itself also its HEAD (RFC 9110: where one works, so does the other)."""
    if route.method != "GET" or route.streams:
        return (route,)
    return route, replace(route, method="HEAD")


def prompts_of(app: web.Application, bound: Iterable[tuple[Route, Handler]]) -> Prompts:
    """The routes that need no task: all that they wait for has a deadline, and none of it is Redis."""
    prompts = Prompts(app)
    for route, handler in bound:
        policy = ACCESS[route.operation].policy
        if route.prompt and policy is not None and not policy.shared:
            prompts.add(route.method, route.path, handler)
    return prompts


def make_app(office: Office, routes: tuple[Route, ...] = ROUTES) -> web.Application:
    """The public application: REST, the feed, and probes."""
    check_routes(routes)
    # Only preflights have handlers that are not ours.
    foreign = [outside] if office.settings.cors_origins else []
    app = web.Application(middlewares=foreign, client_max_size=BODY_BYTES_MAX)
    app[OFFICE] = office
    bound = [(route, bind(route)) for known in routes for route in with_head(known)]
    addresses: list[negotiation.Address] = [(route.method, route.path, handler) for route, handler in bound]
    added = [app.router.add_route(*address, expect_handler=expect) for address in addresses]
    if not foreign:  # aiohttp-cors wants to see every answer
        app[PROMPTS] = prompts_of(app, bound)
    added += _add_versions(app, routes, addresses)
    app.router.add_route("*", UNKNOWN_PATH, unknown, expect_handler=expect)
    allow_origins(app, added, office.settings.cors_origins)
    return app


def _add_versions(
    app: web.Application, routes: tuple[Route, ...], addresses: list[negotiation.Address]
) -> list[web.AbstractRoute]:
    """Version 1, and the paths that leave the version to a header."""
    lifecycle = Lifecycle.of(app[OFFICE].settings)
    old = serving.Served(routes, lifecycle)
    unversioned = negotiation.Unversioned(lifecycle, old)
    old_addresses = old.bound()
    short_addresses = unversioned.bound([*addresses, *old_addresses])
    added = [app.router.add_route(*address, expect_handler=old.expect) for address in old_addresses]
    added += [app.router.add_route(*address, expect_handler=expect) for address in short_addresses]
    app.router.add_route("*", serving.UNKNOWN_PATH, old.unknown, expect_handler=old.expect)
    app.router.add_route("*", negotiation.UNKNOWN_PATH, unversioned.unknown, expect_handler=expect)
    return added


def make_ops_app(office: Office) -> web.Application:
    """The operators' application: metrics, status, probes. Never on a public port."""
    app = web.Application(
        middlewares=[ops.only_hosts(office.settings.ops_names, office.entropy.trace), outside]
    )
    app[OFFICE] = office
    app[INTERNAL] = True
    for known in (*health.ROUTES, replace(health.READINESS, path="/health")):
        for route in with_head(known):
            app.router.add_route(route.method, route.path, bind(route), expect_handler=expect)
    app.router.add_get("/", front.ops_front, expect_handler=expect)
    app.router.add_get("/metrics", ops.metrics_page, expect_handler=expect)
    app.router.add_get("/status", ops.status_page, expect_handler=expect)
    return app
