"""A server that is killed under an open page: stale, lost, actions off, and live again by itself."""

from __future__ import annotations

import tempfile
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from playwright.async_api import Browser, expect

from loadtests.kit.client import Mall, open_http
from loadtests.kit.server import EMBEDDED, ServerProcess
from tests.acceptance.sample_mall import ORDER, PEOPLE, fresh_key
from tests.browser.conftest import Visitors
from tests.browser.story_pages import freshness
from tests.support.program import login

SAMPLE_ZONE = "/console/z/zon_1"


@pytest.fixture
async def doomed(chromium_path: str) -> AsyncIterator[ServerProcess]:
    """A server of this test alone."""
    del chromium_path
    with tempfile.TemporaryDirectory(prefix="mall-doomed-", ignore_cleanup_errors=True) as folder:
        process = ServerProcess(Path(folder), EMBEDDED)
        await process.start()
        try:
            yield process
        finally:
            await process.end()


async def order_at(server: ServerProcess) -> str:
    """An order of the sample customer."""
    async with open_http() as http:
        customer = await login(Mall(http, server.url), *PEOPLE["customer"])
        return str((await customer.do("POST", "/api/v2/orders", ORDER, key=fresh_key()))["id"])


async def test_killed_server_is_seen_and_its_return_too(browser: Browser, doomed: ServerProcess) -> None:
    visitors = Visitors(browser, doomed)
    async with visitors.closing:
        order = await order_at(doomed)
        page = await visitors.admin(f"{SAMPLE_ZONE}?sel={order}")
        page.allowed = ["WebSocket connection to", "ERR_CONNECTION_REFUSED"]
        pill = freshness(page)
        cancel = page.page.get_by_role("button", name="Cancel order")
        await expect(pill).to_contain_text("Live")
        await expect(cancel).to_be_enabled()
        await doomed.kill()
        await expect(pill).to_contain_text("Stale")
        await expect(cancel).to_be_enabled()
        await expect(pill).to_contain_text("Connection lost")
        await expect(cancel).to_be_disabled()
        assert await page.violations() == []
        await doomed.start()
        await expect(pill).to_contain_text("Live", timeout=40_000)
        await expect(cancel).to_be_enabled()
        visitors.assert_quiet()
