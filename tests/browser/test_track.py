"""The page of a share link: what somebody without an account sees on a phone."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from playwright.async_api import Locator, Route, ViewportSize, expect

from loadtests.kit.client import open_http
from loadtests.kit.server import ServerProcess
from tests.acceptance.running_mall import MallDriver, RunningMall
from tests.browser.chromium import PATIENCE_MS, WatchedPage
from tests.browser.conftest import Visitors
from tests.support.waiting import seconds_until

PHONE: ViewportSize = {"width": 390, "height": 844}
HERE = {"lat": 1.004, "lon": 2.004, "accuracy_m": 5}
ASK_NOW = "() => dispatchEvent(new Event('online'))"


@pytest.fixture(scope="module")
async def mall(server: ServerProcess) -> AsyncIterator[RunningMall]:
    """The server with customers of this file."""
    async with open_http() as http:
        tokens = {
            name: (await server.mint(role, 1, "--prefix", f"track-{name}"))[0]["access_token"]
            for name, role in (("admin", "admin"), ("customer", "customer"), ("other", "customer"))
        }
        yield RunningMall(server, http, tokens)


async def opened(visitors: Visitors, path: str, scheme: str = "dark", locale: str = "en-GB") -> WatchedPage:
    """A page on a phone."""
    page = await visitors.page(scheme, locale)
    await page.page.set_viewport_size(PHONE)
    await page.goto(path)
    return page


async def link_of(mall: RunningMall, order: str) -> str:
    """Path of a new share link."""
    made = await mall.customer.do("POST", f"/api/v2/orders/{order}/share")
    return f"/t/#{made['secret']}"


def headline(page: WatchedPage) -> Locator:
    return page.page.get_by_role("heading", level=1)


async def renew(page: WatchedPage) -> None:
    """Let the page ask at once."""
    await page.page.evaluate(ASK_NOW)


async def sent_location(driver: MallDriver) -> None:
    """The driver is somewhere, and its actor knows."""
    await driver.client.do("PUT", "/api/v2/drivers/me/location", HERE)

    async def is_known() -> bool:
        return (await driver.client.do("GET", "/api/v2/drivers/me"))["location"] is not None

    await seconds_until(is_known)


async def name_of(driver: MallDriver) -> str:
    """The driver's first name."""
    return str((await driver.client.do("GET", "/api/v2/drivers/me"))["name"]).split()[0]


async def test_customer_follows_from_placing_to_the_door(visitors: Visitors, mall: RunningMall) -> None:
    zone = await mall.zone()
    driver = await zone.driver()
    order = await zone.order(dropoff_pin=True)
    page = await opened(visitors, await link_of(mall, order))
    await expect(headline(page)).to_have_text("A driver is being found")
    await expect(page.page.locator(".legend")).not_to_contain_text("story")
    async with driver.online():
        await driver.event("offer", order)
        assert await driver.accept(order) == "won"
        await renew(page)
        await expect(headline(page)).to_have_text("Being prepared")
        await expect(page.page.locator("body")).not_to_contain_text("story")
        await sent_location(driver)
        await driver.post(order, "pickup")
        await renew(page)
        await expect(headline(page)).to_have_text(f"{await name_of(driver)} is on the way to you")
        await expect(page.page.locator(".legend")).to_contain_text(await name_of(driver))
        await expect(page.page.locator(".todo")).to_contain_text("PIN")
        pin = (await mall.customer.do("GET", f"/api/v2/orders/{order}"))["pin"]
        await driver.post(order, "delivery", {"pin": pin})
        await renew(page)
        await expect(headline(page)).to_have_text("Delivered")
        await expect(page.page.locator("canvas")).to_have_count(0)
        await expect(page.page.locator("body")).not_to_contain_text("story")


async def test_driver_with_another_stop_is_not_shown(visitors: Visitors, mall: RunningMall) -> None:
    zone = await mall.zone()
    async with (await zone.driver(capacity=2)).online() as driver:
        await sent_location(driver)
        orders = [await zone.order() for _ in range(2)]
        for order in orders:
            await driver.event("offer", order)
            assert await driver.accept(order) == "won"
            await driver.post(order, "pickup")
        page = await opened(visitors, await link_of(mall, orders[1]))
        await expect(headline(page)).to_have_text("With the driver")
        await expect(page.page.locator("body")).not_to_contain_text(await name_of(driver))
        await driver.post(orders[0], "delivery", {})
        await renew(page)
        await expect(headline(page)).to_have_text(f"{await name_of(driver)} is on the way to you")


@pytest.mark.parametrize("path", ["/t/#" + "A" * 22, "/t/#cut-off", "/t/", "/t"])
async def test_link_that_leads_nowhere_is_said(visitors: Visitors, path: str) -> None:
    page = await opened(visitors, path)
    await expect(headline(page)).to_have_text("This link leads nowhere")
    assert await page.violations() == []


