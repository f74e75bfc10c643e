"""OpenAPI 3.1 document of version 2.

It is built from the declarations, models and problems that are enforced, so it cannot differ from them.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import cache
from typing import Any

import orjson
from aiohttp import web
from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from api.auth.permissions import DOCUMENTS
from api.contract.fields import id_schema
from api.contract.problems import KINDS, Problem
from api.docs.descriptions import PATTERNS, QUERIES, overview, roles_with
from api.docs.examples import TRACE, answer_example
from api.docs.headers import HEADERS, KEY, headers_of, taken
from api.docs.response_schemas import components_of
from api.docs.schemas import component_of, tightened
from api.docs.static_document import Document
from api.http.operation import TABLE, Operation, Operations
from api.http.request import RequestContext
from api.json_schema import JOB_NAME
from dispatch.domain import ids

operations = Operations(Operation)

_REF = "#/components/schemas/{model}"
_TITLES = {
    "auth": "Accounts", "users": "Users", "zones": "Zones", "stores": "Stores", "products": "Products",
    "orders": "Orders", "payments": "Payments", "drivers": "Drivers", "feed": "Feed", "console": "Console",
    "webhooks": "Webhooks", "events": "Events", "jobs": "Jobs", "reports": "Reports", "health": "Health",
    "docs": "Documents",
}  # fmt: skip
_ABOUT = {
    "Accounts": "Register, log in, refresh, log out.",
    "Users": "Users of any role, by admins.",
    "Zones": "Malls or city areas, and how orders are offered in them.",
    "Stores": "Stores, and the search around a place.",
    "Products": "What stores sell.",
    "Orders": "Placed by customers, carried by drivers, operated by admins.",
    "Payments": "What orders cost, asked of a payment provider.",
    "Drivers": "A driver's own state, and the list that operators see.",
    "Feed": "The drivers' WebSocket.",
    "Console": "The operators' live picture of a zone, a WebSocket (`api/live/PROTOCOL.md`).",
    "Webhooks": "Endpoints that get events, and what became of each request to them.",
    "Events": "The log of events, to be read.",
    "Jobs": "Background work, for operators: what waits, runs and has failed, and what to do about it.",
    "Reports": "Figures of days, for admins.",
    "Health": "Probes.",
}
# Refusals that any operation may give, by the check that gives them.
_ALWAYS = (
    "malformed_request", "version_conflict", "version_unsupported", "internal", "overloaded", "unavailable",
    "outcome_unknown", "draining", "target_too_long", "headers_too_large",
)  # fmt: skip
_BODY = (
    "malformed_json", "request_timeout", "unsupported_media_type", "body_too_large", "length_required", "invalid",
)  # fmt: skip
# Headers of problems by status, besides X-Trace-ID.
_WITH_STATUS = {401: ("WWW-Authenticate",), 429: ("Retry-After",), 503: ("Retry-After",)}
_LIMITS = ("RateLimit", "RateLimit-Policy")
# Prefixes of the ids in paths, by the segment before them.
_PREFIXES = {
    "users": ids.USER, "zones": ids.ZONE, "stores": ids.STORE, "products": ids.PRODUCT, "orders": ids.ORDER,
    "drivers": ids.DRIVER, "payments": "pay", "webhooks": ids.WEBHOOK, "dead-letters": ids.EVENT, "jobs": ids.JOB,
}  # fmt: skip


def is_elsewhere(route: Operation) -> bool:
    """True for operations outside of this document: documents, pages, and sockets, which are described elsewhere."""
    return route.resource in ("docs", "pages") or route.operation in ("feed.open", "console.live")


def make_document(routes: Iterable[Operation]) -> dict[str, Any]:
    """Build the document for these routes."""
    routes = [route for route in routes if not is_elsewhere(route)]
    models = {route.body for route in routes} | {route.query for route in routes}
    listed = sorted((m for m in models if m is not None), key=lambda m: m.__name__)
    schemas, definitions = models_json_schema([(model, "validation") for model in listed], ref_template=_REF)
    answers = [route.answer for route in routes if route.answer is not None]
    paths: dict[str, Any] = {}
    for route in routes:
        described = _operation(route, schemas)
        _link(described, route, routes)
        paths.setdefault(route.path, {})[route.method.lower()] = described
    titles = [title for title in _TITLES.values() if any(title in _tags(route) for route in routes)]
    document = {
        "openapi": "3.1.0",
        "info": {
            "title": "Mall Delivery Dispatch",
            "version": "2",
            "description": overview(),
            "contact": {"name": "Whoever runs this server"},
            "license": {"name": "MIT", "identifier": "MIT"},
        },
        "servers": [{"url": "/", "description": "This server, production or not", "x-internal": False}],
        "tags": [{"name": title, "description": _ABOUT[title]} for title in titles],
        "paths": paths,
        "components": {
            "schemas": {**tightened(definitions.get("$defs", {})), **components_of(answers)},
            "headers": dict(HEADERS),
            "examples": _examples(),
            "securitySchemes": {"bearer": BEARER, "share": SHARE},
        },
    }
    return _used_only(document)


BEARER = {
    "type": "http",
    "scheme": "bearer",
    "bearerFormat": "JWT",
    "description": "An access token from logging in: a JWT as RFC8725 wants it, signed with Ed25519 and good for ten "
    "minutes. The role that it carries has the scopes listed above.",
}


# A key and not a scheme of HTTP, because `Share` is not among the registered ones.
SHARE = {
    "type": "apiKey",
    "in": "header",
    "name": "Authorization",
    "description": "The word `Share`, a space, and the secret of a share link: 128 bits of which only a hash is kept.",
}


def _security(route: Operation) -> list[dict[str, list[str]]]:
    if route.shared:
        return [{"share": []}]
    return [] if route.scope is None else [{"bearer": []}]


def _tags(route: Operation) -> list[str]:
    return [_TITLES[route.resource]]


def _operation(route: Operation, schemas: Any) -> dict[str, Any]:
    scope = route.scope
    described: dict[str, Any] = {
        "operationId": route.operation.replace(".", "_"),
        "summary": route.summary,
        "description": _description(route),
        "tags": _tags(route),
        "security": _security(route),
        "parameters": _parameters(route),
        "responses": _responses(route),
    }
    if scope is not None:
        described["x-scope"] = scope
    if route.body is not None:
        # The body of a command without required fields may be left out; that of a change may not.
        needed = any(field.is_required() for field in route.body.model_fields.values())
        required = needed or route.method != "POST"
        example = {"value": route.body_example}
        content = {"schema": schemas[(route.body, "validation")], "examples": {"example": example}}
        patch = {"application/merge-patch+json": content} if route.method == "PATCH" else {}
        described["requestBody"] = {"required": required, "content": {**patch, "application/json": content}}
    return described


def _description(route: Operation) -> str:
    parts = [f"{route.summary}.", *filter(None, [route.note])]
    if route.shared:
        parts.append("Open to whoever has the secret of a share link.")
    elif route.scope is None:
        parts.append("Open to anybody.")
    else:
        parts.append(f"Scope `{route.scope}`: {', '.join(roles_with(route.scope))}.")
    if route.limit is not None:
        policy = route.limit
        parts.append(f"Limit `{policy.name}`: {policy.limit} requests in {policy.window_s} s.")
    if route.key:
        parts.append(f"An Idempotency-Key is {route.key}.")
    return " ".join(parts)


def _parameters(route: Operation) -> list[dict[str, Any]]:
    found = [_path(before, name) for before, name in re.findall(r"([\w-]+)/{(\w+)}", route.path)]
    if route.query is not None:
        found += query_parameters(route.query)
    if route.key:
        found.append({**KEY, "required": route.key == "required"})
    takes = [*route.takes]
    if "precondition_failed" in route.problems:
        takes.append("If-Match!" if "precondition_required" in route.problems else "If-Match")
    takes += ["If-None-Match"] if route.etag == "compared" else []
    return found + [taken(name.removesuffix("!"), required=name.endswith("!")) for name in takes]


def _path(before: str, name: str) -> dict[str, Any]:
    one = before.removesuffix("s").replace("-", " ")
    schema = id_schema(_PREFIXES[before]) if name == "id" else {**JOB_NAME, "examples": ["trim_jobs"]}
    [example] = schema.pop("examples")
    described = {"name": name, "in": "path", "required": True, "description": f"Which {one}."}
    return {**described, "schema": schema, "example": example}


# pydantic does not translate these when a validator stands before the bounds.
_BOUNDS = {"ge": "minimum", "le": "maximum"}


def query_parameters(model: type[BaseModel]) -> list[dict[str, Any]]:
    """Query parameters of a model. They are never null, because a query has no null."""
    found = []
    for name, schema in model.model_json_schema()["properties"].items():
        choices = [one for one in schema.pop("anyOf", [schema]) if one.get("type") != "null"]
        merged = schema | choices[0] | PATTERNS.get(name, {})
        shown = {_BOUNDS.get(k, k): v for k, v in merged.items() if k not in ("title", "default", "examples")}
        about = QUERIES.get(name, f"Only those of this {name.removesuffix('_id')}.")
        if schema.get("default") is not None:
            about += f" `{schema['default']}` if left out.".replace("True", "true").replace("False", "false")
        described = {"name": name, "in": "query", "required": False, "description": about}
        found.append({**described, "schema": tightened(shown)})
    return found


def _responses(route: Operation) -> dict[str, Any]:
    limits = _LIMITS if route.limit else ()
    gives = _gives(route)
    good: dict[str, Any] = {"description": f"{route.summary}: done.", "headers": _headers(*gives, *limits)}
    if route.answer is not None:
        schema = {"$ref": f"#/components/schemas/{component_of(route.answer)}"}
        example = answer_example(route.answer, route.answer_example)
        good["content"] = {route.media: {"schema": schema, "examples": {"example": {"value": example}}}}
    responses = {str(route.status): good}
    for status, meaning in route.also:
        responses[str(status)] = {"description": meaning, "headers": _headers(*limits)}
    if route.etag == "compared":
        responses["304"] = {"description": "It is still the same.", "headers": _headers("ETag", *limits)}
    codes = _codes(route)
    for status in sorted({KINDS[code].status for code in codes}):
        # Probes answer in their own form, with 503 when not ready.
        if route.resource == "health" and status == 503:
            content = {"application/json": good["content"][route.media]}
            responses[str(status)] = {"description": "No.", "headers": _headers(), "content": content}
            continue
        names = sorted({code for code in codes if KINDS[code].status == status})
        replayed = ("Idempotent-Replayed",) if route.key == "required" and status in (409, 422) else ()
        waits = ("Retry-After",) if "request_in_flight" in names else ()
        responses[str(status)] = {
            "description": " · ".join(f"`{name}`: {KINDS[name].title}" for name in names),
            "headers": _headers(
                "Content-Language", *_WITH_STATUS.get(status, ()), *waits, *replayed, *limits
            ),
            "content": {"application/problem+json": _problem(names)},
        }
    return responses


def _gives(route: Operation) -> list[str]:
    """Headers of the successful answer, besides those of every answer."""
    gives = ["Location"] if _creates(route) else []
    gives += ["ETag"] if route.etag else []
    gives += ["Idempotent-Replayed"] if route.key == "required" else []
    return gives


def _headers(*names: str) -> dict[str, Any]:
    return headers_of(dict.fromkeys(("X-Trace-ID", "Access-Control-Allow-Origin", *names)))


def _problem(codes: Iterable[str]) -> dict[str, Any]:
    examples = {code: {"$ref": f"#/components/examples/{code}"} for code in codes}
    return {"schema": {"$ref": "#/components/schemas/Problem"}, "examples": examples}


def _examples() -> dict[str, Any]:
    return {
        code: {"summary": kind.title, "value": Problem(code).as_json(TRACE)} for code, kind in KINDS.items()
    }


def _codes(route: Operation) -> list[str]:
    """All codes of an operation's refusals."""
    codes = [*route.problems, *_ALWAYS]
    codes += ["unauthenticated", "forbidden"] if route.scope else []
    codes += ["rate_limited"] if route.limit else []
    codes += _BODY if route.body else []
    # Unknown parameters are refused, too.
    codes += ["invalid"]
    codes += ["invalid_idempotency_key"] if route.key else []
    if "{" in route.path:
        codes += ["order_not_found"] if "/orders/{" in route.path else ["not_found"]
    return codes


