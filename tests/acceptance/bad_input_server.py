"""The server that all tests about bad input share: a plugin that their modules name in `pytest_plugins`."""

from __future__ import annotations

import json
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path

import asyncpg
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from loadtests.client import Mall, open_http
from loadtests.server import open_server
from tests.acceptance.bad_input import ALLOWED_ORIGIN, ORDER, PEOPLE, Target, fresh_key
from tests.acceptance.forge import Forge, lasting, own_key, parts
from tests.support.faults import faults_in

# One customer places all orders of these tests, and pays for none.
UNBOUND = {"MALL_UNPAID_ORDERS_MAX": "1000", "MALL_HELD_PIECES_MAX": "1000000"}


async def _sign_up(mall: Mall) -> str:
    body = {"email": "other@mall.example", "password": "another customer", "name": "Other"}
    answer = await mall.do("POST", "/api/v2/auth/register", body)
    return str(answer["access_token"])


@pytest.fixture(scope="session")
async def target() -> AsyncIterator[Target]:
    """The server; when all is over, its log must not tell of a single fault of its own."""
    with tempfile.TemporaryDirectory(prefix="mall-bad-") as folder:
        environ = {"MALL_CORS_ORIGINS": ALLOWED_ORIGIN, "MALL_DELIVERY_RADIUS_M": "0", **UNBOUND}
        async with open_server(Path(folder), environ) as server, open_http() as http:
            mall = Mall(http, server.url)
            tokens = {"other": await _sign_up(mall)}
            for role, (email, password) in PEOPLE.items():
                login = {"email": email, "password": password}
                tokens[role] = (await mall.do("POST", "/api/v2/auth/login", login))["access_token"]
            note = json.loads((Path(folder) / "addresses.json").read_text())
            database = await asyncpg.connect(note["database_url"])
            key = await own_key(database)
            tokens = {role: lasting(token, key) for role, token in tokens.items()}
            order = await mall.as_(tokens["customer"]).do("POST", "/api/v2/orders", ORDER, key=fresh_key())
            try:
                yield Target(server, database, http, tokens, order["id"])
            finally:
                await database.close()
        log = server.log_path.read_text()
    assert faults_in(log) == []


@pytest.fixture
async def nothing_changes(target: Target) -> AsyncIterator[None]:
    """Not one row is made, changed or lost by the test."""
    before = await target.contents()
    yield
    assert await target.contents() == before


@pytest.fixture(scope="module")
async def forge(target: Target) -> Forge:
    """A token as a driver gets it, and the means to twist it."""
    email, password = PEOPLE["driver"]
    login = {"email": email, "password": password}
    mall = Mall(target.http, target.server.url)
    good = (await mall.do("POST", "/api/v2/auth/login", login))["access_token"]
    return Forge(good, *parts(good), await own_key(target.database), Ed25519PrivateKey.generate())
