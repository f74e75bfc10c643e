"""An instance in the test's own process, for what cannot be caused or seen from outside: faults of our own, memory.

The fixture `server` of conftest.py runs it.
"""

from __future__ import annotations

import asyncio
import itertools
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from aiohttp import web

from actors import errors as runtime_errors
from api.contract.problems import Problem
from api.feed import handshake
from api.http.request import RequestContext
from api.http.services import Services
from storage import errors as storage_errors
from tests.acceptance.raw_http import JSON, Answer, RunningServer
from tests.acceptance.sample_mall import ORDER, fresh_key

# What no request can cause, only a fault of ours or of a store: raised in a handler.
FAULTS: Mapping[str, Exception] = {
    "internal": RuntimeError("SELECT secret FROM keys -- at mall/api/edge.py"),
    "overloaded": runtime_errors.Overloaded(),
    "unavailable": storage_errors.NotDone(),
    "outcome_unknown": storage_errors.Unreachable("ConnectionDoesNotExistError"),
    # They need a setting of their own: test_versions_negotiation.py and test_transport_deadlines.py have real ones.
    "version_gone": Problem("version_gone"),
    "version_brownout": Problem("version_brownout"),
    "too_many_connections": Problem("too_many_connections"),
    # Only the ops port gives it: test_machine_ops.py.
    "unknown_host": Problem("unknown_host"),
    # aiohttp's own.
    "not_acceptable": web.HTTPNotAcceptable(),
    "length_required": web.HTTPLengthRequired(),
}
# An operation that works, too, when no fault is asked for.
BROKEN = "feed.ticket"
_numbers = itertools.count(2)


async def broken(call: RequestContext) -> web.StreamResponse:
    """A handler that raises the fault that a header names."""
    if "X-Fault" in call.request.headers:
        raise FAULTS[call.request.headers["X-Fault"]]
    return await handshake.ticket(call)


@dataclass
class InProcessServer(RunningServer):
    """An instance in this process, with a handler that fails on demand.

    Each login comes from an address of its own, so that the limits of one test do not affect another.
    """

    services: Services
    address: str = "127.0.0.1"

    async def _exchange(self, data: bytes) -> bytes:
        async with asyncio.timeout(20):
            reader, writer = await asyncio.open_connection(
                "127.0.0.1", self.process.port, local_addr=(self.address, 0)
            )
            try:
                writer.write(data)
                return await reader.read()
            finally:
                writer.close()

    async def ask(
        self, role: str, method: str, path: str, body: Any = None, *more: tuple[str, str]
    ) -> Answer:
        """One request with JSON."""
        data = None if body is None else json.dumps(body).encode()
        return await self.send(method, path, [*([JSON] if data else []), *more], data, role=role)

    async def good(self, role: str, method: str, path: str, body: Any = None) -> Any:
        """One request that must succeed."""
        answer = await self.ask(role, method, path, body, ("Idempotency-Key", fresh_key()), ("If-Match", "*"))
        assert answer.status < 300, answer
        return answer.json if answer.body else None

    async def enter(self, name: str, email: str, password: str) -> None:
        """Log in from an address of its own."""
        self.address = f"127.0.1.{next(_numbers)}"
        login = {"email": email, "password": password}
        self.tokens[name] = (await self.good("", "POST", "/api/v2/auth/login", login))["access_token"]

    async def zone(self, currency: str = "EUR", **product: Any) -> tuple[str, str]:
        """An open zone with a store; returns its id and that of a product."""
        zone = (await self.good("admin", "POST", "/api/v2/zones", {"name": "Zone", "mode": "open"}))["id"]
        return zone, await self.product(zone, currency, **product)

    async def product(self, zone: str, currency: str = "EUR", **more: Any) -> str:
        """A product of a new store."""
        body = {"zone_id": zone, "name": "Store", "lat": 52.52, "lon": 13.4}
        store = (await self.good("admin", "POST", "/api/v2/stores", body))["id"]
        body = {"store_id": store, "name": "Thing", "price": {"amount_minor": 5, "currency": currency}}
        return str((await self.good("admin", "POST", "/api/v2/products", body | more))["id"])

    async def driver(self, zone: str) -> str:
        """A driver who is online, and can carry one order; returns its name among the tokens."""
        name = f"driver-{next(_numbers)}"
        account = {"email": f"{name}@mall.example", "password": "long enough"}
        body = {**account, "name": name, "role": "driver", "zone_id": zone}
        await self.good("admin", "POST", "/api/v2/users", body)
        await self.enter(name, **account)
        await self.good(name, "PUT", "/api/v2/drivers/me/availability", {"status": "online"})
        return name

    async def new_order(self, *products: str) -> str:
        """An order of the customer."""
        return str((await self.good("customer", "POST", "/api/v2/orders", ordered(*products)))["id"])

    async def place(self, *products: str) -> Answer:
        """An order that will perhaps be refused."""
        return await self.ask(
            "customer", "POST", "/api/v2/orders", ordered(*products), ("Idempotency-Key", fresh_key())
        )


def ordered(*products: str) -> Any:
    return {**ORDER, "items": [{"product_id": product, "quantity": 1} for product in products]}
