"""List of the API's versions, and the migration guide."""

from __future__ import annotations

from functools import cache
from pathlib import Path

from aiohttp import web

from api.auth.permissions import DOCUMENTS
from api.contract.versions import Lifecycle
from api.docs.browser_page import BY_READER, is_read_by_a_person, page_at
from api.http.operation import Operation, Operations
from api.http.request import RequestContext, json_response

operations = Operations(Operation)


@operations.declare(
    "docs.versions",
    "GET",
    "/api/versions",
    scope=None,
    limit=DOCUMENTS,
    quiet=True,
    summary="The versions of the API, and when they end",
)
async def versions(context: RequestContext) -> web.Response:
    """Serve all versions: the current one, the deprecated ones, and their ends."""
    services = context.services
    shown = Lifecycle.of(services.settings).as_json(services.clock.wall())
    return json_response(shown, headers={"Cache-Control": "public, max-age=300"})


@cache
def _guide() -> bytes:
    return (Path(__file__).parents[1] / "MIGRATION.md").read_bytes()


@operations.declare(
    "docs.migration",
    "GET",
    "/docs/migration",
    scope=None,
    limit=DOCUMENTS,
    quiet=True,
    summary="How to come from version 1 to version 2",
    media="text/markdown",
)
async def guide(context: RequestContext) -> web.Response:
    """Serve the guide from version 1 to version 2: a page for browsers, Markdown for programs."""
    if is_read_by_a_person(context):
        return page_at(context, "migration")
    return web.Response(body=_guide(), content_type="text/markdown", charset="utf-8", headers=BY_READER)
