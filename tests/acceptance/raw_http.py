"""Requests to a running server, byte for byte, and what each refusal must look like."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import aiohttp

from api.contract.problems import KINDS
from loadtests.kit.protocol import PROTOCOL
from loadtests.kit.server import ServerProcess
from tests.acceptance.sample_mall import fresh_key
from tests.acceptance.write_operations import KEYED, WRITES
from tests.support.server_log import ServerLog

ALLOWED_ORIGIN = "https://shop.example"
# What the library says, and what sends a reader elsewhere.
FOREIGN_WORDS = re.compile("Input should|valid array|valid dictionary|instance of|Field required|see code")
LEAK = re.compile(r'Traceback|asyncpg|File "|SELECT |aiohttp/|postgres|[a-z]\.py\b|site-packages|pydantic')

Headers = Sequence[tuple[str, str | bytes]]
JSON: tuple[str, str] = ("Content-Type", "application/json")
ANY_VERSION: tuple[str, str] = ("If-Match", "*")
FEED = "/api/v2/drivers/feed"
UPGRADE: dict[str, str | bytes] = {
    "Upgrade": "websocket",
    "Connection": "Upgrade",
    "Sec-WebSocket-Version": "13",
    "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
    "Sec-WebSocket-Protocol": "malldrive.v1",
}
# A whole request that is always answered with 200.
LIVENESS = b"GET /health/liveness HTTP/1.1\r\nHost: a\r\n\r\n"


class Answer(NamedTuple):
    """What came back; names of headers in lower case."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


@dataclass
class RunningServer:
    """A server, its database, and tokens of `admin`, `customer`, `driver` and `other`, a second customer.

    `order` is an order of `customer` that nobody carries. An instance in the test's own process has no `log`.
    """

    process: ServerProcess
    database: Any
    http: aiohttp.ClientSession
    tokens: dict[str, str]
    order: str
    log: ServerLog | None = field(default=None, kw_only=True)

    async def send(
        self, method: str, path: str, headers: Headers = (), body: bytes | None = None, *, role: str = ""
    ) -> Answer:
        """One request, byte for byte as given, on a connection of its own."""
        sent: list[tuple[str, str | bytes]] = [("Host", "mall"), ("Connection", "close"), *headers]
        if role:
            sent.append(("Authorization", f"Bearer {self.tokens[role]}"))
        if body is not None and not any(name == "Transfer-Encoding" for name, _ in headers):
            sent.append(("Content-Length", str(len(body))))
        lines = [f"{method} {path} HTTP/1.1".encode()]
        lines += [name.encode() + b": " + (v if isinstance(v, bytes) else v.encode()) for name, v in sent]
        raw = await self._exchange(b"\r\n".join(lines) + b"\r\n\r\n" + (body or b""))
        head, _, rest = raw.partition(b"\r\n\r\n")
        first, *fields = head.decode().split("\r\n")
        parts = (field.partition(": ") for field in fields)
        return Answer(int(first.split()[1]), {name.lower(): value for name, _, value in parts}, rest)

    async def _exchange(self, data: bytes) -> bytes:
        async with asyncio.timeout(10):
            reader, writer = await asyncio.open_connection("127.0.0.1", self.process.port)
            try:
                writer.write(data)
                return await reader.read()
            finally:
                writer.close()

    async def write(self, name: str, body: bytes | None, headers: Headers = (JSON,)) -> Answer:
        """Call an operation of WRITES with this body, with a key where one is needed."""
        operation = WRITES[name]
        path = operation.path.format(order=self.order)
        if name in KEYED and not any(header == "Idempotency-Key" for header, _ in headers):
            headers = (*headers, ("Idempotency-Key", fresh_key()))
        headers = (*headers, *_any_version(operation.method, headers))
        return await self.send(operation.method, path, headers, body, role=operation.role)

    @asynccontextmanager
    async def feed(
        self, role: str = "", hello: str | None = '{"t": "hello"}'
    ) -> AsyncIterator[aiohttp.ClientWebSocketResponse]:
        """A driver's socket, past its welcome unless there is no `hello`; without a role nobody's."""
        headers = {"Authorization": f"Bearer {self.tokens[role]}"} if role else {}
        async with self.http.ws_connect(
            f"{self.process.url}/api/v2/drivers/feed", headers=headers, protocols=(PROTOCOL,), compress=0
        ) as ws:
            if hello is not None:
                await ws.send_str(hello)
                assert (await ws.receive_json(timeout=5))["t"] == "welcome"
            yield ws

    async def contents(self) -> dict[str, tuple[int, int]]:
        """Of every table the number of rows, and a sum over all that is in them."""
        named = "SELECT tablename FROM pg_tables WHERE schemaname = 'public'"
        tables = [row[0] for row in await self.database.fetch(named)]
        # Where drivers were is written every ten seconds, perhaps by a test that is over.
        rest = "(to_jsonb(t) - CASE '{0}' WHEN 'drivers' THEN '{{lat,lon,located_at}}'::text[] ELSE '{{}}' END)::text"
        one = f"SELECT '{{0}}', count(*), coalesce(sum(hashtextextended({rest}, 0)), 0) FROM {{0}} t"
        rows = await self.database.fetch(" UNION ALL ".join(one.format(table) for table in tables))
        return {row[0]: (row[1], int(row[2])) for row in rows}


