"""OpenAPI document of version 1, translated from that of version 2."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from copy import deepcopy
from functools import cache
from typing import Any

import orjson
from aiohttp import web
from pydantic import BaseModel

from api.contract.problems import Problem
from api.contract.versions import GUIDE
from api.docs.examples import TRACE
from api.docs.headers import headers_of
from api.docs.openapi import make_document, query_parameters
from api.docs.static_document import Document
from api.http.operation import Operation
from api.http.request import RequestContext
from api.routes import ROUTES
from api.v1.examples import answers, bodies, refusals
from api.v1.handlers import NULLABLE, TRANSITIONS, WHOLE, bare
from api.v1.numbered_pages import LISTINGS, NumberedQuery
from api.v1.routes import TABLE, TRANSITION, Row
from api.v1.schemas import ID, REF, TEXT, translate_schemas

Part = dict[str, Any]

_PROBLEM = "application/problem+json"
_ERROR: Part = {"schema": {"$ref": REF + "Error"}}
# Statuses of conditional requests only.
_CONDITIONAL_STATUSES = ("304", "412", "428")
# The connection gives these before it reads the version, so they have the form of version 2.
_UNREAD_STATUSES = ("414", "431")
# Groups of operations that version 2 got later.
_LATER_TAGS = frozenset({"Reports"})
_CONDITIONAL_HEADERS = frozenset({"if-match", "if-none-match", "etag", "last-modified", "accept-patch"})
_LIMITS: Mapping[str, str] = {
    "X-RateLimit-Limit": "How many requests are allowed in a window.",
    "X-RateLimit-Remaining": "How many are left.",
    "X-RateLimit-Reset": "Seconds until one more is.",
}
_HEADERS: Part = {
    "Mall-Api-Version": {
        "description": "The version that answers.",
        "schema": {"type": "string", "const": "1"},
    },
    "Deprecation": {"description": "Since when (RFC 9745): @ and Unix seconds.", "schema": TEXT},
    "Sunset": {"description": "When this version ends (RFC 8594).", "schema": TEXT},
    "Link": {"description": "The guide, and the same in version 2.", "schema": TEXT},
}
_COUNTED: Part = {
    name: {
        "description": about,
        "schema": {"type": "integer", "format": "int32", "minimum": 0, "maximum": 1_000_000},
    }
    for name, about in _LIMITS.items()
}


def make_document_v1(routes: Iterable[Operation]) -> Part:
    """Build the document of version 1 from version 2's operations."""
    routes = list(routes)
    paths = {route.operation: (route.path, route.method.lower()) for route in routes}
    document = deepcopy(make_document(routes))
    there, parts = document["paths"], document["components"]
    parts["examples"]["version_gone"] = {"value": Problem("version_gone").as_json(TRACE)}
    parts["examples"] = refusals(parts["examples"])
    parts["headers"] |= {**_COUNTED, **_HEADERS}
    parts["headers"]["Location"]["example"] = "/api/v1/orders/17"
    found: Part = {}
    for row in TABLE:
        path, method = paths["orders.accept" if row.operation == TRANSITION else row.operation]
        described = _operation(row, deepcopy(there[path][method]))
        found.setdefault(row.path, {})[row.method.lower()] = described
    document["paths"] = found
    document["info"] |= {
        "version": "1",
        "description": f"Deprecated: version 2 is its successor, see {GUIDE}.",
    }
    schemas = translate_schemas(document["components"]["schemas"])
    for operation, fields in WHOLE.items():
        _require_whole(found, schemas, operation, fields)
    _describe_transition(found, schemas, {route.operation: route.body for route in routes})
    _without_examples(schemas)
    _prune(document)
    return document


def _operation(row: Row, described: Part) -> Part:
    described["deprecated"] = True
    described.pop("links", None)
    parameters = [_parameter(row, p) for p in described.get("parameters", ()) if _stays(p)]
    described["parameters"] = parameters + _numbered(row)
    described["responses"] = {
        status: _unread(response) if status in _UNREAD_STATUSES else _response(response)
        for status, response in described["responses"].items()
        if status not in _CONDITIONAL_STATUSES
    }
    gone = {
        "description": "`version_gone`: after the sunset.",
        "headers": described["responses"]["400"]["headers"],
    }
    example = {"version_gone": {"$ref": "#/components/examples/version_gone"}}
    gone["content"] = {_PROBLEM: {"schema": {}, "examples": example}}
    described["responses"]["410"] = _response(gone)
    if row.operation == TRANSITION:
        described |= {"operationId": "orders_transition", "summary": "Write the status of an order"}
        described["description"] = "What it takes depends on the status; see the guide."
        described["requestBody"]["required"] = True
    if row.way is bare:
        described.pop("requestBody", None)
    if "requestBody" in described:
        media = next(iter(described["requestBody"]["content"].values()))
        media["examples"] = bodies(row.operation, media["examples"])
        described["requestBody"]["content"] = {"application/json": media}
    return described


def _stays(parameter: Part) -> bool:
    """False for parameters that only version 2 has: queries, and conditional headers."""
    return parameter["in"] != "query" and parameter["name"].lower() not in _CONDITIONAL_HEADERS


