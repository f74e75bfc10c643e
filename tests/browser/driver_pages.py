"""A mall with a driver's phone in it: a zone of its own, and the app on a small screen."""

from __future__ import annotations

import itertools
from collections.abc import Awaitable, Callable
from typing import Any

from playwright.async_api import Geolocation, Locator, Page, ViewportSize, expect

from loadtests.kit.client import Mall
from loadtests.kit.server import ServerProcess
from tests.acceptance.running_mall import MallZone, RunningMall
from tests.acceptance.sample_mall import PEOPLE
from tests.browser.chromium import WatchedPage
from tests.browser.conftest import Visitors, sign_in
from tests.support.program import login

PHONE: ViewportSize = {"width": 390, "height": 844}
PASSWORD = "a driver's password"
# A moment's walk from the stores of `RunningMall.zone`.
NEAR: Geolocation = {"latitude": 1.001, "longitude": 2.0, "accuracy": 8}
_numbers = itertools.count(1)
_STORED = """name => new Promise((done, failed) => {
  const asked = indexedDB.open(name);
  asked.onerror = () => failed(asked.error);
  asked.onsuccess = () => {
    const read = asked.result.transaction("state").objectStore("state").get("state");
    read.onsuccess = () => { asked.result.close(); done(read.result); };
  };
})"""


class DriverAccount:
    """A driver who can sign in."""

    def __init__(self, user: dict[str, Any]) -> None:
        self.user_id = str(user["id"])
        self.email = str(user["email"])
        self.id = str(user["driver_id"])


class DriverPage:
    """The app on a driver's phone, in the words of its tests."""

    def __init__(self, watched: WatchedPage, account: DriverAccount) -> None:
        self.watched = watched
        self.page = watched.page
        self.account = account

    def button(self, name: str) -> Locator:
        """A button by its whole name."""
        return self.page.get_by_role("button", name=name, exact=True)

    @property
    def sheet(self) -> Locator:
        return self.page.get_by_role("dialog")

    def card(self, order: str) -> Locator:
        """An order that is carried."""
        return self.page.locator(f"[data-order={order}]")

    async def expect_connection(self, state: str) -> None:
        """Wait until the app says that it is connected, or not."""
        await expect(self.page.locator("[data-connection]")).to_have_attribute("data-connection", state)

    async def go_online(self) -> None:
        await self.button("Go online").click()
        await expect(self.button("Go offline")).to_be_enabled()

    async def stored(self) -> dict[str, Any]:
        """What the app has stored of its feed."""
        found: dict[str, Any] = await self.page.evaluate(_STORED, f"malldrive {self.account.user_id}")
        return found


async def open_mall(server: ServerProcess, anybody: Mall) -> RunningMall:
    """The mall of a server that runs, with its administrator and its customer."""
    tokens = {name: (await login(anybody, *PEOPLE[name])).token for name in ("admin", "customer")}
    return RunningMall(server, anybody.http, {**tokens, "other": ""})


async def hire(mall: RunningMall, zone: MallZone, capacity: int = 1) -> DriverAccount:
    """A driver of the zone, with a password."""
    wanted = {
        "email": f"phone{next(_numbers)}@mall.example", "password": PASSWORD, "name": "Dana Driver",
        "role": "driver", "zone_id": zone.id, "capacity": capacity,
    }  # fmt: skip
    return DriverAccount(await mall.admin.do("POST", "/api/v2/users", wanted))


async def open_app(
    visitors: Visitors,
    account: DriverAccount,
    *,
    scheme: str = "dark",
    locale: str = "en-GB",
    path: str = "/drive",
    prepare: Callable[[Page], Awaitable[None]] | None = None,
) -> DriverPage:
    """The app, with the driver signed in and connected. `prepare` is called before the page is opened."""
    watched = await visitors.page(
        scheme, locale, viewport=PHONE, geolocation=NEAR, permissions=["geolocation"], has_touch=True
    )
    if prepare is not None:
        await prepare(watched.page)
    await watched.goto(path)
    await sign_in(watched, account.email, PASSWORD)
    driver = DriverPage(watched, account)
    await driver.expect_connection("live")
    return driver


async def work(visitors: Visitors, mall: RunningMall, zone: MallZone, capacity: int = 1) -> DriverPage:
    """A new driver of the zone who is online."""
    driver = await open_app(visitors, await hire(mall, zone, capacity))
    await driver.go_online()
    return driver
