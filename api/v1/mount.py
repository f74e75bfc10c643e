"""Mounting of version 1 in the application. Every answer is translated and dated by `_aged`."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import cast

import orjson
from aiohttp import web

from api.auth.permissions import Access
from api.contract.problems import VERSION_HEADER, Problem
from api.contract.versions import GUIDE, Lifecycle
from api.http import pipeline
from api.http.operation import Operation, Route
from api.http.request import Handler
from api.http.services import SERVICES
from api.v1 import responses
from api.v1.document import serve
from api.v1.handlers import TRANSITION_ACCESS, HandlerV1
from api.v1.numbered_pages import listed
from api.v1.request import CALL, RequestContextV1
from api.v1.routes import TABLE, TRANSITION, Row
from api.v1.transforms import conditions, identity, limits

Bound = Callable[[web.Request], Awaitable[web.StreamResponse]]

DOCUMENT_PATH = "/api/v1/openapi.json"
UNKNOWN_PATH = "/api/v1/{tail:.*}"
_PROBLEM = "application/problem+json"
_LINK = (
    f'<{GUIDE}>; rel="deprecation"; type="text/markdown", <{GUIDE}>; rel="sunset"; type="text/markdown", '
    '<{successor}>; rel="successor-version"'
)


class Served:
    """Version 1 in one application."""

    def __init__(self, routes: Iterable[Operation], lifecycle: Lifecycle) -> None:
        self._lifecycle = lifecycle
        self._headers = lifecycle.headers()
        self._routes = {route.operation: route for route in routes}

    def bound(self) -> list[tuple[str, str, Bound]]:
        """Method, path and aiohttp handler of every route, documents included."""
        found = [(row.method, row.path, self._bind(row)) for row in TABLE]
        row = Row("docs.openapi", "GET", DOCUMENT_PATH)
        document = _as_route(row, serve, self._routes[row.operation].access)
        return [*found, ("GET", DOCUMENT_PATH, self._aging(row, pipeline.bind(document)))]

    def _bind(self, row: Row) -> Bound:
        """The aiohttp handler of a row, behind the pipeline with the operation's permissions.

        Raises:
            KeyError: version 2 has no operation of this name; the server does not start then.
        """
        handler = row.way(row.operation, row.path, self._routes)
        if row.operation == TRANSITION:
            route = _as_route(row, handler, TRANSITION_ACCESS)
        else:
            model = self._routes[row.operation]
            route = _as_route(row, handler, model.access, quiet=model.quiet)
        return self._aging(row, pipeline.bind(route, RequestContextV1))

    def _aging(self, row: Row, inner: Bound) -> Bound:
        successor = _successor(row, self._routes)

        async def handle(request: web.Request) -> web.StreamResponse:
            response = await self._while_open(request, inner)
            return self._aged(row.operation, request, response, successor)

        return handle

    async def unknown(self, request: web.Request) -> web.StreamResponse:
        """Refuse paths and methods that version 1 does not have."""
        response = await self._while_open(request, pipeline.unknown)
        return self._aged("", request, response, "/api/v2/openapi.json")

    async def _while_open(self, request: web.Request, inner: Bound) -> web.StreamResponse:
        try:
            self._lifecycle.check_open(request.app[SERVICES].clock.wall())
        except Problem as problem:
            return pipeline.refuse(request, problem, "/api/v1/(off)")
        return await inner(request)

    async def expect(self, request: web.Request) -> web.StreamResponse | None:
        """Check an Expect header as in version 2, with a refusal in the form of version 1."""
        response = await pipeline.expect(request)
        if response is None:
            return None
        return self._aged("", request, response, "/api/v2/openapi.json")

    def _aged(
        self, operation: str, request: web.Request, response: web.StreamResponse, successor: str
    ) -> web.StreamResponse:
        if isinstance(response, web.Response):
            _translate(operation, response)
        headers = response.headers
        for name, value in self._headers.items():
            headers[name] = value
        headers["Link"] = _LINK.format(successor=_filled(successor, request))
        if VERSION_HEADER not in headers.get("Vary", ""):
            headers.add("Vary", VERSION_HEADER)
        if "Location" in headers:
            headers["Location"] = identity.backward_location(headers["Location"])
        conditions.backward_headers(headers)
        context = request.get(CALL)
        if context is not None:
            limits.backward_headers(context, headers)
        return response


def _as_route(row: Row, handler: HandlerV1 | Handler, access: Access, *, quiet: bool = False) -> Route:
    """A row as a route for the pipeline. Only handlers of lists read query parameters."""
    return Route(
        cast("Handler", handler),
        row.operation,
        row.method,
        row.path,
        scope=access.scope,
        limit=access.policy,
        own_query=row.way is listed,
        quiet=quiet,
    )


def _successor(row: Row, routes: Mapping[str, Route]) -> str:
    """The path of version 2 for the same resource."""
    operation = "orders.get" if row.operation == TRANSITION else row.operation
    return routes[operation].path


def _filled(path: str, request: web.Request) -> str:
    """The path with the request's id; the list's path when that is not an id."""
    if "{id}" not in path:
        return path
    public = identity.forward_path(path.replace("/v2/", "/v1/"), request.match_info.get("id", ""))
    return path.replace("{id}", public) if public else path.partition("/{id}")[0]


def _translate(operation: str, response: web.Response) -> None:
    """Translate the body of a JSON answer in place; its status and headers stay."""
    if not isinstance(response.body, bytes):
        return
    if response.content_type == _PROBLEM:
        response.body = orjson.dumps(responses.refusal(operation, orjson.loads(response.body)))
        response.headers["Content-Type"] = "application/json"
    elif response.content_type == "application/json" and not operation.startswith("docs."):
        response.body = orjson.dumps(responses.answer(orjson.loads(response.body)))