def _parameter(row: Row, parameter: Part) -> Part:
    if parameter["in"] == "path":
        return {**parameter, "schema": ID, "example": 17}
    if parameter["name"] == "Idempotency-Key" and row.operation == "orders.create":
        return {**parameter, "required": False}
    return parameter


def _numbered(row: Row) -> list[Part]:
    if row.operation == "stores.products":
        model: type[NumberedQuery] = NumberedQuery
    elif row.operation in LISTINGS:
        model = LISTINGS[row.operation].query
    else:
        return []
    return query_parameters(model)


def _unread(response: Part) -> Part:
    return {
        "description": f"{response['description']} (As version 2 says it.)",
        "headers": response["headers"],
    }


def _response(response: Part) -> Part:
    headers = {n: h for n, h in response.get("headers", {}).items() if n.lower() not in _CONDITIONAL_HEADERS}
    if "RateLimit" in headers:
        headers = {n: h for n, h in headers.items() if not n.startswith("RateLimit")} | headers_of(_COUNTED)
    shown = {**response, "headers": {**headers, **headers_of(_HEADERS)}}
    shown.pop("links", None)
    content = response.get("content", {})
    if _PROBLEM in content:
        shown["content"] = {"application/json": {**_ERROR, "examples": content[_PROBLEM]["examples"]}}
    elif "application/json" in content:
        media = content["application/json"]
        shown["content"] = {"application/json": {**media, "examples": answers(media["examples"])}}
    return shown


def _require_whole(paths: Part, schemas: dict[str, Part], operation: str, fields: tuple[str, ...]) -> None:
    """Make the body of a PUT: the merge patch of version 2 with all fields required."""
    kind = operation.partition(".")[0]
    media = paths[f"/api/v1/{kind}/{{id}}"]["put"]["requestBody"]["content"]["application/json"]
    schema = deepcopy(schemas[media["schema"]["$ref"].removeprefix(REF)])
    schema["title"], schema["required"] = f"Whole{kind.capitalize()}", list(fields)
    for name, field in schema["properties"].items():
        if name not in NULLABLE and "anyOf" in field:
            kept = [part for part in field["anyOf"] if part.get("type") != "null"]
            rest = {key: value for key, value in field.items() if key not in ("anyOf", "default")}
            schema["properties"][name] = {**rest, **kept[0]} if len(kept) == 1 else {**rest, "anyOf": kept}
    schemas[schema["title"]] = schema
    media["schema"] = {"$ref": REF + schema["title"]}


def _describe_transition(
    paths: Part, schemas: Mapping[str, Part], bodies_of: Mapping[str, type[BaseModel] | None]
) -> None:
    """Describe the members beside `status`: those of the operation that the status leads to."""
    wanted: dict[str, list[str]] = {}
    for status, operation in TRANSITIONS.items():
        wanted.setdefault(operation, []).append(status)
    wanted["orders.assign"] = wanted["orders.accept"]
    variants = []
    for operation, statuses in wanted.items():
        model = bodies_of[operation]
        assert model is not None
        taken = deepcopy(schemas[model.__name__])
        taken["properties"] = {"status": {"type": "string", "enum": statuses}, **taken.get("properties", {})}
        taken["required"] = ["status", *taken.get("required", ())]
        variants.append(taken)
    path = next(row.path for row in TABLE if row.operation == TRANSITION)
    media = paths[path]["patch"]["requestBody"]["content"]["application/json"]
    media["schema"] = {"oneOf": variants}


def _without_examples(value: Any) -> None:
    """Remove examples from schemas; they are those of version 2."""
    if isinstance(value, list):
        for part in value:
            _without_examples(part)
    elif isinstance(value, dict):
        for name in ("example", "examples"):
            value.pop(name, None)
        for part in value.values():
            _without_examples(part)


def _prune(document: Part) -> None:
    """Drop parts without a reference."""
    schemas, wanted = document["components"]["schemas"], set()
    ahead = _references(document["paths"])
    while ahead:
        wanted |= ahead
        ahead = set().union(*(_references(schemas[name]) for name in ahead)) - wanted
    document["components"]["schemas"] = {name: schemas[name] for name in sorted(wanted)}
    document["tags"] = [tag for tag in document["tags"] if tag["name"] not in _LATER_TAGS]
    text = str(document["paths"])
    for kind in ("headers", "examples"):
        named = document["components"][kind]
        document["components"][kind] = {n: part for n, part in named.items() if f"/{kind}/{n}'" in text}


def _references(value: Any) -> set[str]:
    if isinstance(value, list):
        return set().union(*map(_references, value))
    if not isinstance(value, dict):
        return set()
    own = value.get("$ref")
    found = {own.removeprefix(REF)} if isinstance(own, str) and own.startswith(REF) else set()
    return found.union(*map(_references, value.values()))


@cache
def _document() -> Document:
    return Document(orjson.dumps(make_document_v1(ROUTES)))


async def serve(context: RequestContext) -> web.Response:
    """Serve the document."""
    return _document().answer(context, tagged=False)
