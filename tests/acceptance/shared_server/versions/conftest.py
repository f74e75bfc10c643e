"""The client of both versions, on the server of the room above."""

from __future__ import annotations

import pytest

from tests.acceptance.raw_http import RunningServer
from tests.acceptance.shared_server.versions.two_versions import BothVersions, furnish
from tests.acceptance.token_forge import lasting, own_key


@pytest.fixture(scope="session")
async def client(server: RunningServer) -> BothVersions:
    """A client of both versions, with a zone, a store and a driver of its own."""
    client = BothVersions(server.http, server.process.url, dict(server.tokens))
    await furnish(client)
    client.tokens["courier"] = lasting(client.tokens["courier"], await own_key(server.database))
    return client
