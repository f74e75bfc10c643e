"""The server that the tests about versions share: a plugin that their modules name in `pytest_plugins`."""

from __future__ import annotations

import pytest

from tests.acceptance.bad_input import Target
from tests.acceptance.forge import lasting, own_key
from tests.acceptance.two_versions import Both, furnish

pytest_plugins = ("tests.acceptance.bad_input_server",)


@pytest.fixture(scope="session")
async def both(target: Target) -> Both:
    """The server of the tests about bad input, with a zone of its own in it."""
    both = Both(target.http, target.server.url, dict(target.tokens))
    await furnish(both)
    both.tokens["courier"] = lasting(both.tokens["courier"], await own_key(target.database))
    return both
