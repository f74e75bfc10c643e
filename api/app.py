"""The two web applications: the public one, and the operators'."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from aiohttp import web

from api import ops, version_routing
from api.contract.json_body import BODY_BYTES_MAX
from api.contract.versions import Lifecycle
from api.http import front_pages
from api.http.cors import allow_origins
from api.http.operation import TABLE, Operation, Route
from api.http.pipeline import UNKNOWN_PATH, bind, expect, outside, unknown
from api.http.services import INTERNAL, SERVICES, Services
from api.ops import health, jobs_status
from api.pages.page_files import page_set
from api.routes import ROUTES, check_routes
from api.transport.fast_path import PROMPTS, FastPath, Handler
from api.v1 import mount

# The end of a page's path: nothing, or whatever its script understands.
REST, REST_PATTERN = "{rest}", "{rest:.*}"


def with_head(route: Route) -> tuple[Route, ...]:
    """The route, and for a GET that ends by itself also its HEAD (RFC 9110 wants both)."""
    if route.method != "GET" or route.streams:
        return (route,)
    return route, replace(route, method="HEAD")


def prompts_of(app: web.Application, bound: Iterable[tuple[Route, Handler]]) -> FastPath:
    """Table of the routes that need no task: all that they wait for has a deadline, and none of it is Redis."""
    fast_path = FastPath(app)
    for route, handler in bound:
        if route.prompt and route.limit is not None and not route.limit.shared:
            fast_path.add(route.method, route.path, handler)
    return fast_path


def make_app(services: Services, routes: tuple[Operation, ...] = ROUTES) -> web.Application:
    """Build the public application: REST, the feed, and probes."""
    check_routes(routes)
    # Only CORS preflights have handlers that are not ours.
    foreign = [outside] if services.settings.cors_origins else []
    app = web.Application(middlewares=foreign, client_max_size=BODY_BYTES_MAX)
    app[SERVICES] = services
    app[TABLE] = routes
    page_set()  # a page that cannot be made ends the start, not a request
    bound = [(route, bind(route)) for known in routes for route in with_head(known)]
    addresses: list[version_routing.Address] = [
        (route.method, route.path.replace(REST, REST_PATTERN), handler) for route, handler in bound
    ]
    added = [app.router.add_route(*address, expect_handler=expect) for address in addresses]
    if not foreign:  # aiohttp-cors must see every answer
        app[PROMPTS] = prompts_of(app, bound)
    added += _add_versions(app, routes, addresses)
    app.router.add_route("*", UNKNOWN_PATH, unknown, expect_handler=expect)
    allow_origins(app, added, services.settings.cors_origins)
    return app


def _add_versions(
    app: web.Application, routes: tuple[Operation, ...], addresses: list[version_routing.Address]
) -> list[web.AbstractRoute]:
    """Add version 1, and the paths without a version."""
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
    """Build the operators' application: metrics, status, probes. Never on a public port."""
    app = web.Application(
        middlewares=[ops.only_hosts(services.settings.ops_names, services.entropy.trace), outside]
    )
    app[SERVICES] = services
    app[INTERNAL] = True
    for known in (*health.operations, replace(health.operations["health.readiness"], path="/health")):
        for route in with_head(known):
            app.router.add_route(route.method, route.path, bind(route), expect_handler=expect)
    app.router.add_get("/", front_pages.ops_front, expect_handler=expect)
    app.router.add_get("/metrics", ops.metrics_page, expect_handler=expect)
    app.router.add_get("/status", ops.status_page, expect_handler=expect)
    app.router.add_get("/mails", ops.mails_page, expect_handler=expect)
    app.router.add_get(r"/mails/{number:[1-9][0-9]{0,14}}", ops.mail_page, expect_handler=expect)
    app.router.add_get(jobs_status.PATH, jobs_status.jobs_page, expect_handler=expect)
    return app
