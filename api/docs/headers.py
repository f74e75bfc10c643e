"""Headers of the documents, each described once; operations refer to them by name (JSON Schema 2020-12)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any


def _text(description: str, example: str, length_max: int, pattern: str, **more: Any) -> dict[str, Any]:
    schema = {"type": "string", "maxLength": length_max, "pattern": pattern}
    return {"description": description, "schema": schema, "example": example, **more}


_VISIBLE = r"^[ -~]*$"
_TAG = r'^(W/)?"[!#-~]*"$'
# Values of a conditional header: one tag or more, or `*`.
_TAGS = r'^(\*|(W/)?"[!#-~]*")$'

# Headers of answers.
HEADERS: Mapping[str, dict[str, Any]] = {
    "X-Trace-ID": _text(
        "Names this request in our logs; the same as `trace_id` of a problem.",
        "0af7651916cd43dd8448eb211c80319c", 32, "^[0-9a-f]{32}$", required=True,
    ),
    "Location": _text("Where the new resource is.", "/api/v2/orders/ord_17", 200, "^/[A-Za-z0-9/_.-]+$"),
    "ETag": _text("The version of what is shown.", '"3"', 100, _TAG),
    "Idempotent-Replayed": _text(
        "`true`: the request was carried out before under the same key; this is its answer again.",
        "true", 5, "^true$",
    ),
    "Retry-After": {
        "description": "Seconds until it makes sense to send the request again.",
        "schema": {"type": "integer", "format": "int32", "minimum": 0, "maximum": 86_400},
        "example": 1,
    },
    "WWW-Authenticate": _text(
        "How to authenticate (RFC 6750).", 'Bearer realm="mall", error="invalid_token"', 300, _VISIBLE
    ),
    "Content-Language": _text("Language of title and detail.", "en", 10, "^[a-z-]+$"),
    "RateLimit": _text(
        "What is left of the limit, and for how many seconds (IETF draft).", '"reads";r=99;t=60', 200, _VISIBLE
    ),
    "RateLimit-Policy": _text("The limit: requests in a window of seconds.", '"reads";q=100;w=60', 200, _VISIBLE),
    "Deprecation": _text("Since when this is deprecated (RFC 9745).", "@1798761600", 30, "^@[0-9]+$"),
    "Sunset": _text(
        "When it ends (RFC 8594).", "Fri, 01 Jan 2027 00:00:00 GMT", 40, "^[A-Za-z]{3}, [0-9A-Za-z: ]+ GMT$"
    ),
    "Link": _text(
        "Where to go instead (RFC 8288).", '</api/v2>; rel="successor-version"', 500, _VISIBLE
    ),
    "Access-Control-Allow-Origin": _text(
        "The caller's origin, if it is one of those configured.", "https://shop.example", 200, _VISIBLE
    ),
    "Cache-Control": _text("Who may keep the answer, and for how long.", "no-store", 100, _VISIBLE),
    "Vary": _text("Which request headers the answer depends on.", "Mall-Api-Version", 100, _VISIBLE),
    "Mall-Api-Version": _text("The version that answered.", "2", 20, "^[0-9-]+$"),
}  # fmt: skip

# Headers of requests.
TAKEN: Mapping[str, dict[str, Any]] = {
    "If-Match": _text("Change it only if this is still its ETag.", '"3"', 8000, _TAGS),
    "Last-Event-ID": _text(
        "The `id` of the last event that was seen, as EventSource sends it.",
        "4",
        9,
        "^[1-9][0-9]{0,8}$",
    ),
    "If-None-Match": _text("Send it only if this is not its ETag any more.", '"3"', 8000, _TAGS),
}

# The handler checks the key itself; it accepts quotes around it.
KEY = {
    "name": "Idempotency-Key",
    "in": "header",
    "description": "16 to 255 visible ASCII characters, best a random UUID. The same key and body get the same "
    "answer, and have one effect.",
    "schema": {
        "type": "string", "minLength": 16, "maxLength": 255, "pattern": r"^[!#-~]{16,255}$",
    },
    "example": "5f0c1d9e-7b3a-4f0e-9a61-2d8f7f1f5a10",
}  # fmt: skip


def headers_of(names: Iterable[str]) -> dict[str, Any]:
    """References to these headers."""
    return {name: {"$ref": f"#/components/headers/{name}"} for name in names}


def taken(name: str, *, required: bool = False) -> dict[str, Any]:
    """A request header as a parameter."""
    return {"name": name, "in": "header", "required": required, **TAKEN[name]}