def _creates(route: Operation) -> bool:
    return route.method == "POST" and route.status == 201 and _names_id(route)


def _names_id(route: Operation) -> bool:
    return route.answer is not None and "id" in route.answer.__annotations__


def _link(described: dict[str, Any], route: Operation, routes: Iterable[Operation]) -> None:
    """Add links from a created resource to the operations on it."""
    if not _creates(route):
        return
    below = f"{route.path}/{{id}}"
    described["responses"][str(route.status)]["links"] = {
        other.operation.replace(".", "_"): {
            "operationId": other.operation.replace(".", "_"),
            "parameters": {"id": "$response.body#/id"},
        }
        for other in routes
        if other.path == below or other.path.startswith(below + "/")
    }


def _used_only(document: dict[str, Any]) -> dict[str, Any]:
    """Drop components without a reference, until every one has one."""
    while True:
        found = set(re.findall(r'"#/components/(\w+/[\w.-]+)"', orjson.dumps(document).decode()))
        unused = [
            (kind, name)
            for kind in ("schemas", "headers", "examples")
            for name in document["components"][kind]
            if f"{kind}/{name}" not in found
        ]
        if not unused:
            return document
        for kind, name in unused:
            del document["components"][kind][name]


@cache
def _document(table: tuple[Operation, ...]) -> Document:
    return Document(orjson.dumps(make_document(table)))


@operations.declare(
    "docs.openapi",
    "GET",
    "/api/v2/openapi.json",
    scope=None,
    limit=DOCUMENTS,
    quiet=True,
    summary="This document",
)
async def openapi(context: RequestContext) -> web.Response:
    """Serve the document."""
    return _document(context.request.app[TABLE]).answer(context)
