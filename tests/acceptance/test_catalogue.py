"""Everything that can go wrong does go wrong here, once, and looks as the catalogue says.

A code without a row in HOW fails: whoever adds one says how it comes about.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from types import SimpleNamespace
from typing import Any

import asyncpg
import pytest
from aiohttp import web
from jsonschema import Draft202012Validator

import run
from actors import errors as runtime_errors
from api import app, doors, founding
from api.call import Call, Office
from api.docs.answers import SCHEMAS
from api.docs.catalogue import row_of
from api.problems import KINDS, Problem
from config.settings import load_settings
from loadtests.client import open_http
from storage import errors as storage_errors
from storage.servers import Addresses
from tests.acceptance.bad_input import (
    ALLOWED_ORIGIN,
    JSON,
    ORDER,
    PEOPLE,
    Answer,
    Headers,
    Target,
    fresh_key,
    refusal,
)
from tests.acceptance.test_bad_frames import FEED, UPGRADE

# What no request can bring about, but a fault of ours or of what we stand on: raised in a handler.
FAULTS: Mapping[str, Exception] = {
    "internal": RuntimeError("SELECT secret FROM /work"),
    "overloaded": runtime_errors.Overloaded(),
    "unavailable": storage_errors.NotDone(),
    "outcome_unknown": storage_errors.Unreachable("ConnectionDoesNotExistError"),
    # A moment that a test cannot hold: tests/integration has two at once.
    "request_in_flight": Problem("request_in_flight"),
    # aiohttp's own, and a row that nothing raises yet.
    "not_acceptable": web.HTTPNotAcceptable(),
    "length_required": web.HTTPLengthRequired(),
    "in_use": Problem("in_use"),
}
BROKEN = "/api/v2/zones"
_numbers = itertools.count(2)


async def broken(call: Call) -> web.StreamResponse:
    """The handler that fails as it is told."""
    raise FAULTS[call.request.headers["X-Fault"]]


@dataclass
class Stage(Target):
    """An instance in this process, with a handler that fails on demand. Each request comes from an address of its
    own, so that limits of one test do not meet another.
    """

    office: Office
    patch: pytest.MonkeyPatch

    async def _exchange(self, data: bytes) -> bytes:
        async with asyncio.timeout(20):
            reader, writer = await asyncio.open_connection(
                "127.0.0.1", self.server.port, local_addr=(self.address, 0)
            )
            try:
                writer.write(data)
                return await reader.read()
            finally:
                writer.close()

    address: str = "127.0.0.1"

    async def ask(self, role: str, method: str, path: str, body: Any = None, *more: tuple[str, str]) -> Answer:
        """One request with JSON."""
        data = None if body is None else json.dumps(body).encode()
        return await self.send(method, path, [*([JSON] if data else []), *more], data, role=role)

    async def good(self, role: str, method: str, path: str, body: Any = None) -> Any:
        """One request that must succeed."""
        answer = await self.ask(role, method, path, body, ("Idempotency-Key", fresh_key()))
        assert answer.status < 300, answer
        return answer.json if answer.body else None

    async def enter(self, name: str, email: str, password: str) -> None:
        """Log in from an address of its own."""
        self.address = f"127.0.1.{next(_numbers)}"
        login = {"email": email, "password": password}
        self.tokens[name] = (await self.good("", "POST", "/api/v2/auth/login", login))["access_token"]

    async def zone(self, currency: str = "EUR", **product: Any) -> tuple[str, str]:
        """An open zone with a store; returns its id and that of a product."""
        zone = (await self.good("admin", "POST", "/api/v2/zones2", {"name": "Zone", "mode": "open"}))["id"]
        return zone, await self.product(zone, currency, **product)

    async def product(self, zone: str, currency: str = "EUR", **more: Any) -> str:
        """A product of a new store."""
        body = {"zone_id": zone, "name": "Store", "lat": 1, "lon": 2}
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

    async def order(self, *products: str) -> str:
        """An order of the customer."""
        return str((await self.good("customer", "POST", "/api/v2/orders", ordered(*products)))["id"])

    async def place(self, *products: str) -> Answer:
        """An order that will perhaps be refused."""
        return await self.ask(
            "customer", "POST", "/api/v2/orders", ordered(*products), ("Idempotency-Key", fresh_key())
        )


def ordered(*products: str) -> Any:
    return {**ORDER, "items": [{"product_id": product, "quantity": 1} for product in products]}


@pytest.fixture(scope="module")
async def stage(template: str, redis_url: str) -> AsyncIterator[Stage]:
    """The instance; it lives in a task of its own, for what it opens must be closed where it was opened."""
    from tests.conftest import copy_database

    found: asyncio.Future[Stage] = asyncio.get_running_loop().create_future()
    over = asyncio.Event()

    async def live(database_url: str) -> None:
        settings = load_settings({"MALL_CORS_ORIGINS": ALLOWED_ORIGIN, "MALL_ADMIN_PASSWORD": PEOPLE["admin"][1]})
        routes = tuple(
            replace(route, handler=broken) if (route.method, route.path) == ("POST", BROKEN) else route
            for route in app.ROUTES
        )
        zones = next(route for route in app.ROUTES if (route.method, route.path) == ("POST", BROKEN))
        listeners = [socket.create_server(("127.0.0.1", 0)) for _ in range(3)]
        for listener in listeners:
            listener.setblocking(False)
        public, ops, peers = listeners
        patch = pytest.MonkeyPatch()
        patch.setattr(doors, "make_app", partial(_with_spare, routes, zones))
        try:
            async with run.open_office(settings, Addresses(database_url, redis_url), peers, over.set) as office:
                await founding.found(settings, office.database, office.passwords, office.entropy)
                async with run.working(office), doors.Doors(office, public, ops).open(asyncio.Event()), open_http() as http:
                    database = await asyncpg.connect(database_url)
                    port = public.getsockname()[1]
                    server: Any = SimpleNamespace(port=port, url=f"http://127.0.0.1:{port}")
                    found.set_result(Stage(server, database, http, {}, "", office, patch))
                    await over.wait()
                    await database.close()
        finally:
            patch.undo()
            for listener in listeners:
                listener.close()

    async with asyncio.TaskGroup() as tasks:
        living = tasks.create_task(live(await copy_database(template)))
        await asyncio.wait([living, found], return_when=asyncio.FIRST_COMPLETED)
        if living.done():
            living.result()
        shown = found.result()
        for role, (email, password) in PEOPLE.items():
            await shown.enter(role, email, password)
        yield shown
        over.set()
