"""Broken headers: content types and encodings, credentials, traces, origins."""

from __future__ import annotations

import asyncio
import gzip
import json
import re
import zlib

import pytest

from tests.acceptance.raw_http import JSON, Answer, Headers, RunningServer, refusal
from tests.acceptance.write_operations import WITH_BODY, WRITES

unchanged = pytest.mark.usefixtures("database_unchanged")

# -- what kind of body ------------------------------------------------------------------------------------

TYPES: dict[str, Headers] = {
    "none": [],
    "empty": [("Content-Type", "")],
    "text": [("Content-Type", "text/plain")],
    "form": [("Content-Type", "application/x-www-form-urlencoded")],
    "multipart": [("Content-Type", "multipart/form-data; boundary=x")],
    "text/json": [("Content-Type", "text/json")],
    "problem": [("Content-Type", "application/problem+json")],
    "merge patch": [("Content-Type", "application/merge-patch+json")],
    "anything": [("Content-Type", "*/*")],
    "latin-1": [("Content-Type", "application/json; charset=latin-1")],
    "UTF-16": [("Content-Type", "application/json; charset=utf-16")],
    "unknown charset": [("Content-Type", "application/json; charset=klingon")],
    "charset that is not ASCII": [("Content-Type", b"application/json; charset=\xff")],
    "no kind at all": [("Content-Type", "json")],
}


@unchanged
@pytest.mark.parametrize("headers", TYPES.values(), ids=TYPES)
async def test_a_body_that_is_not_json_by_its_own_word_is_refused(
    server: RunningServer, headers: Headers
) -> None:
    for name, operation in WITH_BODY.items():
        patch = operation.method == "PATCH"
        if patch and headers == TYPES["merge patch"]:
            continue
        body = json.dumps(operation.body).encode()
        answer = await server.write(name, body, headers)
        refusal(answer, 415, "unsupported_media_type")
        taken = "application/merge-patch+json, application/json" if patch else "application/json"
        assert answer.headers["accept-patch" if patch else "accept-post"] == taken


ENCODED = {
    "gzip": ("gzip", gzip.compress(b"{}")),
    "gzip that is none": ("gzip", b"no gzip"),
    "gzip cut short": ("gzip", gzip.compress(b"{}" * 100)[:-9]),
    "gzip bomb": ("gzip", gzip.compress(b" " * 2_000_000)),
    "gzip twice": ("gzip, gzip", gzip.compress(gzip.compress(b"{}"))),
    "deflate": ("deflate", zlib.compress(b"{}")),
    "deflate that is none": ("deflate", b"no deflate"),
    "unknown": ("rot13", b"{}"),
    "identity and gzip": ("identity, gzip", gzip.compress(b"{}")),
}


@unchanged
@pytest.mark.parametrize(("encoding", "body"), ENCODED.values(), ids=ENCODED)
async def test_no_operation_takes_an_encoded_body(server: RunningServer, encoding: str, body: bytes) -> None:
    for name in WRITES:
        answer = await server.write(name, body, (JSON, ("Content-Encoding", encoding)))
        refusal(answer, 415, "unsupported_media_type")


async def test_a_client_that_hangs_up_in_its_body_is_no_fault_of_ours(server: RunningServer) -> None:
    """It would be an error line in the server's log, which is checked after each test."""
    _, writer = await asyncio.open_connection("127.0.0.1", server.process.port)
    writer.write(b"POST /api/v2/auth/login HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n")
    writer.write(b"Content-Length: 100\r\n\r\n{")
    await writer.drain()
    writer.transport.abort()
    assert (await server.send("GET", "/health/liveness")).status == 200, (
        "it has seen the end before this request"
    )


# -- credentials ------------------------------------------------------------------------------------------

