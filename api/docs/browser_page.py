"""Browser page of all documents: operations, frames, problems, and the migration guide."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path

from aiohttp import web

from api.auth.permissions import DOCUMENTS
from api.contract.problems import VERSION_HEADER
from api.http.operation import Operation, Operations
from api.http.request import RequestContext

operations = Operations(Operation)

_HERE = Path(__file__).parent
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; frame-ancestors 'none'"
)
# Headers of an answer that depends on the Accept header.
BY_READER = {"Vary": f"{VERSION_HEADER}, Accept"}


@cache
def _file(name: str) -> bytes:
    return (_HERE / name).read_bytes()


def _listed(app: web.Application) -> list[str]:
    """Paths of this application's documents: REST before the feed, the newest version first."""
    paths = sorted({resource.canonical for resource in app.router.resources()}, reverse=True)
    documents = [path for path in paths if re.fullmatch(r"/api/v\d+/(openapi|asyncapi)\.json", path)]
    return sorted(documents, key=lambda path: path.endswith("/asyncapi.json"))


def is_read_by_a_person(context: RequestContext) -> bool:
    """True when the client accepts HTML, as browsers do and programs do not."""
    return "text/html" in context.request.headers.get("Accept", "")


def page_at(context: RequestContext, start: str) -> web.Response:
    """The page, opened at one of its tabs."""
    listed = " ".join(_listed(context.request.app)).encode()
    return web.Response(
        body=_file("page.html").replace(b"DOCUMENTS", listed).replace(b"START", start.encode()),
        content_type="text/html",
        charset="utf-8",
        headers={"Content-Security-Policy": _POLICY, **BY_READER},
    )


@operations.declare(
    "docs.page",
    "GET",
    "/docs",
    scope=None,
    limit=DOCUMENTS,
    quiet=True,
    summary="This document, to be read",
    media="text/html",
)
async def page(context: RequestContext) -> web.Response:
    """Serve the page of all documents."""
    return page_at(context, "")


@operations.declare(
    "docs.script",
    "GET",
    "/docs/page.js",
    scope=None,
    limit=DOCUMENTS,
    quiet=True,
    summary="The page's script",
    media="text/javascript",
)
async def script(context: RequestContext) -> web.Response:
    """Serve the page's script."""
    del context
    return web.Response(body=_file("page.js"), content_type="text/javascript", charset="utf-8")


@operations.declare(
    "docs.style",
    "GET",
    "/docs/page.css",
    scope=None,
    limit=DOCUMENTS,
    quiet=True,
    summary="The page's style",
    media="text/css",
)
async def style(context: RequestContext) -> web.Response:
    """Serve the page's style."""
    del context
    return web.Response(body=_file("page.css"), content_type="text/css", charset="utf-8")
