"""The live map: drivers report places over real WebSockets, customers order, and the page shows it by itself."""

from __future__ import annotations

import pytest
from playwright.async_api import expect

from tests.acceptance.running_mall import RunningMall
from tests.browser.conftest import Visitors
from tests.browser.story_pages import PICTURE, kpi, live_page, row

# Pixels of the upper canvas that something was drawn on.
DRAWN = """() => {
  const canvas = document.querySelectorAll('.stage canvas')[1], { width, height } = canvas;
  const copy = new OffscreenCanvas(width, height).getContext('2d', { willReadFrequently: true });
  copy.drawImage(canvas, 0, 0);
  const { data } = copy.getImageData(0, 0, width, height);
  let count = 0;
  for (let i = 3; i < data.length; i += 4) if (data[i]) count++;
  return count;
}"""


async def test_driver_who_drives_moves_on_the_map(visitors: Visitors, mall: RunningMall) -> None:
    zone = await mall.zone()
    driver = await zone.driver()
    page = await live_page(visitors, zone)
    await expect(kpi(page, "drivers")).to_have_text("0")
    number = driver.id.removeprefix("drv_")
    async with driver.online():
        await driver.phone.send({"t": "loc", "lat": 1.0, "lon": 2.0, "cseq": 1})
        await expect(kpi(page, "drivers")).to_have_text("1")
        await page.page.wait_for_function(
            f"async () => {PICTURE}.drivers.get({number})?.x === 0", polling=100
        )
        await page.page.wait_for_function(DRAWN, polling=100)
        await driver.phone.send({"t": "loc", "lat": 1.0, "lon": 2.001, "cseq": 2})
        driven = f"{PICTURE}.drivers.get({number})"
        moved = f"async () => Math.round({driven}.x) === 111 && {driven}.heading === 0"
        await page.page.wait_for_function(moved, polling=100)
    await driver.client.do("PUT", "/api/v2/drivers/me/availability", {"status": "offline"})
    await expect(kpi(page, "drivers")).to_have_text("0")


async def test_order_comes_is_carried_and_goes_without_a_click(visitors: Visitors, mall: RunningMall) -> None:
    zone = await mall.zone()
    driver = await zone.driver()
    page = await live_page(visitors, zone)
    await expect(page.page.get_by_text("No order waits")).to_be_visible()
    order = await zone.order()
    await expect(row(page, order)).to_contain_text("Waiting")
    await expect(row(page, order)).to_contain_text("Store → Door 1")
    await expect(kpi(page, "waiting")).to_have_text("1")
    async with driver.online():
        await driver.event("offer", order)
        await driver.accept(order)
        await expect(row(page, order)).to_contain_text("Assigned")
        await driver.post(order, "pickup")
        await expect(row(page, order)).to_contain_text("Picked up")
        await expect(kpi(page, "picked up")).to_have_text("1")
        await driver.post(order, "delivery")
        await expect(row(page, order)).to_have_count(0)


async def test_filter_and_selection_stand_in_the_address(visitors: Visitors, mall: RunningMall) -> None:
    zone = await mall.zone()
    order = await zone.order()
    page = await live_page(visitors, zone)
    await page.page.get_by_role("button", name="waiting").click()
    await row(page, order).click()
    await expect(page.page.get_by_role("complementary")).to_contain_text("Placed by customer")
    assert page.page.url.endswith(f"?f=waiting&sel={order}")
    await page.page.reload()
    await expect(page.page.get_by_role("button", name="waiting")).to_have_attribute("aria-pressed", "true")
    await expect(page.page.get_by_role("complementary")).to_contain_text(order)
    await page.page.keyboard.press("Escape")
    await expect(page.page.get_by_role("complementary")).to_have_count(0)
    await page.page.get_by_role("button", name="picked up").click()
    await expect(page.page.get_by_text("No order waits")).to_be_visible()


async def test_order_is_assigned_by_keyboard_alone(visitors: Visitors, mall: RunningMall) -> None:
    zone = await mall.zone(mode="open")
    driver = await zone.driver()
    async with driver.online():
        order = await zone.order()
        page = await live_page(visitors, zone)
        await expect(row(page, order)).to_be_visible()
        keys = page.page.keyboard
        await keys.press("j")
        await expect(row(page, order)).to_have_attribute("aria-selected", "true")
        # The story's head is there at once, its actions when it is read.
        await expect(page.page.locator(".actions").get_by_role("button", name="Assign")).to_be_visible()
        await keys.press("a")
        await expect(page.page.get_by_role("dialog").get_by_role("combobox")).to_be_focused()
        await expect(page.page.get_by_role("dialog").get_by_role("option")).to_have_count(1)
        for _ in range(2):
            await keys.press("Tab")
        await expect(page.page.get_by_role("button", name="Assign", exact=True).last).to_be_focused()
        await keys.press("Enter")
        await expect(row(page, order)).to_contain_text("Assigned")
        await expect(page.page.get_by_role("complementary")).to_contain_text("Assigned by operator")


async def test_map_can_be_moved_by_keyboard(visitors: Visitors, mall: RunningMall) -> None:
    zone = await mall.zone()
    await zone.order()
    page = await live_page(visitors, zone)
    await page.page.wait_for_function(DRAWN, polling=100)
    stage = page.page.get_by_role("application")
    await stage.focus()
    for _ in range(12):
        await page.page.keyboard.press("ArrowRight")
    await page.page.wait_for_function(f"() => ({DRAWN})() === 0", polling=100)
    await page.page.keyboard.press("0")
    await page.page.wait_for_function(DRAWN, polling=100)


@pytest.mark.parametrize("scheme", ["dark", "light"])
async def test_map_with_a_story_is_accessible(visitors: Visitors, mall: RunningMall, scheme: str) -> None:
    zone = await mall.zone()
    page = await live_page(visitors, zone, scheme)
    assert await page.violations() == []
    order = await zone.order()
    await row(page, order).click()
    await expect(page.page.get_by_role("complementary")).to_contain_text("Placed by customer")
    assert await page.violations() == []
    await page.page.get_by_role("button", name="Cancel order").click()
    await expect(page.page.get_by_role("dialog")).to_be_visible()
    assert await page.violations() == []
