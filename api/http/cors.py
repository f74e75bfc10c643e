"""CORS, requests of pages from other origins: the configured origins only; never a wildcard, never credentials."""

from __future__ import annotations

from collections.abc import Sequence

import aiohttp_cors
from aiohttp import web

from api.contract.problems import Fault, Problem

# Request headers: all that the documents name, and the ones that clients send by themselves.
ALLOWED = (
    "Authorization", "Content-Type", "Idempotency-Key", "If-Match", "If-None-Match", "Last-Event-ID",
    "Mall-Api-Version", "traceparent", "tracestate", "baggage", "Cache-Control", "Pragma", "X-Requested-With",
)  # fmt: skip
# Headers of answers.
EXPOSED = (
    "X-Trace-ID", "Location", "ETag", "Retry-After", "Idempotent-Replayed", "RateLimit", "RateLimit-Policy",
    "X-RateLimit-Limit", "X-RateLimit-Remaining", "X-RateLimit-Reset", "Accept-Patch", "Accept-Post", "Allow",
    "Mall-Api-Version", "Deprecation", "Sunset", "Link", "WWW-Authenticate", "Content-Language", "Vary",
)  # fmt: skip
METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE")
_ALLOWED = frozenset(name.lower() for name in ALLOWED)
# Limit of names in a refusal.
_NAMED_MAX = 20


def allow_origins(app: web.Application, routes: list[web.AbstractRoute], origins: tuple[str, ...]) -> None:
    """Allow pages of these origins to use these routes."""
    if not origins:
        return
    options = aiohttp_cors.ResourceOptions(  # type: ignore[no-untyped-call]
        allow_credentials=False,
        expose_headers=EXPOSED,
        allow_headers=ALLOWED,
        allow_methods=METHODS,
        max_age=600,
    )
    cors = aiohttp_cors.setup(app, defaults=dict.fromkeys(origins, options))
    for route in routes:
        cors.add(route)
    app.on_response_prepare.append(_vary_by_origin)


async def _vary_by_origin(request: web.Request, response: web.StreamResponse) -> None:
    """Add `Vary: Origin`, which aiohttp-cors omits: a shared cache would serve one origin's answer to another."""
    del request
    response.headers["Vary"] = ", ".join([*response.headers.popall("Vary", ()), "Origin"])


def refused_preflight(request: web.Request, origins: Sequence[str]) -> Problem:
    """The reason why aiohttp-cors refused a preflight, which it does not name: the origin, the method, or headers."""
    if request.headers.get("Origin") not in origins:
        return Problem("forbidden_origin")
    asked = request.headers.get("Access-Control-Request-Headers", "").split(",")
    foreign = [name.strip() for name in asked if name.strip() and name.strip().lower() not in _ALLOWED]
    if foreign:
        faults = [
            Fault("header", name[:100], "not_allowed", "must be left out by pages of other origins")
            for name in foreign[:_NAMED_MAX]
        ]
        return Problem(
            "forbidden_header", f"Leave them out. Allowed are {', '.join(ALLOWED)}.", faults=faults
        )
    return Problem("forbidden_method", f"Name one of {', '.join(METHODS)} that this resource knows.")
