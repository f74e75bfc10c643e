"""Problem pages: the catalogue of all problems, to which the `type` of a problem refers."""

from __future__ import annotations

import html
from functools import cache
from typing import Any

import orjson
from aiohttp import web

from api.auth.permissions import DOCUMENTS
from api.contract.problem_advice import remedy_of
from api.contract.problems import KINDS, Problem
from api.docs.browser_page import BY_READER, is_read_by_a_person, page_at
from api.docs.static_document import Document
from api.http.operation import Operation, Operations
from api.http.request import RequestContext

operations = Operations(Operation)

# Statuses whose outcome is stored under the key, so that a new attempt needs a new key.
_REMEMBERED = frozenset({402, 409, 410, 412})
_ADVICE = {
    "same_key": "Send the same request again, with the same Idempotency-Key; wait for Retry-After if it is there, "
    "and longer each time.",
    "new_key": "The same request will not succeed. Look at the present state; what you send then is a new request "
    "with a new Idempotency-Key.",
    "never": "Do not repeat it as it is. Correct the request first; it had no effect.",
}
_PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>{code}</title><link rel="stylesheet" href="/docs/page.css"></head>
<body><h1>{title}</h1>
<table><tr><td>code<td><code>{code}</code><tr><td>status<td>{status}<tr><td>retry<td>{retry}</table>
<p><strong>{remedy}</strong></p><p>{advice}</p>
<p><a href="/problems">All problems</a> · <a href="/docs">The API</a></p></body></html>
"""
_POLICY = "default-src 'none'; style-src 'self'; frame-ancestors 'none'"


def retry_of(code: str) -> str:
    """How to retry after this code: `same_key`, `new_key` or `never`.

    Raises:
        KeyError: the code does not exist.
    """
    kind = KINDS[code]
    if kind.retryable:
        return "same_key"
    return "new_key" if kind.status in _REMEMBERED or code == "key_reused" else "never"


def row_of(code: str) -> dict[str, Any]:
    """The catalogue's entry for a code.

    Raises:
        KeyError: the code does not exist.
    """
    kind, retry = KINDS[code], retry_of(code)
    return {
        "code": code,
        "type": f"/problems/{code}",
        "status": kind.status,
        "title": kind.title,
        "retryable": kind.retryable,
        "retry": retry,
        "remedy": remedy_of(code),
        "advice": _ADVICE[retry],
    }


@cache
def _list() -> Document:
    return Document(orjson.dumps({"items": [row_of(code) for code in sorted(KINDS)]}))


@cache
def _page(code: str) -> bytes:
    shown = {name: html.escape(str(value)) for name, value in row_of(code).items()}
    return _PAGE.format_map(shown).encode()


@operations.declare(
    "docs.problems",
    "GET",
    "/problems",
    scope=None,
    limit=DOCUMENTS,
    quiet=True,
    summary="Everything that can go wrong",
)
async def problems(context: RequestContext) -> web.Response:
    """Serve all codes: a page for browsers, JSON for programs."""
    if is_read_by_a_person(context):
        return page_at(context, "problems")
    response = _list().answer(context)
    response.headers.update(BY_READER)
    return response


@operations.declare(
    "docs.problem",
    "GET",
    "/problems/{code}",
    scope=None,
    limit=DOCUMENTS,
    quiet=True,
    summary="One thing that can go wrong",
    media="text/html",
)
async def problem(context: RequestContext) -> web.Response:
    """Serve the page of one code."""
    code = context.request.match_info["code"]
    if code not in KINDS:
        raise Problem("not_found")
    return web.Response(
        body=_page(code),
        content_type="text/html",
        charset="utf-8",
        headers={"Content-Security-Policy": _POLICY, "Cache-Control": "public, max-age=300"},
    )