CREDENTIALS = {
    "none": [],
    "empty": [("Authorization", "")],
    "no scheme": [("Authorization", "{token}")],
    "only a scheme": [("Authorization", "Bearer")],
    "another scheme": [("Authorization", "Basic YWRtaW46YWRtaW4=")],
    "an invented scheme": [("Authorization", "Token {token}")],
    "scheme and token in one": [("Authorization", "Bearer{token}")],
    "colon": [("Authorization", "Bearer: {token}")],
    "equals sign": [("Authorization", "Bearer={token}")],
    "quotes": [("Authorization", 'Bearer "{token}"')],
    "tab": [("Authorization", "Bearer\t{token}")],
    "two spaces": [("Authorization", "Bearer  {token}")],
    "something behind": [("Authorization", "Bearer {token} x")],
    "a list": [("Authorization", "Bearer {token}, Bearer {token}")],
    "twice": [("Authorization", "Bearer {token}"), ("Authorization", "Bearer {token}")],
    "not UTF-8": [("Authorization", b"Bearer \xff\xfe.\xfd.\xfc")],
    "not ASCII": [("Authorization", "Bearer ключ.ключ.ключ")],
    "in a cookie": [("Cookie", "access_token={token}; token={token}")],
    "in another header": [("X-Access-Token", "{token}"), ("Proxy-Authorization", "Bearer {token}")],
    "by word of a proxy": [("X-Forwarded-User", "usr_1"), ("X-User-Id", "1"), ("X-Role", "admin")],
}  # fmt: skip


@unchanged
@pytest.mark.parametrize("headers", CREDENTIALS.values(), ids=CREDENTIALS)
async def test_credentials_in_any_other_form_are_refused(server: RunningServer, headers: Headers) -> None:
    token = server.tokens["admin"]
    sent = [(name, v.replace("{token}", token) if isinstance(v, str) else v) for name, v in headers]
    answer = await server.send("GET", "/api/v2/users", sent)
    refusal(answer, 401, "unauthenticated")
    assert answer.headers["www-authenticate"].startswith('Bearer realm="mall"')
    assert token not in repr(answer)


@unchanged
async def test_a_token_in_the_query_is_no_credential(server: RunningServer) -> None:
    answer = await server.send("GET", f"/api/v2/me?access_token={server.tokens['admin']}")
    refusal(answer, 401, "unauthenticated")


@unchanged
async def test_a_wrong_password_and_an_unknown_account_look_the_same(server: RunningServer) -> None:
    answers = []
    for email in ("customer@mall.example", "nobody@mall.example"):
        body = json.dumps({"email": email, "password": "not the password"}).encode()
        answers.append(refusal(await server.write("auth.login", body), 401, "invalid_credentials"))
    assert len({json.dumps(problem | {"trace_id": ""}) for problem in answers}) == 1


@unchanged
async def test_an_unknown_refresh_token_is_refused(server: RunningServer) -> None:
    for token in ("ref_" + "0" * 64, server.tokens["customer"][:90]):
        body = json.dumps({"refresh_token": token}).encode()
        refusal(await server.write("auth.refresh", body), 401, "invalid_refresh_token")


@unchanged
async def test_an_address_that_is_taken_is_refused_in_any_case(server: RunningServer) -> None:
    for email in ("customer@mall.example", "CUSTOMER@Mall.Example"):
        body = WRITES["auth.register"].body | {"email": email}
        refusal(await server.write("auth.register", json.dumps(body).encode()), 409, "email_taken")


# -- traces -----------------------------------------------------------------------------------------------

TRACE = "0123456789abcdef0123456789abcdef"
TRACES: dict[str, Headers] = {
    "our own header": [("X-Trace-ID", TRACE)],
    "capitals": [("traceparent", f"00-{TRACE.upper()}-0123456789abcdef-01")],
    "version 01": [("traceparent", f"01-{TRACE}-0123456789abcdef-01")],
    "only zeros": [("traceparent", f"00-{'0' * 32}-0123456789abcdef-01")],
    "no parent": [("traceparent", f"00-{TRACE}-{'0' * 16}-01")],
    "too short": [("traceparent", f"00-{TRACE[:-1]}-0123456789abcdef-01")],
    "something behind": [("traceparent", f"00-{TRACE}-0123456789abcdef-01-00")],
    "not UTF-8": [("traceparent", b"\xff\xfe")],
}


@pytest.mark.parametrize("headers", TRACES.values(), ids=TRACES)
async def test_a_malformed_trace_is_replaced_by_a_new_one(server: RunningServer, headers: Headers) -> None:
    for path in ("/api/v2/me", "/nowhere", "/health/liveness"):
        answer = await server.send("GET", path, headers)
        assert re.fullmatch("[0-9a-f]{32}", answer.headers["x-trace-id"])
        assert answer.headers["x-trace-id"] != TRACE


