"""Debian's chromium with a page that keeps what went wrong on it."""

from __future__ import annotations

import os
import shutil
from typing import Any

import pytest
from playwright.async_api import BrowserContext, ConsoleMessage, Page

from loadtests.kit.server import ROOT

PROGRAM = shutil.which("chromium")
AXE = ROOT / "api" / "pages" / "node_modules" / "axe-core" / "axe.min.js"
# What a test waits for, on a machine with other work.
PATIENCE_MS = 20_000
# No window server, no GPU, and no shared memory of a container.
ARGUMENTS = ("--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage")
STANDARDS = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
_VIOLATIONS = (
    "addEventListener('securitypolicyviolation',"
    " e => console.error(`policy: ${e.violatedDirective} ${e.blockedURI}`))"
)


def require_chromium() -> str:
    """Path of the browser. Skip, aloud, where it is missing; where changes are judged it may not be."""
    if PROGRAM is not None and AXE.is_file():
        return PROGRAM
    missing = "apt-get install chromium" if PROGRAM is None else "the pages are not installed: make run"
    text = f"PAGES NOT TESTED IN A BROWSER: {missing}"
    if os.environ.get("CI"):
        pytest.fail(text)
    pytest.skip(text)


class WatchedPage:
    """A page of a browser with everything that it complained about.

    Attributes:
        allowed: beginnings of messages that the test causes on purpose.
    """

    def __init__(self, page: Page, origin: str) -> None:
        self.page = page
        self.origin = origin
        self.allowed: list[str] = []
        self.messages: list[str] = []
        page.on("console", self._hear)
        page.on("pageerror", lambda error: self.messages.append(f"uncaught: {error}"))

    @classmethod
    async def open(cls, context: BrowserContext, origin: str) -> WatchedPage:
        """A new page in this context; it shows nothing yet."""
        page = await context.new_page()
        page.set_default_timeout(PATIENCE_MS)
        await page.add_init_script(_VIOLATIONS)
        return cls(page, origin)

    def _hear(self, message: ConsoleMessage) -> None:
        # The browser notes each refusal of the API by itself; what the page makes of it is what tests look at.
        refused = message.text.startswith("Failed to load resource") and "/api/" in message.location["url"]
        if message.type in ("error", "warning") and not refused:
            self.messages.append(f"{message.type}: {message.text}")

    def assert_quiet(self) -> None:
        """Fail when the page has complained."""
        left = [text for text in self.messages if not any(part in text for part in self.allowed)]
        assert left == [], left

    async def goto(self, path: str) -> None:
        """Open a path of the server."""
        await self.page.goto(f"{self.origin}{path}")

    async def violations(self) -> list[str]:
        """What axe finds on the page as it is now, each with its first element."""
        await self.page.evaluate(AXE.read_text())
        options = {"runOnly": {"type": "tag", "values": STANDARDS}, "preload": False}
        found: dict[str, Any] = await self.page.evaluate("options => axe.run(document, options)", options)
        return [
            f"{one['id']}: {one['nodes'][0]['html'][:200]} {one['nodes'][0]['failureSummary']}"
            for one in found["violations"]
        ]
