"""The driver's app on a phone: a shift from sign-in to the door."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from playwright.async_api import Page, expect

from loadtests.kit.client import Mall, open_http
from loadtests.kit.server import ServerProcess
from tests.acceptance.running_mall import MallZone, RunningMall
from tests.acceptance.sample_mall import PEOPLE
from tests.browser.conftest import Visitors, sign_in
from tests.browser.driver_pages import PHONE, DriverPage, hire, open_app, open_mall, work
from tests.support.waiting import seconds_until

NOBODY_HOME = "Nobody opens"


@pytest.fixture
async def mall(server: ServerProcess) -> AsyncIterator[RunningMall]:
    async with open_http() as http:
        yield await open_mall(server, Mall(http, server.url))


async def status_of(mall: RunningMall, order: str) -> str:
    return str((await mall.admin.do("GET", f"/api/v2/orders/{order}"))["status"])


async def history_of(mall: RunningMall, order: str) -> list[str]:
    found = await mall.admin.do("GET", f"/api/v2/orders/{order}/events")
    return [str(event["type"]) for event in found["items"]]


async def carrying(visitors: Visitors, mall: RunningMall, zone: MallZone) -> tuple[DriverPage, str]:
    """A driver who has accepted an order."""
    driver = await work(visitors, mall, zone)
    order = await zone.order()
    await driver.button("Accept").click()
    await expect(driver.card(order)).to_be_visible()
    return driver, order


# -- from the offer to the door --------------------------------------------------------------------


async def test_driver_goes_online_accepts_picks_up_and_delivers_with_the_pin(
    visitors: Visitors, mall: RunningMall
) -> None:
    zone = await mall.zone(delivery_rules={"dropoff_pin": True}, driver_pay_minor=350)
    driver = await work(visitors, mall, zone)
    order = await zone.order(tip_minor=150)
    await expect(driver.sheet).to_contain_text("€5.00")
    await expect(driver.sheet).to_contain_text("with a tip of €1.50")
    await expect(driver.sheet).to_contain_text("PIN at the door")
    await driver.button("Accept").click()
    await driver.button("Picked up").click()
    await expect(driver.card(order)).to_contain_text("Door 1")
    pin = str((await mall.customer.do("GET", f"/api/v2/orders/{order}"))["pin"])
    await driver.button("Delivered").click()
    await driver.page.get_by_label("PIN").fill(f"{(int(pin) + 1) % 10_000:04d}")
    await driver.button("Paid and delivered").click()
    await expect(driver.sheet).to_contain_text("That is not the PIN")
    await expect(driver.page.get_by_label("PIN")).to_be_focused()
    await driver.page.get_by_label("PIN").fill(pin)
    await driver.button("Paid and delivered").click()
    await expect(driver.page.get_by_text("Waiting for an order")).to_be_visible()
    assert (await history_of(mall, order))[-4:] == ["assigned", "picked_up", "wrong_pin", "delivered"]
    await driver.page.get_by_role("link", name="Today").click()
    await expect(driver.page.locator(".sums")).to_contain_text("€5.00")
    await expect(driver.page.locator(".line")).to_contain_text("delivered")


async def test_main_story_needs_no_pointer(visitors: Visitors, mall: RunningMall) -> None:
    zone = await mall.zone()
    driver = await open_app(visitors, await hire(mall, zone))

    async def press(name: str) -> None:
        """Tab until the button has the focus, then press it."""
        await expect(driver.button(name)).to_be_enabled()
        for _ in range(30):
            await driver.page.keyboard.press("Tab")
            if await driver.button(name).evaluate("one => one === document.activeElement"):
                await driver.page.keyboard.press("Enter")
                return
        raise AssertionError(f"no way to {name} by keyboard")

    await press("Go online")
    await expect(driver.button("Go offline")).to_be_enabled()
    order = await zone.order()
    for step in ("Accept", "Picked up", "Delivered", "Paid and delivered"):
        await press(step)
    await expect(driver.page.get_by_text("Waiting for an order")).to_be_visible()
    assert await status_of(mall, order) == "delivered"


async def test_driver_who_declines_says_why_and_the_offer_is_gone(
    visitors: Visitors, mall: RunningMall
) -> None:
    zone = await mall.zone()
    driver = await work(visitors, mall, zone)
    order = await zone.order()
    await driver.button("Decline").click()
    await driver.button("Too far").click()
    await expect(driver.sheet).to_be_hidden()
    await expect(driver.page.get_by_text("Waiting for an order")).to_be_visible()
    told = await mall.admin.do("GET", f"/api/v2/orders/{order}/events")
    assert [event["reason"] for event in told["items"] if event["type"] == "declined"] == ["far"]


async def test_offer_that_is_put_aside_stays_in_the_list(visitors: Visitors, mall: RunningMall) -> None:
    zone = await mall.zone()
    driver = await work(visitors, mall, zone)
    order = await zone.order()
    await driver.sheet.wait_for()
    await driver.page.keyboard.press("Escape")
    await expect(driver.sheet).to_be_hidden()
    await driver.page.get_by_role("list").get_by_role("button", name="Store").click()
    await driver.button("Accept").click()
    await expect(driver.card(order)).to_be_visible()


async def test_offer_of_a_cancelled_order_disappears(visitors: Visitors, mall: RunningMall) -> None:
    zone = await mall.zone()
    driver = await work(visitors, mall, zone)
    order = await zone.order()
    await driver.sheet.wait_for()
    await mall.customer.do("POST", f"/api/v2/orders/{order}/cancellation", {"reason": "changed my mind"})
    await expect(driver.sheet).to_be_hidden()
    await expect(driver.page.get_by_text("Waiting for an order")).to_be_visible()


async def test_trip_of_two_orders_is_shown_and_accepted_as_one(visitors: Visitors, mall: RunningMall) -> None:
    zone = await mall.zone(preparation_s=0, mode="planned", driver_pay_minor=300)
    orders = [await zone.order(), await zone.order()]
    driver = await work(visitors, mall, zone, capacity=3)
    await expect(driver.sheet).to_contain_text("New trip of 2 orders")
    await expect(driver.sheet).to_contain_text("€6.00")
    await expect(driver.sheet.locator(".stops li")).to_have_count(3)
    await driver.button("Accept all").click()
    for order in orders:
        await expect(driver.card(order)).to_be_visible()
        assert await status_of(mall, order) == "assigned"


async def test_board_of_an_open_zone_can_be_taken_from(visitors: Visitors, mall: RunningMall) -> None:
    zone = await mall.zone(mode="open")
    driver = await work(visitors, mall, zone)
    order = await zone.order()
    await driver.page.get_by_role("list").get_by_role("button", name="Store").click()
    await driver.button("Accept").click()
    await expect(driver.card(order)).to_be_visible()


async def test_goods_that_nobody_takes_are_brought_back(visitors: Visitors, mall: RunningMall) -> None:
    zone = await mall.zone()
    driver, order = await carrying(visitors, mall, zone)
    await driver.button("Picked up").click()
    await driver.button("Problem …").click()
    await driver.page.get_by_label(NOBODY_HOME).check()
    await driver.button("Bring it back to the store").click()
    await expect(driver.card(order)).to_contain_text("Bring back")
    await driver.button("Goods are at the store").click()
    await expect(driver.page.get_by_text("Waiting for an order")).to_be_visible()
    assert (await history_of(mall, order))[-2:] == ["returning", "returned"]


async def test_order_that_the_store_does_not_have_fails_with_its_reason(
    visitors: Visitors, mall: RunningMall
) -> None:
    zone = await mall.zone()
    driver, order = await carrying(visitors, mall, zone)
    await driver.button("Problem …").click()
    await driver.page.get_by_label("The store is closed").check()
    await driver.button("Cannot be delivered").click()
    await expect(driver.card(order)).to_be_hidden()
    assert await status_of(mall, order) == "undeliverable"


async def test_simulated_driver_comes_to_the_store_by_itself(visitors: Visitors, mall: RunningMall) -> None:
    zone = await mall.zone()
    driver = await open_app(visitors, await hire(mall, zone), path="/drive?sim=60")
    await driver.go_online()
    await zone.order()
    await driver.button("Accept").click()

    async def is_at_the_store() -> bool:
        me = await mall.admin.do("GET", f"/api/v2/drivers?zone_id={zone.id}")
        place = me["items"][0]["location"]
        return place is not None and abs(place["lat"] - 1) + abs(place["lon"] - 2) < 1e-4

    await seconds_until(is_at_the_store, limit_s=30)


# -- what may happen on the way --------------------------------------------------------------------


async def test_page_that_is_loaded_again_shows_the_same_delivery(
    visitors: Visitors, mall: RunningMall
) -> None:
    driver, order = await carrying(visitors, mall, await mall.zone())
    await driver.button("Picked up").click()
    await expect(driver.card(order)).to_contain_text("Deliver")
    before = await driver.card(order).inner_text()
    await driver.page.reload()
    await driver.expect_connection("live")
    await expect(driver.card(order)).to_have_text(before, use_inner_text=True)


async def test_driver_without_a_network_sees_it_and_what_was_done_is_sent_later(
    visitors: Visitors, mall: RunningMall
) -> None:
    driver, order = await carrying(visitors, mall, await mall.zone())
    driver.watched.allowed.append("WebSocket connection")
    await driver.page.context.set_offline(True)
    await driver.expect_connection("offline")
    await driver.button("Picked up").click()
    await expect(driver.button("Waiting for the network")).to_be_disabled()
    await expect(driver.page.get_by_text("1 command is kept")).to_be_visible()
    assert await status_of(mall, order) == "assigned"
    await driver.page.context.set_offline(False)
    await driver.expect_connection("live")
    await expect(driver.card(order)).to_contain_text("Deliver")
    assert await status_of(mall, order) == "picked_up"


async def test_app_opens_without_a_network_and_shows_the_door(visitors: Visitors, mall: RunningMall) -> None:
    driver, order = await carrying(visitors, mall, await mall.zone())
    await driver.page.evaluate("navigator.serviceWorker.ready.then(() => true)")
    driver.watched.allowed += [
        "WebSocket connection",
        "Failed to load resource: net::ERR_INTERNET_DISCONNECTED",
    ]
    await driver.page.context.set_offline(True)
    await driver.page.reload()
    await expect(driver.card(order)).to_contain_text("Door 1")
    await driver.expect_connection("offline")
    await driver.page.context.set_offline(False)
    await driver.expect_connection("live")


async def test_server_on_this_machine_is_reached_without_a_network(
    visitors: Visitors, mall: RunningMall
) -> None:
    async def say_offline(page: Page) -> None:
        await page.add_init_script("Object.defineProperty(navigator, 'onLine', { get: () => false })")

    await open_app(visitors, await hire(mall, await mall.zone()), prepare=say_offline)


async def test_second_phone_of_a_driver_stops_the_first_which_may_take_it_back(
    visitors: Visitors, mall: RunningMall
) -> None:
    account = await hire(mall, await mall.zone())
    one = await open_app(visitors, account)
    two = await open_app(visitors, account)
    await one.expect_connection("stopped")
    await expect(one.page.get_by_role("alert")).to_contain_text("connected somewhere else")
    await one.button("Connect here").click()
    await one.expect_connection("live")
    await two.expect_connection("stopped")


async def test_driver_whom_an_operator_takes_offline_sees_it(visitors: Visitors, mall: RunningMall) -> None:
    driver = await work(visitors, mall, await mall.zone())
    path = f"/api/v2/drivers/{driver.account.id}/availability"
    await mall.admin.do("PUT", path, {"status": "offline"})
    await expect(driver.button("Go online")).to_be_visible()


async def test_driver_who_was_taken_offline_while_disconnected_sees_it_after_the_resume(
    visitors: Visitors, mall: RunningMall
) -> None:
    driver = await work(visitors, mall, await mall.zone())
    driver.watched.allowed.append("WebSocket connection")
    await driver.page.context.set_offline(True)
    await driver.expect_connection("offline")
    path = f"/api/v2/drivers/{driver.account.id}/availability"
    await mall.admin.do("PUT", path, {"status": "offline"})
    await driver.page.context.set_offline(False)
    await expect(driver.button("Go online")).to_be_visible()


async def test_carried_order_that_is_cancelled_does_not_just_vanish(
    visitors: Visitors, mall: RunningMall
) -> None:
    driver, order = await carrying(visitors, mall, await mall.zone())
    await mall.admin.do("POST", f"/api/v2/orders/{order}/cancellation", {"reason": "the store burns"})
    note = driver.page.get_by_role("alert")
    await expect(note).to_contain_text("was cancelled")
    await expect(note).to_contain_text("the store burns")
    await expect(driver.card(order)).to_be_hidden()
    await driver.button("OK").click()
    await expect(note).to_be_hidden()


async def test_page_of_the_server_comes_before_the_stored_one(visitors: Visitors, mall: RunningMall) -> None:
    driver = await open_app(visitors, await hire(mall, await mall.zone()))
    await driver.page.evaluate(
        """async () => {
          await navigator.serviceWorker.ready;
          const shell = await caches.open("mall-drive-shell");
          await shell.put("/drive", new Response("an old page", { headers: { "Content-Type": "text/html" } }));
        }"""
    )
    await driver.page.reload()
    await driver.expect_connection("live")


async def test_phone_that_does_not_tell_where_it_is_says_what_that_means(
    visitors: Visitors, mall: RunningMall
) -> None:
    account = await hire(mall, await mall.zone())
    driver = await open_app(visitors, account)
    await driver.page.context.clear_permissions()
    await driver.go_online()
    await expect(driver.page.get_by_role("alert")).to_contain_text("Location is not allowed")


async def test_signing_out_leaves_nothing_on_the_phone(visitors: Visitors, mall: RunningMall) -> None:
    driver, _ = await carrying(visitors, mall, await mall.zone())
    await driver.button("Menu").click()
    await driver.button("Sign out").click()
    await expect(driver.button("Sign in")).to_be_visible()
    left = "async () => [(await indexedDB.databases()).map((one) => one.name), Object.keys(localStorage)]"
    assert await driver.page.evaluate(left) == [[], []]


async def test_customer_is_told_that_the_app_is_for_drivers(visitors: Visitors) -> None:
    page = await visitors.page(viewport=PHONE)
    await page.goto("/drive")
    await sign_in(page, *PEOPLE["customer"])
    await expect(page.page.get_by_role("heading")).to_contain_text("no driver")


async def test_german_phone_gets_german_words(visitors: Visitors, mall: RunningMall) -> None:
    driver = await open_app(visitors, await hire(mall, await mall.zone()), locale="de-DE")
    await driver.button("Online gehen").click()
    await expect(driver.page.get_by_text("Warten auf einen Auftrag")).to_be_visible()


# -- for everybody ---------------------------------------------------------------------------------


@pytest.mark.parametrize("scheme", ["dark", "light"])
async def test_every_state_of_the_app_is_accessible(
    visitors: Visitors, mall: RunningMall, scheme: str
) -> None:
    zone = await mall.zone(delivery_rules={"dropoff_pin": True}, driver_pay_minor=350)
    account = await hire(mall, zone)
    stranger = await visitors.page(scheme, viewport=PHONE)
    await stranger.goto("/drive")
    await expect(stranger.page.get_by_role("button", name="Sign in")).to_be_visible()
    assert await stranger.violations() == []
    driver = await open_app(visitors, account, scheme=scheme)
    assert await driver.watched.violations() == []
    await driver.go_online()
    assert await driver.watched.violations() == []
    await zone.order()
    await driver.sheet.wait_for()
    assert await driver.watched.violations() == []
    await driver.button("Decline").click()
    assert await driver.watched.violations() == []
    await driver.button("Back").click()
    await driver.button("Accept").click()
    await driver.button("Picked up").wait_for()
    assert await driver.watched.violations() == []
    await driver.button("Picked up").click()
    await driver.button("Problem …").click()
    assert await driver.watched.violations() == []
    await driver.page.keyboard.press("Escape")
    await driver.button("Delivered").click()
    assert await driver.watched.violations() == []
    await driver.page.get_by_label("PIN").fill("0000")
    await driver.page.keyboard.press("Escape")
    await driver.button("Menu").click()
    assert await driver.watched.violations() == []
    await driver.page.keyboard.press("Escape")
    await driver.page.get_by_role("link", name="Today").click()
    await driver.page.get_by_text("Nothing yet today").wait_for()
    assert await driver.watched.violations() == []
    await driver.page.context.set_offline(True)
    await driver.expect_connection("offline")
    assert await driver.watched.violations() == []
