"""The headers of every kind of answer: what each must have, and what none may have."""

from __future__ import annotations

import asyncio
import json
import re

import pytest

from api.contract.problems import KINDS, Problem, problem_response
from api.pages.registry import policy_of
from tests.acceptance.raw_http import ALLOWED_ORIGIN, FEED, JSON, UPGRADE, Headers, RunningServer
from tests.acceptance.shared_server.transport_vectors import VECTORS

ALWAYS = {
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "content-security-policy": "default-src 'none'; frame-ancestors 'none'",
    "server": "mall",
}
DOCS_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; frame-ancestors 'none'"
)
POLICIES = {"/docs": DOCS_POLICY, "/console/": policy_of(), "/drive": policy_of("mall-worker")}
BANNERS = re.compile(r"aiohttp|Python|uvloop|x-powered-by", re.IGNORECASE)


async def head_of(server: RunningServer, sent: bytes) -> tuple[int, dict[str, str]]:
    """Status and headers of the answer, however long its body may last."""
    reader, writer = await asyncio.open_connection("127.0.0.1", server.process.port)
    try:
        writer.write(sent)
        async with asyncio.timeout(8):
            head = (await reader.readuntil(b"\r\n\r\n")).decode()
    finally:
        writer.close()
    first, *fields = head.rstrip().split("\r\n")
    names = [field.partition(": ")[0].lower() for field in fields]
    assert len(names) == len(set(names)), f"one of {names} stands twice"
    return int(first.split()[1]), {f.partition(": ")[0].lower(): f.partition(": ")[2] for f in fields}


def request(
    server: RunningServer, method: str, path: str, role: str = "", headers: Headers = (), body: str = ""
) -> bytes:
    """A request, byte for byte."""
    fields = [("Host", "a"), *headers]
    if role:
        fields.append(("Authorization", f"Bearer {server.tokens[role]}"))
    if body:
        fields += [JSON, ("Content-Length", str(len(body)))]
    lines = [f"{method} {path} HTTP/1.1", *(f"{name}: {value!s}" for name, value in fields), "", ""]
    return "\r\n".join(lines).encode() + body.encode()


ZONE = json.dumps({"name": "Headers"})
# What is asked: method, path, role, body; and what comes: status, type, and how long it may be kept.
ANSWERS: dict[str, tuple[str, str, str, str, int, str, str | None]] = {
    "200": ("GET", "/api/v2/me", "admin", "", 200, "application/json", "no-store"),
    "201": ("POST", "/api/v2/zones", "admin", ZONE, 201, "application/json", "no-store"),
    "204": ("PUT", "/api/v2/drivers/me/location", "driver", '{"lat": 52.5, "lon": 13.4}', 204, "", None),
    "400": ("GET", "/api/v2/drivers/feed?x=1", "driver", "", 400, "application/problem+json", "no-store"),
    "401": ("GET", "/api/v2/me", "", "", 401, "application/problem+json", "no-store"),
    "403": ("GET", "/api/v2/users", "customer", "", 403, "application/problem+json", "no-store"),
    "404": ("GET", "/nowhere", "", "", 404, "application/problem+json", "no-store"),
    "405": ("PATCH", "/api/v2/me", "admin", "", 405, "application/problem+json", "no-store"),
    "405 without a body": ("HEAD", "/api/v2/auth/login", "", "", 405, "application/problem+json", "no-store"),
    "422": ("GET", "/api/v2/zones?x=1", "admin", "", 422, "application/problem+json", "no-store"),
    "426": ("GET", FEED, "driver", "", 426, "application/problem+json", "no-store"),
    "a probe": ("GET", "/health/liveness", "", "", 200, "application/json", "no-store"),
    "the document": ("GET", "/api/v2/openapi.json", "", "", 200, "application/json", "public, max-age=300"),
    "the page": ("GET", "/docs", "", "", 200, "text/html; charset=utf-8", None),
    "its script": ("GET", "/docs/page.js", "", "", 200, "text/javascript; charset=utf-8", None),
    "its style": ("GET", "/docs/page.css", "", "", 200, "text/css; charset=utf-8", None),
    "the console": ("GET", "/console/", "", "", 200, "text/html; charset=utf-8", "no-cache"),
    "the app of drivers": ("GET", "/drive", "", "", 200, "text/html; charset=utf-8", "no-cache"),
    "a file of it": ("GET", "/pages/design/tokens.css", "", "", 200, "text/css; charset=utf-8", "no-cache"),
    "an order, live": ("GET", "/api/v2/orders/{order}/track", "customer", "", 200, "text/event-stream", "no-store"),
}  # fmt: skip


