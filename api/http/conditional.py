"""Conditional requests (RFC 9110, section 13): entity tags, If-None-Match, If-Match.

A single resource has a strong tag, made of its row's version; a list has a weak one, a hash of its page.
The statement that writes also compares If-Match, so there is no check before it: of any number of writers that know
one version, exactly one wins, and the others get the present tag.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from hashlib import blake2b
from typing import Any

import orjson
from aiohttp import web
from multidict import CIMultiDict

from api.contract.problems import EVERY_ANSWER, VERSION_HEADER, Fault, Problem
from api.http.request import RequestContext

# One tag: quotes around visible characters, perhaps with the mark of a weak one.
_TAG = re.compile(r'\s*(W/)?"([\x21\x23-\x7e]*)"\s*(?:,|$)')
TAGS_MAX = 20
# Refusals of a conditional write.
WRITE_PROBLEMS = ("precondition_required", "precondition_failed")

# Seconds for which an app may show the catalogue without a request; prices are checked when an order is placed.
CATALOGUE_AGE_S = 60
PRIVATE = "private, no-store"
# The answer depends on the caller.
_ANSWER = CIMultiDict(
    {
        **EVERY_ANSWER,
        "Server": "mall",
        "Cache-Control": PRIVATE,
        "Vary": f"{VERSION_HEADER}, Authorization",
        "Content-Type": "application/json",
    }
)


def catalogue_policy(context: RequestContext) -> str:
    """Cache-Control of the catalogue: an admin, who may change it, always sees the present state."""
    return "private, no-cache" if context.who.role == "admin" else f"private, max-age={CATALOGUE_AGE_S}"


def _tags(context: RequestContext, header: str) -> list[tuple[str, str]] | None:
    """The tags of a header, each with its mark of weakness; None for `*`.

    Raises:
        Problem: `malformed_request`, naming the header.
    """
    text = ",".join(context.request.headers.getall(header)).strip()
    if text == "*":
        return None
    tags: list[tuple[str, str]] = []
    at = 0
    while at < len(text):
        found = _TAG.match(text, at)
        if found is None or len(tags) == TAGS_MAX:
            break
        tags.append((found[1] or "", found[2]))
        at = found.end()
    if at < len(text) or not tags:
        fault = Fault("header", header, "format", f'must be * or at most {TAGS_MAX} tags such as "7"')
        raise Problem("malformed_request", faults=[fault])
    return tags


def is_known(context: RequestContext, tag: str) -> bool:
    """True when If-None-Match names this representation."""
    if "If-None-Match" not in context.request.headers:
        return False
    tags = _tags(context, "If-None-Match")
    return tags is None or tag.removeprefix("W/").strip('"') in [opaque for _, opaque in tags]


def wanted_tags(context: RequestContext, *, required: bool = True) -> list[str] | None:
    """The strong tags of If-Match without their quotes; None when any version is accepted.

    A weak tag does not identify a version, so it matches none.

    Raises:
        Problem: `precondition_required`, `malformed_request`.
    """
    if "If-Match" not in context.request.headers:
        if required:
            detail = "Send If-Match with the ETag that you have seen, or * for whatever is there."
            fault = Fault("header", "If-Match", "missing", "is needed: the ETag that you have read")
            raise Problem("precondition_required", detail, faults=[fault])
        return None
    tags = _tags(context, "If-Match")
    return None if tags is None else [opaque for weak, opaque in tags if not weak]


def missed(context: RequestContext, tag: str | None) -> web.Response:
    """The answer when a conditional write found no row: the resource does not exist, or has another tag.

    It is returned, not raised, because it is common: of fifty writers of one version forty-nine get it.
    """
    if tag is None:
        return context.refuse(Problem("not_found"))
    return context.refuse(Problem("precondition_failed", headers={"ETag": tag}))


def row_tag(row: Mapping[str, Any]) -> str:
    """The tag of a row with a version."""
    return f'"{row["version"]}"'


def tagged(context: RequestContext, shown: Any, tag: str, policy: str = PRIVATE) -> web.Response:
    """Answer with a resource and its tag, or with 304. `shown` may already be JSON, as bytes."""
    if is_known(context, tag):
        return _answer(304, None, tag, policy)
    body = shown if isinstance(shown, bytes) else orjson.dumps(shown)
    return _answer(200, body, tag, policy)


def written(shown: Any, tag: str) -> web.Response:
    """Answer to a write: the resource with its new tag."""
    return _answer(200, orjson.dumps(shown), tag, PRIVATE)


def tagged_page(context: RequestContext, page: Any, policy: str = PRIVATE) -> web.Response:
    """Answer with a page of a list and a weak tag, or with 304."""
    body = orjson.dumps(page)
    tag = f'W/"{blake2b(body, digest_size=12).hexdigest()}"'
    if is_known(context, tag):
        return _answer(304, None, tag, policy)
    return _answer(200, body, tag, policy)


def _answer(status: int, body: bytes | None, tag: str, policy: str) -> web.Response:
    whole = _ANSWER.copy()
    whole["ETag"] = tag
    if policy is not PRIVATE:
        whole["Cache-Control"] = policy
    if body is None:
        del whole["Content-Type"]
    return web.Response(status=status, body=body, headers=whole)
