"""Routing of paths without a version.

`/api/orders` is served by the version that the header `Mall-Api-Version` names, or by the default.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Iterable

from aiohttp import web

from api.contract.problems import Problem
from api.contract.versions import V1, V2, Lifecycle, Version, named_version, unsupported
from api.http import pipeline
from api.http.services import SERVICES
from api.v1.mount import Served

Bound = Callable[[web.Request], Awaitable[web.StreamResponse]]
# Method, path, and aiohttp handler.
Address = tuple[str, str, Bound]

UNKNOWN_PATH = "/api/{tail:.*}"
# The one path under /api without a version.
VERSIONS_PATH = "/api/versions"
_VERSIONED = re.compile(r"/api/v([0-9]+)(?:/|$)", re.ASCII)


class Unversioned:
    """Handlers of paths that name no version."""

    def __init__(self, lifecycle: Lifecycle, old: Served) -> None:
        self._lifecycle = lifecycle
        self._old = old

    def bound(self, addresses: Iterable[Address]) -> list[Address]:
        """The unversioned address of every versioned one."""
        found: dict[tuple[str, str], dict[str, Bound]] = {}
        for method, path, handler in addresses:
            for version in (V1, V2):
                if path.startswith(version.prefix):
                    short = "/api/" + path.removeprefix(version.prefix)
                    found.setdefault((method, short), {})[version.number] = handler
        return [(method, path, self._choosing(handlers)) for (method, path), handlers in found.items()]

    def _choosing(self, handlers: dict[str, Bound]) -> Bound:
        async def handle(request: web.Request) -> web.StreamResponse:
            try:
                version = self._version(request)
            except Problem as problem:
                return pipeline.refuse(request, problem)
            handler = handlers.get(version.number)
            if handler is None:
                return await self._unknown_in(version, request)
            return await handler(request)

        return handle

    def _version(self, request: web.Request) -> Version:
        named = named_version(request.headers)
        return named or self._lifecycle.default(request.app[SERVICES].clock.wall())

    async def unknown(self, request: web.Request) -> web.StreamResponse:
        """Refuse paths and methods that match no route."""
        found = _VERSIONED.match(request.path)
        try:
            if request.path == VERSIONS_PATH or (found is not None and found[1] == V2.number):
                return await pipeline.unknown(request)
            if found is not None:
                raise unsupported()
            return await self._unknown_in(self._version(request), request)
        except Problem as problem:
            return pipeline.refuse(request, problem)

    async def _unknown_in(self, version: Version, request: web.Request) -> web.StreamResponse:
        """Refuse a path as its version does; another version may have other methods."""
        url = request.rel_url.with_path(version.prefix + request.path.removeprefix("/api/"))
        there = request.clone(rel_url=url)
        return await (self._old.unknown(there) if version is V1 else pipeline.unknown(there))
