"""The OpenAPI 3.1 document of version 2: routes, access, models and problems are read from where they are
enforced, so it cannot say anything else.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import cache
from pathlib import Path
from typing import Any

import orjson
from aiohttp import web
from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from api.access import ACCESS, ROLE_SCOPES
from api.call import Call
from api.docs.answers import SCHEMAS
from api.docs.operations import OPERATIONS, Operation
from api.edge import Route
from api.problems import KINDS

_HERE = Path(__file__).parent
_REF = "#/components/schemas/{model}"
_TITLES = {
    "auth": "Accounts", "users": "Users", "zones": "Zones", "stores": "Stores", "products": "Products",
    "orders": "Orders", "payments": "Payments", "drivers": "Drivers", "feed": "Feed",
    "health": "Health", "docs": "Documents",
}  # fmt: skip
# Refusals that any operation may give, by what guards it.
_ALWAYS = (
    "malformed_request", "version_conflict", "version_unsupported", "internal", "overloaded", "unavailable",
    "outcome_unknown", "draining",
)  # fmt: skip


def make_document(routes: Iterable[Route]) -> dict[str, Any]:
    """The document for these routes."""
    routes = [route for route in routes if not route.operation.startswith("docs.")]
    models = {OPERATIONS[r.operation].body for r in routes} | {OPERATIONS[r.operation].query for r in routes}
    listed = sorted((m for m in models if m is not None), key=lambda m: m.__name__)
    schemas, definitions = models_json_schema([(model, "validation") for model in listed], ref_template=_REF)
    paths: dict[str, Any] = {}
    for route in routes:
        described = _operation(route, OPERATIONS[route.operation], schemas)
        paths.setdefault(route.path, {})[route.method.lower()] = described
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Mall Delivery Dispatch",
            "version": "2",
            "description": "Customers order, drivers accept, the first wins exactly once. Errors are RFC 9457 problem "
            "details; 503 and 429 certainly had no effect, 500 and 504 mean: repeat it with the same key.",
            "license": {"name": "MIT", "identifier": "MIT"},
        },
        "servers": [{"url": "/"}],
        "tags": [{"name": title} for title in _TITLES.values() if title != "Documents"],
        "paths": paths,
        "components": {
            "schemas": {**definitions.get("$defs", {}), **SCHEMAS},
            "securitySchemes": {"bearer": {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"}},
        },
    }


def _operation(route: Route, row: Operation, schemas: Any) -> dict[str, Any]:
    scope = ACCESS[route.operation].scope
    described: dict[str, Any] = {
        "operationId": route.operation.replace(".", "_"),
        "summary": row.summary,
        "tags": [_TITLES[route.operation.split(".", maxsplit=1)[0]]],
        "security": [] if scope is None else [{"bearer": [scope]}],
        "parameters": _parameters(route, row),
        "responses": _responses(route, row),
    }
    if scope is not None:
        roles = sorted(role for role, scopes in ROLE_SCOPES.items() if scope in scopes)
        described["description"] = f"Scope `{scope}`: {', '.join(roles)}."
    if row.body is not None:
        schema = schemas[(row.body, "validation")]
        required = any(field.is_required() for field in row.body.model_fields.values())
        described["requestBody"] = {
            "required": required,
            "content": {"application/json": {"schema": schema}},
        }
    return described


def _parameters(route: Route, row: Operation) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = [
        {"name": name, "in": "path", "required": True, "schema": {"type": "string", "maxLength": 20}}
        for name in re.findall(r"{(\w+)}", route.path)
    ]
    if row.query is not None:
        found += [_query(row.query, name) for name in row.query.model_fields]
    if row.key:
        found.append(
            {
                "name": "Idempotency-Key",
                "in": "header",
                "required": row.key == "required",
                "description": "16 to 255 visible ASCII characters; the same key and body get the same answer.",
                "schema": {"type": "string", "minLength": 16, "maxLength": 255},
            }
        )
    return found


def _query(model: type[BaseModel], name: str) -> dict[str, Any]:
    schema = model.model_json_schema()["properties"][name]
    return {"name": name, "in": "query", "required": False, "schema": schema}


def _responses(route: Route, row: Operation) -> dict[str, Any]:
    good: dict[str, Any] = {"description": row.summary}
    if row.answer is not None:
        good["content"] = {row.media: {"schema": {"$ref": f"#/components/schemas/{row.answer}"}}}
    responses = {str(row.status): good}
    codes = [*row.problems, *_ALWAYS]
    access = ACCESS[route.operation]
    codes += ["unauthenticated", "forbidden"] if access.scope else []
    codes += ["rate_limited"] if access.policy else []
    codes += ["malformed_json", "unsupported_media_type", "body_too_large", "invalid"] if row.body else []
    codes += ["invalid"] if row.query else []
    codes += ["not_found"] if "{" in route.path else []
    for status in sorted({KINDS[code].status for code in codes}):
        names = sorted({code for code in codes if KINDS[code].status == status})
        responses[str(status)] = {
            "description": " · ".join(f"`{name}`: {KINDS[name].title}" for name in names),
            "content": {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}},
        }
    return responses


@cache
def _document() -> bytes:
    from api.app import ROUTES

    return orjson.dumps(make_document(ROUTES))


@cache
def _file(name: str) -> bytes:
    return (_HERE / name).read_bytes()


async def openapi(call: Call) -> web.Response:
    """The document."""
    del call
    return web.Response(
        body=_document(), content_type="application/json", headers={"Cache-Control": "public, max-age=300"}
    )


async def page(call: Call) -> web.Response:
    """The document, to be read in a browser."""
    del call
    policy = (
        "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; frame-ancestors 'none'"
    )
    return web.Response(
        body=_file("page.html"),
        content_type="text/html",
        charset="utf-8",
        headers={"Content-Security-Policy": policy},
    )


async def script(call: Call) -> web.Response:
    """The page's script."""
    del call
    return web.Response(body=_file("page.js"), content_type="text/javascript", charset="utf-8")


async def style(call: Call) -> web.Response:
    """The page's style."""
    del call
    return web.Response(body=_file("page.css"), content_type="text/css", charset="utf-8")


ROUTES = (
    Route("docs.openapi", "GET", "/api/v2/openapi.json", openapi, quiet=True),
    Route("docs.page", "GET", "/docs", page, quiet=True),
    Route("docs.script", "GET", "/docs/page.js", script, quiet=True),
    Route("docs.style", "GET", "/docs/page.css", style, quiet=True),
)