async def test_page_whose_link_is_revoked_says_so(visitors: Visitors, mall: RunningMall) -> None:
    order = await (await mall.zone()).order()
    page = await opened(visitors, await link_of(mall, order))
    await expect(headline(page)).to_have_text("A driver is being found")
    await mall.customer.do("DELETE", f"/api/v2/orders/{order}/share")
    await renew(page)
    await expect(headline(page)).to_have_text("This link leads nowhere")
    await expect(page.page.locator("main")).to_contain_text("revoked")


async def test_page_without_an_answer_says_since_when_and_becomes_live_again(
    visitors: Visitors, mall: RunningMall
) -> None:
    order = await (await mall.zone()).order()
    page = await opened(visitors, await link_of(mall, order))
    await expect(page.page.locator("header .pill")).to_have_text("Live")

    async def refuse(route: Route) -> None:
        await route.fulfill(status=503, body="{}")

    await page.page.route("**/api/v2/shared-order", refuse)
    await renew(page)
    # Three tries in a row, each later than the one before.
    await expect(page.page.locator("header .pill")).to_contain_text("No answer", timeout=PATIENCE_MS)
    await expect(page.page.locator("main.old canvas")).to_be_visible()
    assert await page.violations() == []
    await page.page.unroute("**/api/v2/shared-order")
    await renew(page)
    await expect(page.page.locator("header .pill")).to_have_text("Live")


async def test_page_without_a_network_says_so_at_once(visitors: Visitors, mall: RunningMall) -> None:
    order = await (await mall.zone()).order()
    page = await opened(visitors, await link_of(mall, order))
    await expect(page.page.locator("header .pill")).to_have_text("Live")
    page.allowed.append("ERR_INTERNET_DISCONNECTED")
    await page.page.context.set_offline(True)
    await expect(page.page.locator("header .pill")).to_contain_text("No network")
    await page.page.context.set_offline(False)
    await expect(page.page.locator("header .pill")).to_have_text("Live")


async def test_page_that_never_got_an_answer_tries_again(visitors: Visitors, mall: RunningMall) -> None:
    path = await link_of(mall, await (await mall.zone()).order())
    page = await visitors.page()

    async def refuse(route: Route) -> None:
        await route.fulfill(status=503, body="{}")

    await page.page.route("**/api/v2/shared-order", refuse)
    await page.goto(path)
    await expect(headline(page)).to_have_text("The order cannot be read")
    await page.page.unroute("**/api/v2/shared-order")
    await page.page.get_by_role("button", name="Try again").click()
    await expect(headline(page)).to_have_text("A driver is being found")


@pytest.mark.parametrize("scheme", ["dark", "light"])
async def test_page_is_accessible_and_fits_a_phone(
    visitors: Visitors, mall: RunningMall, scheme: str
) -> None:
    zone = await mall.zone()
    async with (await zone.driver()).online() as driver:
        await sent_location(driver)
        order = await zone.order(dropoff_pin=True)
        page = await opened(visitors, await link_of(mall, order), scheme)
        await expect(headline(page)).to_be_visible()
        assert await page.violations() == []
        await driver.event("offer", order)
        assert await driver.accept(order) == "won"
        await driver.post(order, "pickup")
        await renew(page)
        await expect(headline(page)).to_contain_text("on the way")
        assert await page.violations() == []
        width = await page.page.evaluate("document.documentElement.scrollWidth")
        assert width <= PHONE["width"]
        await mall.admin.do(
            "POST", f"/api/v2/orders/{order}/conclusion", {"outcome": "failed", "reason": "x"}
        )
        await renew(page)
        await expect(headline(page)).to_have_text("Not delivered")
        assert await page.violations() == []


async def test_german_phone_gets_german_words(visitors: Visitors, mall: RunningMall) -> None:
    path = await link_of(mall, await (await mall.zone()).order())
    page = await opened(visitors, path, locale="de-DE")
    await expect(headline(page)).to_have_text("Ein Fahrer wird gesucht")
    await expect(page.page.locator("html")).to_have_attribute("lang", "de")


async def test_secret_is_sent_in_a_header_alone_and_nothing_is_kept(
    visitors: Visitors, mall: RunningMall
) -> None:
    path = await link_of(mall, await (await mall.zone()).order())
    secret = path.partition("#")[2]
    page = await visitors.page()
    urls: list[str] = []
    page.page.on("request", lambda request: urls.append(request.url.partition("#")[0]))
    await page.goto(path)
    await expect(headline(page)).to_have_text("A driver is being found")
    assert [url for url in urls if secret in url] == []
    assert {url.removeprefix(page.origin).split("/")[1] for url in urls} == {"t", "pages", "api"}
    kept = await page.page.evaluate(
        "JSON.stringify([{...localStorage}, {...sessionStorage}, document.cookie])"
    )
    assert secret not in kept