@pytest.mark.parametrize(
    ("method", "path", "role", "body", "status", "kind", "kept"), ANSWERS.values(), ids=ANSWERS
)
async def test_every_kind_of_answer_has_the_headers_that_protect_it(
    server: RunningServer,
    method: str,
    path: str,
    role: str,
    body: str,
    status: int,
    kind: str,
    kept: str | None,
) -> None:
    sent = request(server, method, path.format(order=server.order), role, body=body)
    found, headers = await head_of(server, sent)
    policy = {"content-security-policy": POLICIES[path]} if path in POLICIES else {}
    assert found == status
    assert headers.items() >= (ALWAYS | policy).items()
    assert re.fullmatch("[0-9a-f]{32}", headers["x-trace-id"])
    assert headers.get("content-type", "").split(";")[0] == kind.split(";")[0]
    assert kept is None or headers["cache-control"] == kept
    assert headers["vary"].split(", ")[-1] == "Origin"
    assert BANNERS.search(repr(headers)) is None
    assert "set-cookie" not in headers


async def test_an_upgrade_has_them_too(server: RunningServer) -> None:
    sent = request(server, "GET", FEED, "driver", [(n, str(v)) for n, v in UPGRADE.items() if n != "Host"])
    status, headers = await head_of(server, sent)
    assert status == 101
    assert headers.items() >= ALWAYS.items()
    assert headers["sec-websocket-protocol"] == "malldrive.v1"
    assert "sec-websocket-extensions" not in headers, "no compression"
    assert re.fullmatch("[0-9a-f]{32}", headers["x-trace-id"])


@pytest.mark.fast_path("it answers itself what cannot be parsed")
@pytest.mark.parametrize("name", ["no request at all", "two Hosts", "65 headers", "a target of 4097 bytes"])
async def test_what_is_no_request_gets_exactly_these(server: RunningServer, name: str) -> None:
    _, headers = await head_of(server, VECTORS[name].sent)
    own = {"x-trace-id", "content-length", "date"}
    assert {k: v for k, v in headers.items() if k not in own} == ALWAYS | {
        "cache-control": "no-store", "content-language": "en", "content-type": "application/problem+json",
        "connection": "close", "mall-api-version": "2", "vary": "Mall-Api-Version",
    }  # fmt: skip
    assert own <= headers.keys()


@pytest.mark.parametrize("code", KINDS)
def test_every_problem_has_them_also_those_that_are_our_fault(code: str) -> None:
    headers = {
        name.lower(): value for name, value in problem_response(Problem(code), "0" * 32).headers.items()
    }
    assert headers.items() >= ALWAYS.items()
    assert (headers["cache-control"], headers["content-type"]) == ("no-store", "application/problem+json")


def permissions(headers: dict[str, str]) -> dict[str, str]:
    """What a browser is told of origins; lists in alphabetical order."""
    return {
        name: ",".join(sorted(value.split(",")))
        for name, value in headers.items()
        if name.startswith("access-control-")
    }


# -- origins ----------------------------------------------------------------------------------------------

ORIGINS: dict[str, tuple[list[tuple[str, str]], dict[str, str]]] = {
    "none": ([], {}),
    "ours": (
        [("Origin", ALLOWED_ORIGIN)],
        {
            "access-control-allow-origin": ALLOWED_ORIGIN,
            "access-control-expose-headers": "Accept-Patch,Accept-Post,Allow,Content-Language,Deprecation,ETag,"
            "Idempotent-Replayed,Link,Location,Mall-Api-Version,RateLimit,RateLimit-Policy,Retry-After,Sunset,Vary,"
            "WWW-Authenticate,X-RateLimit-Limit,X-RateLimit-Remaining,X-RateLimit-Reset,X-Trace-ID",
        },
    ),
    "foreign": ([("Origin", "https://evil.example")], {}),
    "null": ([("Origin", "null")], {}),
    "ours in capitals": ([("Origin", ALLOWED_ORIGIN.upper())], {}),
    "ours over http": ([("Origin", ALLOWED_ORIGIN.replace("https", "http"))], {}),
    "ours with a suffix": ([("Origin", ALLOWED_ORIGIN + ".evil")], {}),
    "two": ([("Origin", f"{ALLOWED_ORIGIN} https://evil.example")], {}),
}


@pytest.mark.parametrize(("given", "told"), ORIGINS.values(), ids=ORIGINS)
async def test_only_an_origin_of_ours_may_read_the_answer(
    server: RunningServer, given: list[tuple[str, str]], told: dict[str, str]
) -> None:
    for path in ("/api/v2/me", "/api/v2/zones?x=1"):
        _, headers = await head_of(server, request(server, "GET", path, "admin", given))
        assert permissions(headers) == told
        assert headers["vary"].split(", ")[-1] == "Origin"


async def test_preflight_of_an_origin_of_ours_allows_this_and_nothing_more(server: RunningServer) -> None:
    given = [
        ("Origin", ALLOWED_ORIGIN), ("Access-Control-Request-Method", "POST"),
        ("Access-Control-Request-Headers", "authorization, idempotency-key"),
    ]  # fmt: skip
    status, headers = await head_of(server, request(server, "OPTIONS", "/api/v2/orders", headers=given))
    assert status == 200
    assert permissions(headers) == {
        "access-control-allow-origin": ALLOWED_ORIGIN,
        "access-control-allow-methods": "POST",
        "access-control-allow-headers": "AUTHORIZATION,IDEMPOTENCY-KEY",
        "access-control-max-age": "600",
    }
    assert headers["vary"].split(", ")[-1] == "Origin"
    assert headers.items() >= ALWAYS.items()
