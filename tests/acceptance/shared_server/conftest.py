"""The server of this room: started once by each worker of pytest-xdist, and checked after each test."""

from __future__ import annotations

import json
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import asyncpg
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from loadtests.kit.client import Mall, open_http
from loadtests.kit.server import open_server
from tests.acceptance.raw_http import ALLOWED_ORIGIN, RunningServer
from tests.acceptance.sample_mall import ORDER, PEOPLE, fresh_key
from tests.acceptance.token_forge import TokenForge, lasting, own_key, parts
from tests.support.server_log import ServerLog

# One customer places all orders of these tests, and pays for none.
UNBOUND = {"MALL_UNPAID_ORDERS_MAX": "1000", "MALL_HELD_PIECES_MAX": "1000000"}


async def _sign_up(mall: Mall) -> str:
    body = {"email": "other@mall.example", "password": "another customer", "name": "Other"}
    answer = await mall.do("POST", "/api/v2/auth/register", body)
    return str(answer["access_token"])


@pytest.fixture(scope="session")
async def server() -> AsyncIterator[RunningServer]:
    """A server with the sample mall, logged in as each role."""
    with tempfile.TemporaryDirectory(prefix="mall-shared-") as folder:
        environ = {"MALL_CORS_ORIGINS": ALLOWED_ORIGIN, "MALL_DELIVERY_RADIUS_M": "0", **UNBOUND}
        async with open_server(Path(folder), environ) as process, open_http() as http:
            mall = Mall(http, process.url)
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
                log = ServerLog(process.log_path)
                yield RunningServer(process, database, http, tokens, order["id"], log=log)
            finally:
                await database.close()
        log.assert_no_errors("after the last test or while it stopped")


@pytest.fixture(autouse=True)
def no_error_lines(request: pytest.FixtureRequest) -> Iterator[None]:
    """The server logs no error during the test, whatever is sent to it."""
    if "server" not in request.fixturenames:
        yield
        return
    log = request.getfixturevalue("server").log
    log.assert_no_errors("before this test, after the one before")
    yield
    log.assert_no_errors("during this test")


@pytest.fixture
async def database_unchanged(server: RunningServer) -> AsyncIterator[None]:
    """No row is inserted, changed or deleted by the test."""
    before = await server.contents()
    yield
    assert await server.contents() == before


@pytest.fixture(scope="module")
async def token_forge(server: RunningServer) -> TokenForge:
    """Makes valid and forged tokens of the sample driver."""
    email, password = PEOPLE["driver"]
    login = {"email": email, "password": password}
    mall = Mall(server.http, server.process.url)
    good = (await mall.do("POST", "/api/v2/auth/login", login))["access_token"]
    return TokenForge(good, *parts(good), await own_key(server.database), Ed25519PrivateKey.generate())
