"""What several tests ask of the console's pages."""

from __future__ import annotations

from playwright.async_api import Locator, expect

from tests.acceptance.running_mall import MallZone
from tests.browser.chromium import WatchedPage
from tests.browser.conftest import Visitors

# The picture that the map is drawn from.
PICTURE = "(await import('/pages/console/live.js')).picture"


async def live_page(visitors: Visitors, zone: MallZone, scheme: str = "dark", query: str = "") -> WatchedPage:
    """The live map of a zone, connected."""
    page = await visitors.admin(f"/console/z/{zone.id}{query}", scheme)
    await expect(freshness(page)).to_contain_text("Live")
    return page


def freshness(page: WatchedPage) -> Locator:
    """The pill that says how fresh the picture is."""
    return page.page.locator(".freshness")


def row(page: WatchedPage, order: str) -> Locator:
    """The order's row in the list of what needs attention."""
    return page.page.get_by_role("option").filter(has_text=order)


def kpi(page: WatchedPage, name: str) -> Locator:
    """The number of a KPI."""
    return page.page.locator(".kpi").filter(has_text=name).locator("b")


async def act(page: WatchedPage, button: str, reason: str = "") -> None:
    """Press a button of the story, give a reason if its dialog asks for one, and confirm."""
    await page.page.locator(".actions").get_by_role("button", name=button).click()
    dialog = page.page.get_by_role("dialog")
    if reason:
        await dialog.get_by_label("Reason").fill(reason)
    await dialog.get_by_role("button", name=button, exact=True).click()
    await expect(dialog).to_be_hidden()