def _any_version(method: str, headers: Headers) -> Headers:
    """The If-Match that a write of a resource needs, unless there is one."""
    needed = method in ("PATCH", "DELETE") and not any(name == "If-Match" for name, _ in headers)
    return [ANY_VERSION] if needed else []


async def read_answer(reader: asyncio.StreamReader) -> Answer:
    """One answer with a Content-Length."""
    head = (await reader.readuntil(b"\r\n\r\n")).decode()
    first, *fields = head.rstrip().split("\r\n")
    assert first.startswith("HTTP/1.1 ")
    parts = (field.partition(": ") for field in fields)
    headers = {name.lower(): value for name, _, value in parts}
    body = await reader.readexactly(int(headers["content-length"]))
    return Answer(int(first.split()[1]), headers, body)


def refusal(answer: Answer, status: int, code: str) -> dict[str, Any]:
    """The problem in an answer, after everything that holds for every refusal was checked."""
    assert (answer.status, answer.json.get("code")) == (status, code), answer
    assert LEAK.search(repr(answer)) is None
    headers, problem = answer.headers, answer.json
    assert headers["content-type"] == "application/problem+json"
    assert (headers["content-language"], headers["cache-control"]) == ("en", "no-store")
    assert (headers["x-content-type-options"], headers["server"]) == ("nosniff", "mall")
    assert problem["status"] == answer.status
    assert problem["trace_id"] == headers["x-trace-id"]
    assert re.fullmatch("[0-9a-f]{32}", problem["trace_id"])
    assert problem["type"] == f"/problems/{code}"
    assert (problem["title"], problem["retryable"]) == (KINDS[code].title, KINDS[code].retryable)
    for fault in problem.get("errors", ()):
        assert fault.keys() == {"location", "pointer", "code", "detail"}
        assert not FOREIGN_WORDS.search(fault["detail"]), fault
    assert len(problem.get("errors", ())) <= 50
    assert (status == 401) == ("www-authenticate" in headers)
    return dict(problem)


def faults(problem: Mapping[str, Any]) -> set[tuple[str, str]]:
    """Where the faults are, as (location, pointer)."""
    return {(fault["location"], fault["pointer"]) for fault in problem["errors"]}


def grafted(body: Any, pointer: str, raw: str | None) -> bytes:
    """The body as JSON with something else at this place: `raw`, byte for byte, or nothing."""
    copy = json.loads(json.dumps(body))
    *path, last = pointer.split("/")[1:]
    parent = copy
    for step in path:
        parent = parent[int(step) if isinstance(parent, list) else step]
    name = int(last) if isinstance(parent, list) else last
    if raw is None:
        del parent[name]
        return json.dumps(copy).encode()
    parent[name] = "<here>"
    return json.dumps(copy).replace('"<here>"', raw).encode()
