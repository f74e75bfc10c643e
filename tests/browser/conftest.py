"""The server and the browser of this room, once for each worker of pytest-xdist, and pages for each test."""

from __future__ import annotations

import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest
from playwright.async_api import Browser, ViewportSize, async_playwright, expect

from loadtests.kit.client import Mall, open_http
from loadtests.kit.server import EMBEDDED, ServerProcess, open_server
from tests.acceptance.running_mall import RunningMall
from tests.acceptance.sample_mall import PEOPLE
from tests.browser.chromium import ARGUMENTS, PATIENCE_MS, WatchedPage, require_chromium
from tests.support.program import login
from tests.support.server_log import ServerLog

expect.set_options(timeout=PATIENCE_MS)
WINDOW: ViewportSize = {"width": 1280, "height": 800}
expect.set_options(timeout=PATIENCE_MS)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark every test of this room."""
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.browser)


@pytest.fixture(scope="session")
def chromium_path() -> str:
    """The browser, or a loud skip."""
    return require_chromium()


@pytest.fixture(scope="session")
async def browser(chromium_path: str) -> AsyncIterator[Browser]:
    """One browser; tests have contexts of their own in it."""
    async with async_playwright() as playwright:
        running = await playwright.chromium.launch(executable_path=chromium_path, args=ARGUMENTS)
        yield running
        await running.close()


@pytest.fixture(scope="session")
async def server(chromium_path: str) -> AsyncIterator[ServerProcess]:
    """A server with the sample mall. A test leaves it usable for the others."""
    del chromium_path  # without a browser no server either
    with tempfile.TemporaryDirectory(prefix="mall-browser-") as folder:
        async with open_server(Path(folder), EMBEDDED) as process:
            yield process


@pytest.fixture(autouse=True)
def no_error_lines(request: pytest.FixtureRequest) -> Iterator[None]:
    """The server logs no error during a test."""
    if "server" not in request.fixturenames:
        yield
        return
    log = ServerLog(request.getfixturevalue("server").log_path)
    yield
    log.assert_no_errors("during this test")


@pytest.fixture
async def admin(server: ServerProcess) -> AsyncIterator[Mall]:
    """The administrator, over the API."""
    async with open_http() as http:
        yield await login(Mall(http, server.url), *PEOPLE["admin"])


@pytest.fixture(scope="session")
async def mall(server: ServerProcess) -> AsyncIterator[RunningMall]:
    """The same server with its people, who make zones, order and drive."""
    async with open_http() as http:
        anybody = Mall(http, server.url)
        admin = await login(anybody, *PEOPLE["admin"])
        customer = await login(anybody, *PEOPLE["customer"])
        tokens = {"admin": admin.token, "customer": customer.token, "other": customer.token}
        yield RunningMall(server, http, tokens)


class Visitors:
    """Makes pages, and looks at the end that none of them has complained."""

    def __init__(self, browser: Browser, server: ServerProcess) -> None:
        self._browser = browser
        self._server = server
        self._pages: list[WatchedPage] = []
        self.closing = AsyncExitStack()

    async def page(
        self, scheme: str = "dark", locale: str = "en-GB", beside: WatchedPage | None = None, **profile: Any
    ) -> WatchedPage:
        """A page of a new browser profile, or another tab beside one. `profile` is Playwright's, as for a phone."""
        if beside is None:
            look: dict[str, Any] = {"viewport": WINDOW, "color_scheme": scheme, "locale": locale}
            context = await self._browser.new_context(**(look | profile))
            context.set_default_timeout(PATIENCE_MS)
            self.closing.push_async_callback(context.close)
        else:
            context = beside.page.context
        page = await WatchedPage.open(context, self._server.url)
        self._pages.append(page)
        return page

    async def admin(
        self, path: str = "/console/", scheme: str = "dark", locale: str = "en-GB"
    ) -> WatchedPage:
        """A page on which the administrator has signed in."""
        page = await self.page(scheme, locale)
        await page.goto(path)
        await sign_in(page, *PEOPLE["admin"])
        return page

    def assert_quiet(self) -> None:
        """Fail when any page has complained."""
        for page in self._pages:
            page.assert_quiet()


async def sign_in(page: WatchedPage, email: str, password: str) -> None:
    """Fill in the form that is shown, and send it."""
    await page.page.fill("[name=email]", email)
    await page.page.fill("[name=password]", password)
    await page.page.keyboard.press("Enter")


@pytest.fixture
async def visitors(browser: Browser, server: ServerProcess) -> AsyncIterator[Visitors]:
    """Pages for a test."""
    found = Visitors(browser, server)
    async with found.closing:
        yield found
        found.assert_quiet()
