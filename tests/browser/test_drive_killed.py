"""The driver's app and a server that is killed: a command has one effect, and no entry is lost or shown twice."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from playwright.async_api import Browser, Page, WebSocketRoute, expect

from loadtests.kit.client import Mall, Phone, open_http
from loadtests.kit.server import EMBEDDED, ServerProcess, open_server
from tests.acceptance.running_mall import RunningMall
from tests.browser.conftest import Visitors
from tests.browser.driver_pages import PASSWORD, DriverPage, hire, open_app, open_mall, work
from tests.support.program import login
from tests.support.waiting import Arrivals, seconds_until

# What a browser says about a server that is away.
AWAY = [
    "WebSocket connection to",
    "Failed to load resource: net::ERR_CONNECTION_REFUSED",
    "ERR_EMPTY_RESPONSE",
]
TRIES = 3


@pytest.fixture(scope="module")
async def mortal(
    chromium_path: str, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[ServerProcess]:
    """A server that tests of this module kill, and start again."""
    del chromium_path
    place: Path = tmp_path_factory.mktemp("killed")
    async with open_server(place, EMBEDDED) as process:
        yield process


@pytest.fixture
async def mall(mortal: ServerProcess) -> AsyncIterator[RunningMall]:
    async with open_http() as http:
        yield await open_mall(mortal, Mall(http, mortal.url))


@pytest.fixture
async def visitors(browser: Browser, mortal: ServerProcess) -> AsyncIterator[Visitors]:
    found = Visitors(browser, mortal)
    async with found.closing:
        yield found
        found.assert_quiet()


async def history_of(mall: RunningMall, order: str) -> list[str]:
    found = await mall.admin.do("GET", f"/api/v2/orders/{order}/events")
    return [str(event["type"]) for event in found["items"]]


async def feed_of(mall: RunningMall, driver: DriverPage) -> list[tuple[int, str, str]]:
    """The whole log of a driver, as the server repeats it for a phone that knows nothing but its epoch."""
    client = await login(mall.anybody, driver.account.email, PASSWORD)
    phone, came = Phone(client), Arrivals()
    stored = await driver.stored()
    phone.position.epoch, phone.position.seq = stored["epoch"], 0
    phone.on_event = lambda _: came.tell()
    async with phone.connected():
        await came.until(lambda: phone.position.last >= stored["seq"])
    assert phone.position.snapshots == 0
    return [(event["seq"], event["type"], event["data"]["order_id"]) for event in phone.events]


async def expect_whole_log(mall: RunningMall, driver: DriverPage, kind: str, order: str) -> None:
    """The app has stored each entry of the log once, in order, up to this one. It is stopped then: a phone reads on."""

    async def has_all() -> bool:
        log = (await driver.stored())["log"]
        return bool(log) and (log[-1]["type"], log[-1].get("order_id")) == (kind, order)

    await seconds_until(has_all)
    beginning, *shown = (await driver.stored())["log"]
    assert (beginning["seq"], beginning["type"]) == (0, "snapshot")
    told = await feed_of(mall, driver)
    assert [(entry["seq"], entry["type"], entry["order_id"]) for entry in shown] == told
    assert [seq for seq, _, _ in told] == list(range(1, len(told) + 1))


class DeafPhone:
    """Stands between app and server, and may keep from the app what the server says.

    Attributes:
        hears: what the server says reaches the app.
        keys: keys of the acceptances that the app has sent, in order.
    """

    def __init__(self) -> None:
        self.hears = True
        self.keys: list[str] = []

    async def stand_between(self, page: Page) -> None:
        """Take over the sockets that this page will open."""
        await page.route_web_socket("**/api/v2/drivers/feed", self._opened)

    def _opened(self, app: WebSocketRoute) -> None:
        server = app.connect_to_server()

        def to_server(text: str | bytes) -> None:
            frame = json.loads(text)
            if frame["t"] == "offer.accept":
                self.keys.append(frame["key"])
            server.send(text)

        app.on_message(to_server)
        server.on_message(lambda text: app.send(text) if self.hears else None)


async def test_acceptance_that_a_killed_server_never_read_wins_after_its_start(
    visitors: Visitors, mall: RunningMall, mortal: ServerProcess
) -> None:
    zone = await mall.zone(offer_ttl_s=300)
    driver = await work(visitors, mall, zone)
    driver.watched.allowed += AWAY
    order = await zone.order()
    await driver.sheet.wait_for()
    os.kill(mortal.pid, signal.SIGSTOP)
    await driver.button("Accept").click()
    await expect(driver.button("Sending …")).to_be_disabled()
    await mortal.kill()
    await driver.expect_connection("waiting")
    await mortal.start()
    await expect(driver.card(order)).to_be_visible()
    assert (await history_of(mall, order)).count("assigned") == 1
    await expect_whole_log(mall, driver, "order.assigned", order)


async def test_acceptance_whose_answer_was_lost_with_the_server_has_one_effect(
    visitors: Visitors, mall: RunningMall, mortal: ServerProcess
) -> None:
    zone = await mall.zone(offer_ttl_s=300)
    account = await hire(mall, zone)
    deaf = DeafPhone()
    driver = await open_app(visitors, account, prepare=deaf.stand_between)
    driver.watched.allowed += AWAY
    await driver.go_online()
    order = await zone.order()
    await driver.sheet.wait_for()
    deaf.hears = False
    await driver.button("Accept").click()

    async def is_decided() -> bool:
        return "assigned" in await history_of(mall, order)

    await seconds_until(is_decided)
    await expect(driver.button("Sending …")).to_be_disabled()
    await mortal.kill()
    deaf.hears = True
    await mortal.start()
    await expect(driver.card(order)).to_be_visible()
    assert len(set(deaf.keys)) == 1
    assert len(deaf.keys) >= 2
    assert (await history_of(mall, order)).count("assigned") == 1
    await expect(driver.sheet).to_be_hidden()
    await expect_whole_log(mall, driver, "order.assigned", order)


async def test_delivery_that_was_kept_by_a_page_that_is_gone_is_sent_by_the_next(
    visitors: Visitors, mall: RunningMall, mortal: ServerProcess
) -> None:
    zone = await mall.zone()
    driver = await work(visitors, mall, zone)
    driver.watched.allowed += AWAY
    order = await zone.order()
    await driver.button("Accept").click()
    await driver.button("Picked up").wait_for()
    await mortal.kill()
    await driver.expect_connection("waiting")
    await driver.button("Picked up").click()
    await expect(driver.button("Waiting for the network")).to_be_disabled()
    await mortal.start()
    await driver.page.reload()
    await expect(driver.card(order)).to_contain_text("Deliver")
    assert (await history_of(mall, order)).count("picked_up") == 1
    await expect_whole_log(mall, driver, "order.picked_up", order)


async def test_feed_that_resumes_after_each_kill_misses_nothing_and_repeats_nothing(
    visitors: Visitors, mall: RunningMall, mortal: ServerProcess
) -> None:
    zone = await mall.zone(offer_ttl_s=300)
    driver = await work(visitors, mall, zone, capacity=TRIES)
    driver.watched.allowed += AWAY
    order = ""
    for _ in range(TRIES):
        order = await zone.order()
        await driver.button("Accept").click()
        await expect(driver.card(order)).to_be_visible()
        await mortal.kill()
        await driver.expect_connection("waiting")
        await mortal.start()
        await driver.expect_connection("live")
    await expect_whole_log(mall, driver, "order.assigned", order)
