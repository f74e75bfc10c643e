"""How everything broken is sent to a real server, and what each of its refusals must look like."""

from __future__ import annotations

import asyncio
import itertools
import json
import re
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

import aiohttp

from api.contract.problems import KINDS
from loadtests.client import PROTOCOL
from loadtests.server import ServerProcess

ALLOWED_ORIGIN = "https://shop.example"
# The first rows of the sample mall, and who is in it.
ZONE, STORE, PRODUCT, ADMIN, CUSTOMER, DRIVER = "zon_1", "sto_1", "prd_1", "usr_1", "usr_2", "drv_3"
PEOPLE = {
    "admin": ("admin@mall.example", "a password for tests"),
    "customer": ("customer@mall.example", "sample-customer"),
    "driver": ("driver@mall.example", "sample-driver"),
}
# What the library says, and what sends a reader elsewhere.
FOREIGN_WORDS = re.compile("Input should|valid array|valid dictionary|instance of|Field required|see code")
LEAK = re.compile(r'Traceback|asyncpg|File "|SELECT |aiohttp/|postgres|[a-z]\.py\b|site-packages|pydantic')
DROPOFF = {"lat": 52.52, "lon": 13.4, "address": "Second floor"}
ORDER = {"items": [{"product_id": PRODUCT, "quantity": 1}], "dropoff": DROPOFF, "payment": "cash"}
SOON = (datetime.now(UTC) + timedelta(hours=1)).isoformat()
_numbers = itertools.count(1)

Headers = Sequence[tuple[str, str | bytes]]
JSON: tuple[str, str] = ("Content-Type", "application/json")
ANY_VERSION: tuple[str, str] = ("If-Match", "*")


class Operation(NamedTuple):
    """How to call an operation: `{order}` is an order of the sample customer; no body: it takes none."""

    method: str
    path: str
    role: str
    body: Any = None


