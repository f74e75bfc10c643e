"""The two applications: the public one, and the one for operators."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from aiohttp import web

from api import ops, version_routing
from api.auth.permissions import ACCESS
from api.contract.json_body import BODY_BYTES_MAX
from api.contract.versions import Lifecycle
from api.docs import asyncapi, browser_page, openapi, problem_pages
from api.feed import handshake
from api.http import front_pages
from api.http.cors import allow_origins
from api.http.pipeline import UNKNOWN_PATH, Route, bind, expect, outside, unknown
from api.http.request import INTERNAL, SERVICES, Services
from api.ops import health
from api.rest import (
    accounts,
    drivers,
    orders,
    password_resets,
    payments,
    products,
    stores,
    tracking,
    users,
    zones,
)
from api.transport.fast_path import PROMPTS, FastPath, Handler
from api.v1 import mount

ROUTES: tuple[Route, ...] = (
    *accounts.ROUTES,
    *users.ROUTES,
    *password_resets.ROUTES,
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
    *browser_page.ROUTES,
    *version_routing.ROUTES,
    *asyncapi.ROUTES,
    *problem_pages.ROUTES,
    *front_pages.ROUTES,
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


def prompts_of(app: web.Application, bound: Iterable[tuple[Route, Handler]]) -> FastPath:
    """The routes that need no task: all that they wait for has a deadline, and none of it is Redis."""
    fast_path = FastPath(app)
    for route, handler in bound:
        policy = ACCESS[route.operation].policy
        if route.prompt and policy is not None and not policy.shared:
            fast_path.add(route.method, route.path, handler)
    return fast_path


def make_app(services: Services, routes: tuple[Route, ...] = ROUTES) -> web.Application:
    """The public application: REST, the feed, and probes."""
    check_routes(routes)
    # Only preflights have handlers that are not ours.
    foreign = [outside] if services.settings.cors_origins else []
    app = web.Application(middlewares=foreign, client_max_size=BODY_BYTES_MAX)
    app[SERVICES] = services
    bound = [(route, bind(route)) for known in routes for route in with_head(known)]
    addresses: list[version_routing.Address] = [
        (route.method, route.path, handler) for route, handler in bound
    ]
    added = [app.router.add_route(*address, expect_handler=expect) for address in addresses]
    if not foreign:  # aiohttp-cors wants to see every answer
        app[PROMPTS] = prompts_of(app, bound)
    added += _add_versions(app, routes, addresses)
    app.router.add_route("*", UNKNOWN_PATH, unknown, expect_handler=expect)
    allow_origins(app, added, services.settings.cors_origins)
    return app


def _add_versions(
    app: web.Application, routes: tuple[Route, ...], addresses: list[version_routing.Address]
) -> list[web.AbstractRoute]:
    """Version 1, and the paths that leave the version to a header."""
    lifecycle = Lifecycle.of(app[SERVICES].settings)
    old = mount.Served(routes, lifecycle)
    unversioned = version_routing.Unversioned(lifecycle, old)
    old_addresses = old.bound()
    short_addresses = unversioned.bound([*addresses, *old_addresses])
    added = [app.router.add_route(*address, expect_handler=old.expect) for address in old_addresses]
    added += [app.router.add_route(*address, expect_handler=expect) for address in short_addresses]
    app.router.add_route("*", mount.UNKNOWN_PATH, old.unknown, expect_handler=old.expect)
    app.router.add_route("*", version_routing.UNKNOWN_PATH, unversioned.unknown, expect_handler=expect)
    return added


def make_ops_app(services: Services) -> web.Application:
    """The operators' application: metrics, status, probes. Never on a public port."""
    app = web.Application(
        middlewares=[ops.only_hosts(services.settings.ops_names, services.entropy.trace), outside]
    )
    app[SERVICES] = services
    app[INTERNAL] = True
    for known in (*health.ROUTES, replace(health.READINESS, path="/health")):
        for route in with_head(known):
            app.router.add_route(route.method, route.path, bind(route), expect_handler=expect)
    app.router.add_get("/", front_pages.ops_front, expect_handler=expect)
    app.router.add_get("/metrics", ops.metrics_page, expect_handler=expect)
    app.router.add_get("/status", ops.status_page, expect_handler=expect)
    return app
