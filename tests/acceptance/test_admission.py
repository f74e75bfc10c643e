"""Admission comes before the body, once, on every route of both versions: each limit is at one here."""

from __future__ import annotations

import asyncio
import json
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from api.auth.permissions import PAGE_FILES, Access, allows
from api.routes import OPERATIONS, ROUTES
from api.v1.handlers import TRANSITION_ACCESS
from api.v1.routes import TABLE, TRANSITION
from loadtests.kit.server import ServerProcess, open_server

POLICIES = ("AUTH", "REFRESH", "ORDERS", "READS", "WRITES", "TICKETS", "COMMANDS", "LOCATIONS")
ONE_OF_EACH = {f"MALL_LIMIT_{name}_PER_MIN": "1" for name in POLICIES}
SETTINGS = {
    "MALL_RATE_LIMITS": "on",
    "MALL_UNDER_WAY_MAX": "1",
    "MALL_LIMIT_ADDRESS_FACTOR": "100",
    **ONE_OF_EACH,
}
# Which have no number in the settings, and are counted by address: their own test is below.
ROOMY = {"documents", "page-files", "shares", "strangers"}
IDS = {"orders": "ord_999999", "payments": "pay_999999", "stores": "sto_999999", "products": "prd_999999",
       "users": "usr_999999", "zones": "zon_999999", "webhooks": "whk_999999", "jobs": "job_999999"}  # fmt: skip

Known = tuple[str, str, Access]


def limited() -> dict[str, Known]:
    """Method, path and access of every route of both versions that has a limit."""
    found: dict[str, Known] = {}
    for route in ROUTES:
        name = route.path.split("/")[3] if route.path.startswith("/api/v2/") else ""
        path = route.path.replace("{id}", IDS.get(name, "1")).replace("{event}", "evt_1")
        path = path.replace("{name}", "no_such_task")
        found[f"v2 {route.operation}"] = (route.method, path, route.access)
    for row in TABLE:
        access = TRANSITION_ACCESS if row.operation == TRANSITION else OPERATIONS[row.operation].access
        found[f"v1 {row.operation}"] = (row.method, row.path.replace("{id}", "999999"), access)
    return {k: v for k, v in found.items() if v[2].policy is not None and v[2].policy.name not in ROOMY}


LIMITED = limited()


def test_only_probes_and_the_handshake_have_no_limit() -> None:
    unlimited = {route.operation for route in ROUTES if route.limit is None}
    assert unlimited == {"feed.open", "console.live", "health.liveness", "health.readiness", "health.startup"}


class ServerWithLimitsOfOne:
    """A server whose every limit is one, and people of each role that have asked for nothing yet."""

    def __init__(self, process: ServerProcess, people: dict[str, list[str]]) -> None:
        self.process = process
        self._people = people

    def token(self, access: Access) -> str:
        """A token of somebody new who may."""
        assert access.scope is not None
        role = next(role for role in ("customer", "driver", "admin") if allows(role, access.scope))
        return self._people[role].pop()

    async def exchange(self, request: bytes) -> tuple[int, dict[str, str], bytes]:
        """Send these bytes and nothing more; the answer."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.process.port)
        try:
            async with asyncio.timeout(15):
                writer.write(request)
                head = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
                fields = dict(line.lower().split(": ", 1) for line in head[1:] if line)
                body = await reader.readexactly(int(fields.get("content-length", 0)))
            return int(head[0].split()[1]), fields, body
        finally:
            writer.close()


@pytest.fixture(scope="module")
async def server() -> AsyncIterator[ServerWithLimitsOfOne]:
    with tempfile.TemporaryDirectory(prefix="mall-admission-") as folder:
        async with open_server(Path(folder), SETTINGS) as process:
            people = {
                role: [
                    person["access_token"]
                    for person in await process.mint(role, len(LIMITED) + 5, "--prefix", role, *options)
                ]
                for role, options in {"customer": (), "admin": (), "driver": ("--zone", "zon_1")}.items()
            }
            yield ServerWithLimitsOfOne(process, people)


def request(method: str, path: str, token: str, *fields: str, body: bytes = b"") -> bytes:
    lines = [f"{method} {path} HTTP/1.1", "Host: mall", "If-Match: *", *fields]
    if token:
        lines.append(f"Authorization: Bearer {token}")
    if method not in ("GET", "HEAD"):
        lines += ["Content-Type: application/json", "Idempotency-Key: a-key-of-admission-1"]
    return "\r\n".join([*lines, "", ""]).encode() + body


@pytest.mark.parametrize("name", LIMITED)
async def test_second_request_is_refused_by_its_policy_although_its_body_never_comes(
    server: ServerWithLimitsOfOne, name: str
) -> None:
    method, path, access = LIMITED[name]
    assert access.policy is not None
    token = server.token(access) if access.scope is not None else ""
    has_body = method not in ("GET", "HEAD")
    length = ("Content-Length: 2",) if has_body else ()
    raw = request(method, path, token, *length, body=b"{}" if has_body else b"")
    status, _, body = await server.exchange(raw)
    assert status != 429 or not token, "it was entered once"
    length = ("Content-Length: 1000",) if has_body else ()
    status, _, body = await server.exchange(request(method, path, token, *length))
    problem = json.loads(body)
    assert status == 429, problem
    if name.startswith("v2 "):
        assert problem["violated-policies"] == [access.policy.name]


async def test_a_request_that_is_refused_is_not_told_to_send_its_body(server: ServerWithLimitsOfOne) -> None:
    token, path = server.token(OPERATIONS["orders.create"].access), "/api/v2/orders"
    await server.exchange(request("POST", path, token, "Content-Length: 2", body=b"{}"))
    fields = ("Content-Length: 1000", "Expect: 100-continue")
    status, _, _ = await server.exchange(request("POST", path, token, *fields))
    assert status == 429, "the first line was no 100 Continue"


async def test_transition_of_version_1_takes_no_more_than_a_transition_needs(
    server: ServerWithLimitsOfOne,
) -> None:
    body = json.dumps({"status": "cancelled", "reason": "x" * 5000}).encode()
    raw = request(
        "PATCH",
        "/api/v1/orders/1",
        server.token(TRANSITION_ACCESS),
        f"Content-Length: {len(body)}",
        body=body,
    )
    status, _, _ = await server.exchange(raw)
    assert status == 413


async def test_searching_for_paths_that_are_not_there_is_limited_by_address(
    server: ServerWithLimitsOfOne,
) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", server.process.port)
    paths = [f"/wp-admin/{n}" for n in range(300)] + [f"/api/v1/secret{n}" for n in range(301)]
    statuses = []
    async with asyncio.timeout(60):
        for path in paths:
            writer.write(request("GET", path, ""))
            head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
            await reader.readexactly(int(head.split("content-length: ")[1].split("\r\n")[0]))
            statuses.append(int(head.split()[1]))
    writer.close()
    assert statuses == [404] * 600 + [429]


async def test_files_of_pages_are_limited_by_address_far_above_what_an_office_needs(
    server: ServerWithLimitsOfOne,
) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", server.process.port)
    statuses = []
    async with asyncio.timeout(100):
        for _ in range(PAGE_FILES.limit + 1):
            writer.write(request("GET", "/pages/nothing.js", ""))
            head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
            await reader.readexactly(int(head.split("content-length: ")[1].split("\r\n")[0]))
            statuses.append(int(head.split()[1]))
    writer.close()
    assert statuses == [404] * PAGE_FILES.limit + [429]