# Everything that writes, with a body that would be accepted.
WRITES: Mapping[str, Operation] = {
    "auth.register": Operation(
        "POST", "/api/v2/auth/register", "", {"email": "a@b.example", "password": "long enough", "name": "A"}
    ),
    "auth.login": Operation(
        "POST", "/api/v2/auth/login", "", {"email": "a@b.example", "password": "long enough"}
    ),
    "auth.refresh": Operation("POST", "/api/v2/auth/refresh", "", {"refresh_token": "r" * 60}),
    "auth.logout": Operation("POST", "/api/v2/auth/logout", "customer"),
    "auth.password": Operation(
        "POST", "/api/v2/me/password", "customer",
        {"old_password": "not the old one", "new_password": "long enough"},
    ),
    "users.create": Operation(
        "POST", "/api/v2/users", "admin",
        {"email": "d@b.example", "password": "long enough", "name": "D", "role": "driver",
         "zone_id": ZONE, "capacity": 2},
    ),
    "auth.reset": Operation(
        "POST", "/api/v2/auth/password-reset", "",
        {"token": f"rst_{'5f0c1d9e' * 8}", "new_password": "long enough"},
    ),
    "users.password": Operation(
        "PUT", "/api/v2/users/usr_3/password", "admin", {"new_password": "long enough"}
    ),
    "users.reset": Operation("POST", "/api/v2/users/usr_3/password-reset", "admin"),
    "users.delete": Operation("DELETE", "/api/v2/users/usr_999999", "admin"),
    "users.update": Operation(
        "PATCH", "/api/v2/users/usr_3", "admin", {"name": "D", "zone_id": ZONE, "capacity": 2}
    ),
    "zones.create": Operation(
        "POST", "/api/v2/zones", "admin",
        {"name": "Z", "mode": "waves", "wave_size": 3, "offer_ttl_s": 20, "offer_distance_max_m": 50_000,
         "release_pause_s": 600, "give_up_after_s": 3600, "driver_pay_minor": 350,
         "area": [{"lat": 0, "lon": 0}, {"lat": 0, "lon": 1}, {"lat": 1, "lon": 1}]},
    ),
    "zones.update": Operation("PATCH", "/api/v2/zones/zon_1", "admin", {"name": "Z", "offer_ttl_s": 20}),
    "stores.create": Operation(
        "POST", "/api/v2/stores", "admin",
        {"zone_id": ZONE, "name": "S", "lat": 52.5, "lon": 13.4, "preparation_s": 60},
    ),
    "stores.update": Operation(
        "PATCH", "/api/v2/stores/sto_1", "admin", {"name": "S", "lat": 52.5, "active": True}
    ),
    "stores.delete": Operation("DELETE", "/api/v2/stores/sto_1", "admin"),
    "products.create": Operation(
        "POST", "/api/v2/products", "admin",
        {"store_id": STORE, "name": "P", "price": {"amount_minor": 450, "currency": "EUR"}, "stock": 5},
    ),
    "products.update": Operation(
        "PATCH", "/api/v2/products/prd_1", "admin", {"name": "P", "stock": 5, "active": True}
    ),
    "products.delete": Operation("DELETE", "/api/v2/products/prd_1", "admin"),
    "orders.create": Operation("POST", "/api/v2/orders", "customer", {**ORDER, "notes": "ring twice"}),
    "orders.ready_time": Operation(
        "PUT", "/api/v2/orders/{order}/ready-time", "admin", {"ready_at": SOON}
    ),
    "orders.track_ticket": Operation("POST", "/api/v2/orders/{order}/track/tickets", "customer"),
    "orders.accept": Operation(
        "POST", "/api/v2/orders/{order}/acceptance", "driver", {"offer_id": "ofr_1_1"}
    ),
    "orders.decline": Operation(
        "POST", "/api/v2/orders/{order}/decline", "driver", {"offer_id": "ofr_1_1", "reason": "far"}
    ),
    "orders.pickup": Operation("POST", "/api/v2/orders/{order}/pickup", "driver", {}),
    "orders.delivery": Operation("POST", "/api/v2/orders/{order}/delivery", "driver", {}),
    "orders.failure": Operation("POST", "/api/v2/orders/{order}/failure", "driver", {"reason": "no answer"}),
    "orders.cancel": Operation(
        "POST", "/api/v2/orders/{order}/cancellation", "customer", {"reason": "too late"}
    ),
    "orders.assign": Operation("POST", "/api/v2/orders/{order}/assignment", "admin", {"driver_id": DRIVER}),
    "orders.reassign": Operation(
        "POST", "/api/v2/orders/{order}/reassignment", "admin", {"driver_id": DRIVER, "reason": "dead phone"}
    ),
    "orders.conclude": Operation(
        "POST", "/api/v2/orders/{order}/conclusion", "admin", {"outcome": "returned", "reason": "at the counter"}
    ),
    "orders.release": Operation("POST", "/api/v2/orders/{order}/release", "admin", {"reason": "stuck"}),
    "payments.create": Operation(
        "POST", "/api/v2/payments", "customer", {"order_id": "ord_1", "method": "card", "token": "tok_success"}
    ),
    "payments.refund": Operation(
        "POST", "/api/v2/payments/pay_1/refund", "admin",
        {"amount": {"amount_minor": 100, "currency": "EUR"}, "reason": "stale"},
    ),
    "payments.settle": Operation(
        "POST", "/api/v2/payments/pay_1/settlement", "admin", {"outcome": "voided", "reason": "as the books say"}
    ),
    "drivers.availability": Operation(
        "PUT", "/api/v2/drivers/me/availability", "driver", {"status": "offline"}
    ),
    "drivers.take_offline": Operation(
        "PUT", f"/api/v2/drivers/{DRIVER}/availability", "admin", {"status": "offline"}
    ),
    "drivers.location": Operation(
        "PUT", "/api/v2/drivers/me/location", "driver", {"lat": 52.5, "lon": 13.4, "cseq": 1}
    ),
    "feed.ticket": Operation("POST", "/api/v2/realtime/tickets", "driver"),
}  # fmt: skip
# They need an Idempotency-Key.
KEYED = frozenset({"orders.create", "payments.create", "payments.refund"})
WITH_BODY = {name: write for name, write in WRITES.items() if write.body is not None}
BODILESS = {name: write for name, write in WRITES.items() if write.body is None}


class Answer(NamedTuple):
    """What came back; names of headers in lower case."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


@dataclass
class Target:
    """The server, its database, and tokens of `admin`, `customer`, `driver` and `other`, a second customer.

    `order` is an order of `customer` that nobody carries.
    """

    server: ServerProcess
    database: Any
    http: aiohttp.ClientSession
    tokens: dict[str, str]
    order: str

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
            reader, writer = await asyncio.open_connection("127.0.0.1", self.server.port)
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
            f"{self.server.url}/api/v2/drivers/feed", headers=headers, protocols=(PROTOCOL,), compress=0
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


def fresh_key() -> str:
    """An Idempotency-Key that was not used before."""
    return f"key-of-bad-input-{next(_numbers)}"


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
