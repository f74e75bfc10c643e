"""Tables of orders and drivers: filters in the address, paging, what is empty, and taking a driver offline."""

from __future__ import annotations

import pytest
from playwright.async_api import expect

from tests.acceptance.running_mall import RunningMall
from tests.browser.conftest import Visitors

PAGE = 50


async def test_orders_are_filtered_by_zone_and_status_and_the_address_says_so(
    visitors: Visitors, mall: RunningMall
) -> None:
    zone = await mall.zone()
    waiting, cancelled = await zone.order(), await zone.order()
    await mall.customer.do("POST", f"/api/v2/orders/{cancelled}/cancellation", {"reason": "x"})
    page = await visitors.admin(f"/console/orders?zone={zone.id}")
    rows = page.page.locator("tbody tr")
    await expect(rows).to_have_count(2)
    await page.page.get_by_role("button", name="Cancelled").click()
    await expect(rows).to_have_count(1)
    await expect(rows).to_contain_text(cancelled)
    assert "status=cancelled" in page.page.url
    await page.page.get_by_role("button", name="Cancelled").click()
    await rows.filter(has_text=waiting).get_by_role("link").click()
    await expect(page.page.get_by_role("heading", name=waiting).first).to_be_visible()
    await page.page.go_back()
    await expect(rows).to_have_count(2)


async def test_second_page_follows_the_first_and_back_leads_back(
    visitors: Visitors, mall: RunningMall
) -> None:
    zone = await mall.zone()
    await mall.admin.do("PATCH", f"/api/v2/products/{zone.product_id}", {"stock": PAGE + 10})
    for _ in range(PAGE + 1):
        await zone.order()
    page = await visitors.admin(f"/console/orders?zone={zone.id}&since=24h")
    rows = page.page.locator("tbody tr")
    await expect(rows).to_have_count(PAGE)
    await page.page.get_by_role("button", name="Next page").click()
    await expect(rows).to_have_count(1)
    await page.page.get_by_role("button", name="Previous page").click()
    await expect(rows).to_have_count(PAGE)


async def test_number_in_the_search_field_leads_to_the_order(visitors: Visitors, mall: RunningMall) -> None:
    zone = await mall.zone()
    order = await zone.order()
    page = await visitors.admin("/console/orders")
    await page.page.get_by_role("searchbox").fill(order.removeprefix("ord_"))
    await page.page.keyboard.press("Enter")
    await expect(page.page.get_by_text("Placed by customer")).to_be_visible()


async def test_list_without_orders_says_what_would_fill_it(visitors: Visitors, mall: RunningMall) -> None:
    zone = await mall.zone()
    page = await visitors.admin(f"/console/orders?zone={zone.id}")
    await expect(page.page.get_by_text("No order fits these filters")).to_be_visible()
    assert await page.violations() == []


async def test_driver_is_taken_offline(visitors: Visitors, mall: RunningMall) -> None:
    zone = await mall.zone()
    driver = await zone.driver()
    async with driver.online():
        page = await visitors.admin(f"/console/drivers?zone={zone.id}")
        row = page.page.locator("tbody tr").filter(has_text=driver.id)
        await expect(row).to_contain_text("Online")
        await row.get_by_role("button", name="Take offline").click()
        await page.page.get_by_role("dialog").get_by_role("button", name="Take offline").click()
        await expect(row).to_contain_text("Offline")
        await driver.frame(lambda f: f["t"] == "state" and f["topic"] == "availability")


@pytest.mark.parametrize("scheme", ["dark", "light"])
@pytest.mark.parametrize("path", ["orders", "drivers"])
async def test_lists_are_accessible(visitors: Visitors, mall: RunningMall, path: str, scheme: str) -> None:
    zone = await mall.zone()
    await zone.order()
    await zone.driver()
    page = await visitors.admin(f"/console/{path}?zone={zone.id}", scheme)
    await expect(page.page.locator("tbody tr").first).to_be_visible()
    assert await page.violations() == []
