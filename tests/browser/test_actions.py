"""Every action of an operator: offered only where it is legal, done by its button, and found in the order's history."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from playwright.async_api import expect

from tests.acceptance.running_mall import MallDriver, MallZone, RunningMall
from tests.browser.chromium import WatchedPage
from tests.browser.conftest import Visitors
from tests.browser.story_pages import act, live_page, row

LEGAL = {
    "confirmed": ["Assign", "Ready time", "Conclude", "Cancel order"],
    "assigned": ["Reassign", "Release", "Ready time", "Conclude", "Cancel order"],
    "picked_up": ["Reassign", "Conclude"],
    "delivered": [],
}


async def order_of(mall: RunningMall, order: str) -> dict[str, Any]:
    return await mall.admin.do("GET", f"/api/v2/orders/{order}")


async def last_event(mall: RunningMall, order: str) -> dict[str, Any]:
    events = await mall.admin.do("GET", f"/api/v2/orders/{order}/events")
    found: dict[str, Any] = events["items"][-1]
    return found


@asynccontextmanager
async def carried(zone: MallZone) -> AsyncIterator[tuple[MallDriver, str]]:
    """An order with the driver that carries it."""
    driver = await zone.driver()
    async with driver.online():
        order = await zone.order()
        await driver.event("offer", order)
        await driver.accept(order)
        yield driver, order


async def story_page(visitors: Visitors, order: str) -> WatchedPage:
    page = await visitors.admin(f"/console/orders/{order}")
    await expect(page.page.get_by_text("Placed by customer")).to_be_visible()
    return page


async def test_only_what_the_status_allows_is_offered(visitors: Visitors, mall: RunningMall) -> None:
    zone = await mall.zone()
    page = None
    async with carried(zone) as (driver, order):
        page = await story_page(visitors, order)
        buttons = page.page.locator(".actions button")
        for status, step in (("assigned", "pickup"), ("picked_up", "delivery"), ("delivered", None)):
            await expect(buttons).to_have_count(len(LEGAL[status]))
            for name in LEGAL[status]:
                await expect(buttons.filter(has_text=name)).to_have_count(1)
            if step is not None:
                await driver.post(order, step)
                await expect(page.page.locator(".story-head .pill")).not_to_have_text(status)


async def test_order_is_cancelled_with_a_reason(visitors: Visitors, mall: RunningMall) -> None:
    zone = await mall.zone()
    order = await zone.order()
    page = await live_page(visitors, zone)
    await row(page, order).click()
    await act(page, "Cancel order", "the store has closed")
    await expect(page.page.get_by_role("complementary")).to_contain_text("Cancelled by operator")
    await expect(page.page.get_by_role("complementary")).to_contain_text("the store has closed")
    await expect(row(page, order)).to_have_count(0)
    assert (await order_of(mall, order))["status"] == "cancelled"
    event = await last_event(mall, order)
    assert (event["type"], event["reason"], event["by"]["role"]) == (
        "cancelled",
        "the store has closed",
        "admin",
    )


async def test_order_is_released_by_its_operator(visitors: Visitors, mall: RunningMall) -> None:
    async with carried(await mall.zone()) as (_, order):
        page = await story_page(visitors, order)
        await act(page, "Release", "flat tyre")
        await expect(page.page.get_by_text("Released by operator")).to_be_visible()
        assert (await order_of(mall, order))["status"] == "confirmed"


async def test_order_is_handed_over_to_another_driver(visitors: Visitors, mall: RunningMall) -> None:
    zone = await mall.zone()
    async with carried(zone) as (driver, order):
        other = await zone.driver()
        async with other.online():
            page = await story_page(visitors, order)
            await act(page, "Reassign", "phone is dead")
            await expect(page.page.get_by_text("Handed over by operator")).to_be_visible()
            assert (await order_of(mall, order))["driver_id"] == other.id
            assert driver.id != other.id


async def test_ready_time_is_set(visitors: Visitors, mall: RunningMall) -> None:
    zone = await mall.zone()
    order = await zone.order()
    before = (await order_of(mall, order))["ready_at"]
    page = await story_page(visitors, order)
    await page.page.locator(".actions").get_by_role("button", name="Ready time").click()
    dialog = page.page.get_by_role("dialog")
    await dialog.get_by_role("button", name="30 min").click()
    await dialog.get_by_role("button", name="Ready time", exact=True).click()
    await expect(page.page.get_by_text("Ready time set by operator")).to_be_visible()
    assert (await order_of(mall, order))["ready_at"] > before


@pytest.mark.parametrize(
    ("outcome", "status"),
    [("delivered", "delivered"), ("failed", "undeliverable"), ("returned", "undeliverable")],
)
async def test_order_is_concluded_whose_driver_cannot(
    visitors: Visitors, mall: RunningMall, outcome: str, status: str
) -> None:
    async with carried(await mall.zone()) as (driver, order):
        await driver.post(order, "pickup")
        page = await story_page(visitors, order)
        await page.page.locator(".actions").get_by_role("button", name="Conclude").click()
        dialog = page.page.get_by_role("dialog")
        await dialog.get_by_label("What became of it").select_option(outcome)
        await dialog.get_by_label("Reason").fill("told over the phone")
        await dialog.get_by_role("button", name="Conclude", exact=True).click()
        await expect(dialog).to_be_hidden()
        assert (await order_of(mall, order))["status"] == status
        assert (await last_event(mall, order))["reason"] == "told over the phone"


async def test_refusal_is_shown_with_its_trace_and_nothing_is_lost(
    visitors: Visitors, mall: RunningMall
) -> None:
    zone = await mall.zone()
    order = await zone.order()
    page = await story_page(visitors, order)
    await page.page.locator(".actions").get_by_role("button", name="Cancel order").click()
    dialog = page.page.get_by_role("dialog")
    await dialog.get_by_label("Reason").fill("too late")
    # The customer is quicker.
    await mall.customer.do("POST", f"/api/v2/orders/{order}/cancellation", {"reason": "changed my mind"})
    await dialog.get_by_role("button", name="Cancel order", exact=True).click()
    await expect(page.page.get_by_text("Cancelled by customer")).to_be_visible()


async def test_story_tells_offers_with_their_answers(visitors: Visitors, mall: RunningMall) -> None:
    zone = await mall.zone(wave_size=2)
    first, second = await zone.driver(), await zone.driver()
    async with first.online(), second.online():
        for driver, lat in ((first, 1.0), (second, 1.001)):
            await driver.phone.send({"t": "loc", "lat": lat, "lon": 2.0, "cseq": 1})
        order = await zone.order()
        for driver in (first, second):
            await driver.event("offer", order)
        await first.post(order, "decline", {"reason": "too far"})
        await second.accept(order)
        page = await story_page(visitors, order)
        offers = page.page.locator(".offers li")
        await expect(offers).to_have_count(2)
        await expect(offers.filter(has_text="declined")).to_contain_text("0 m")
        await expect(offers.filter(has_text="accepted")).to_contain_text("111 m")
        await expect(page.page.locator(".events")).to_contain_text("too far")


@pytest.mark.parametrize("scheme", ["dark", "light"])
async def test_page_of_an_order_is_accessible(visitors: Visitors, mall: RunningMall, scheme: str) -> None:
    zone = await mall.zone()
    order = await zone.order()
    page = await visitors.admin(f"/console/orders/{order}", scheme)
    await expect(page.page.get_by_text("Placed by customer")).to_be_visible()
    assert await page.violations() == []


async def test_order_that_is_not_there_is_said_with_its_trace(visitors: Visitors) -> None:
    page = await visitors.admin("/console/orders/ord_999999")
    await expect(page.page.get_by_role("alert")).to_contain_text("trace")
    await expect(page.page.get_by_role("button", name="Try again")).to_be_visible()
    assert await page.violations() == []
