"""Endpoint /mails of the ops port: what the sandbox has kept instead of sending it. The page has no script.

A mail's own HTML is shown alone, in a sandbox of the browser, which loads nothing.
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Iterable, Mapping
from hashlib import sha256
from html import escape
from typing import Any

from aiohttp import web

from api.contract.problems import EVERY_ANSWER, Problem
from api.http.accept import prefers_html
from api.http.pipeline import finish, trace_of
from api.http.request import RequestContext, json_response
from api.http.services import SERVICES

_STYLE = """:root { color-scheme: light dark; }
body { font: 15px/1.5 system-ui, sans-serif; margin: 24px; }
article { border-top: 1px solid rgba(128, 128, 128, .5); padding: 12px 0; max-width: 800px; }
h2 { font-size: 17px; margin: 0; }
p { margin: 2px 0; }
pre { white-space: pre-wrap; overflow-wrap: anywhere; }
"""
POLICY = (
    f"default-src 'none'; style-src 'sha256-{b64encode(sha256(_STYLE.encode()).digest()).decode()}'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
# Styles of the mail itself are inline; nothing else of it may do anything.
MAIL_POLICY = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'; sandbox"
_PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>Mails and SMS of the sandbox</title><style>{style}</style></head>
<body><h1>Mails and SMS of the sandbox</h1>
<p>They were kept and not sent, the newest first.</p>
{body}
</body></html>
"""


def shown(row: Mapping[str, Any]) -> dict[str, Any]:
    """A message of the sandbox as JSON."""
    return {
        "id": row["id"],
        "key": row["key"],
        "channel": row["channel"],
        "to": row["recipient"],
        "subject": row["subject"],
        "text": row["body"],
        "headers": row["headers"],
        "at": row["at"].isoformat(timespec="milliseconds"),
    }


def render(messages: Iterable[Mapping[str, Any]]) -> str:
    """The list as a page. Every text is escaped."""
    parts = [_article(message) for message in messages]
    return _PAGE.format(style=_STYLE, body="\n".join(parts) or "<p>None.</p>")


def _article(message: Mapping[str, Any]) -> str:
    title = message["subject"] or "SMS"
    link = (
        f' <a href="/mails/{int(message["id"])}">as the mail looks</a>'
        if message["channel"] == "mail"
        else ""
    )
    headers = "".join(f"<p>{escape(n)}: {escape(str(v))}</p>" for n, v in message["headers"].items())
    return (
        f"<article><h2>{escape(title)}</h2><p>To {escape(message['to'])}, {escape(message['at'])}{link}</p>"
        f"{headers}<pre>{escape(message['text'])}</pre></article>"
    )


def page_response(messages: Iterable[Mapping[str, Any]]) -> web.Response:
    """The page as an answer."""
    headers = {
        **EVERY_ANSWER, "Content-Security-Policy": POLICY, "Cache-Control": "no-store", "Vary": "Accept",
    }  # fmt: skip
    return web.Response(text=render(messages), content_type="text/html", charset="utf-8", headers=headers)


def mail_response(html: str) -> web.Response:
    """A mail's HTML as an answer."""
    headers = {**EVERY_ANSWER, "Content-Security-Policy": MAIL_POLICY, "Cache-Control": "no-store"}
    return web.Response(text=html, content_type="text/html", charset="utf-8", headers=headers)


async def mails_page(request: web.Request) -> web.Response:
    """The messages of the sandbox: JSON, or a page for a client that prefers HTML."""
    messages = [shown(row) for row in await request.app[SERVICES].sandbox.newest()]
    if prefers_html(request.headers.get("Accept", "")):
        return page_response(messages)
    return json_response({"messages": messages}, headers={"Vary": "Accept"})


async def mail_page(request: web.Request) -> web.Response:
    """A mail as it looks."""
    services = request.app[SERVICES]
    row = await services.sandbox.message(int(request.match_info["number"]))
    if row is None or row["channel"] != "mail":
        context = RequestContext(request, services, trace_of(request, services.entropy.trace))
        response = context.refuse(Problem("not_found"))
        finish(response, context.trace)
        return response
    return mail_response(row["html"])
