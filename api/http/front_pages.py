"""First pages of the public port and of the operators' port: links to everything else."""

from __future__ import annotations

from aiohttp import web

from api.auth.permissions import DOCUMENTS
from api.contract.problems import EVERY_ANSWER
from api.http.operation import Operation, Operations
from api.http.request import RequestContext

operations = Operations(Operation)

_PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>{style}</head>
<body><main><h1>{title}</h1>
<p>{lead}</p>
<ul>
{links}
</ul></main></body></html>
"""
_PUBLIC = {
    "/console/": "the console of those who run the mall",
    "/drive": "the app of drivers",
    "/docs": "the API: every operation, its fields, its answers",
    "/api/v2/openapi.json": "the same for programs (OpenAPI)",
    "/api/v2/asyncapi.json": "the drivers' feed for programs (AsyncAPI)",
    "/problems": "everything that can go wrong, and what to do then",
    "/api/versions": "the versions of the API, and when they end",
    "/health/readiness": "whether it serves at the moment",
}
_OPS = {
    "/status": "the state of all instances",
    "/status/jobs": "background jobs: what waits, what is dead, what is paused",
    "/metrics": "metrics for Prometheus",
    "/mails": "mails and SMS of the sandbox",
    "/health": "whether it serves, and what is down",
}
_POLICY = "default-src 'none'; style-src 'self'; frame-ancestors 'none'"


def _page(title: str, lead: str, links: dict[str, str], style: str = "") -> bytes:
    listed = "\n".join(f'<li><a href="{path}">{path}</a>: {text}</li>' for path, text in links.items())
    return _PAGE.format(title=title, lead=lead, links=listed, style=style).encode()


_PUBLIC_PAGE = _page(
    "Mall Delivery Dispatch",
    "Customers order over REST, drivers hold a WebSocket and receive offers.",
    _PUBLIC,
    '<link rel="stylesheet" href="/docs/page.css">',
)
_OPS_TITLE, _OPS_LEAD = (
    "Mall Delivery Dispatch, for operators",
    "This port is for operators and must never be public.",
)
_OPS_PAGE = _page(_OPS_TITLE, _OPS_LEAD, _OPS)
_WORK_PAGE = _page(_OPS_TITLE, _OPS_LEAD, {path: about for path, about in _OPS.items() if path != "/status"})


@operations.declare(
    "docs.front",
    "GET",
    "/",
    scope=None,
    limit=DOCUMENTS,
    quiet=True,
    summary="The first page, which leads on",
    media="text/html",
)
async def front(context: RequestContext) -> web.Response:
    """First page of the public port."""
    del context
    headers = {"Content-Security-Policy": _POLICY, "Cache-Control": "public, max-age=300"}
    return web.Response(body=_PUBLIC_PAGE, content_type="text/html", charset="utf-8", headers=headers)


async def ops_front(request: web.Request) -> web.Response:
    """First page of the operators' port."""
    del request
    return _ops_page(_OPS_PAGE)


async def work_front(request: web.Request) -> web.Response:
    """First page of a worker's port."""
    del request
    return _ops_page(_WORK_PAGE)


def _ops_page(body: bytes) -> web.Response:
    headers = {**EVERY_ANSWER, "Content-Security-Policy": _POLICY, "Cache-Control": "no-store"}
    return web.Response(body=body, content_type="text/html", charset="utf-8", headers=headers)