async def test_a_valid_trace_goes_through_to_the_answer(server: RunningServer) -> None:
    headers = [("traceparent", f"00-{TRACE}-0123456789abcdef-01")]
    for path in ("/api/v2/me", "/nowhere"):
        assert refusal_trace(await server.send("GET", path, headers)) == TRACE


def refusal_trace(answer: Answer) -> str:
    """The trace of a refusal, from header and body alike."""
    code = {401: "unauthenticated", 404: "not_found"}[answer.status]
    return str(refusal(answer, answer.status, code)["trace_id"])


# -- origins ----------------------------------------------------------------------------------------------

PREFLIGHTS: dict[str, Headers] = {
    "foreign origin": [("Origin", "https://evil.example"), ("Access-Control-Request-Method", "POST")],
    "null origin": [("Origin", "null"), ("Access-Control-Request-Method", "POST")],
    "origin with a suffix": [
        ("Origin", "https://shop.example.evil"),
        ("Access-Control-Request-Method", "POST"),
    ],
    "no origin": [("Access-Control-Request-Method", "POST")],
}


@unchanged
@pytest.mark.parametrize("headers", PREFLIGHTS.values(), ids=PREFLIGHTS)
async def test_a_preflight_that_is_not_for_us_is_refused(server: RunningServer, headers: Headers) -> None:
    answer = await server.send("OPTIONS", "/api/v2/orders", headers)
    refusal(answer, 403, "forbidden_origin")
    assert not [name for name in answer.headers if name.startswith("access-control-")]


def preflight(method: str, *headers: str) -> Headers:
    """What a browser asks before it lets a page of a configured origin send a request."""
    named = [("Access-Control-Request-Headers", ", ".join(headers))] if headers else []
    return [("Origin", "https://shop.example"), ("Access-Control-Request-Method", method), *named]


@unchanged
async def test_a_preflight_with_a_foreign_header_names_the_header(server: RunningServer) -> None:
    answer = await server.send("OPTIONS", "/api/v2/orders", preflight("POST", "authorization", "x-shop"))
    problem = refusal(answer, 403, "forbidden_header")
    assert [fault["pointer"] for fault in problem["errors"]] == ["x-shop"]
    assert "Last-Event-ID" in problem["detail"], "and what is allowed"


@unchanged
async def test_a_preflight_for_a_method_that_is_not_there_says_so(server: RunningServer) -> None:
    refusal(await server.send("OPTIONS", "/api/v2/orders", preflight("BREW")), 403, "forbidden_method")


async def test_a_stream_may_be_resumed_from_another_origin(server: RunningServer) -> None:
    asked = preflight("GET", "authorization", "last-event-id", "cache-control")
    answer = await server.send("OPTIONS", f"/api/v2/orders/{server.order}/track", asked)
    assert answer.status == 200
    assert "LAST-EVENT-ID" in answer.headers["access-control-allow-headers"].upper()


async def test_a_page_of_another_origin_may_use_every_header_that_the_documents_name(
    server: RunningServer,
) -> None:
    for version in ("v1", "v2"):
        document = (await server.send("GET", f"/api/{version}/openapi.json")).json
        operations = [found for methods in document["paths"].values() for found in methods.values()]
        sent = {p["name"] for found in operations for p in found["parameters"] if p["in"] == "header"}
        given = {
            name
            for found in operations
            for answer in found["responses"].values()
            for name in answer.get("headers", ())
        }
        asked = await server.send("OPTIONS", f"/api/{version}/orders", preflight("POST", *sorted(sent)))
        assert asked.status == 200, asked.json
        read = await server.send("GET", f"/api/{version}/products", [("Origin", "https://shop.example")])
        shown = {name.strip() for name in read.headers["access-control-expose-headers"].split(",")}
        # CORS has its own for the first, and the second a page may always read (Fetch, 2.2.6).
        assert given - shown <= {"Access-Control-Allow-Origin", "Cache-Control"}


async def test_a_preflight_that_is_for_us_has_no_banner_and_a_trace(server: RunningServer) -> None:
    headers = [("Origin", "https://shop.example"), ("Access-Control-Request-Method", "POST")]
    answer = await server.send("OPTIONS", "/api/v2/orders", headers)
    assert (answer.status, answer.headers["server"]) == (200, "mall")
    assert re.fullmatch("[0-9a-f]{32}", answer.headers["x-trace-id"])
    assert answer.headers["access-control-allow-origin"] == "https://shop.example"
    assert "access-control-allow-credentials" not in answer.headers
