"""Orders that are followed over share links: who may, until when, and what is not told."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from loadtests.kit.client import open_http
from loadtests.kit.server import open_server
from tests.acceptance.running_mall import MallDriver, RunningMall, refused
from tests.support.waiting import seconds_until

HERE = {"lat": 1.004, "lon": 2.004, "accuracy_m": 5}


@pytest.fixture(scope="module")
async def mall(short_tmp_path: Path) -> AsyncIterator[RunningMall]:
    """A server with two customers."""
    async with open_server(short_tmp_path / "shares", {"MALL_SAMPLE": "off"}) as server, open_http() as http:
        tokens = {
            name: (await server.mint(role, 1, "--prefix", name))[0]["access_token"]
            for name, role in (("admin", "admin"), ("customer", "customer"), ("other", "customer"))
        }
        yield RunningMall(server, http, tokens)


class Follower:
    """Somebody who has a link, and no account."""

    def __init__(self, mall: RunningMall, secret: str) -> None:
        self._mall = mall
        self._authorization = f"Share {secret}"

    async def ask(self, **headers: str) -> tuple[int, dict[str, Any], Mapping[str, str]]:
        """Status, body and headers of the answer."""
        http, url = self._mall.anybody.http, self._mall.anybody.url + "/api/v2/shared-order"
        async with http.get(url, headers={"Authorization": self._authorization, **headers}) as response:
            body = await response.json() if response.status != 304 else {}
            return response.status, body, response.headers

    async def sees(self) -> dict[str, Any]:
        """The order."""
        status, body, _ = await self.ask()
        assert status == 200, body
        return body


async def follow(mall: RunningMall, order: str) -> Follower:
    """A follower of the customer's order."""
    made = await mall.customer.do("POST", f"/api/v2/orders/{order}/share")
    assert made["url"] == f"{mall.anybody.url}/t/#{made['secret']}"
    return Follower(mall, made["secret"])


async def locate(driver: MallDriver) -> None:
    """The driver's phone reports a place, and the driver's own order shows that it has arrived."""
    await driver.client.do("PUT", "/api/v2/drivers/me/location", HERE)

    async def is_known() -> bool:
        return (await driver.client.do("GET", "/api/v2/drivers/me"))["location"] is not None

    await seconds_until(is_known)


async def test_follower_sees_the_order_from_placing_to_the_door(mall: RunningMall) -> None:
    zone = await mall.zone()
    async with (await zone.driver()).online() as driver:
        await locate(driver)
        order = await zone.order(dropoff_pin=True, notes="second bell")
        follower = await follow(mall, order)
        seen = await follower.sees()
        assert (seen["status"], seen["stores"][0]["name"], seen["driver"]) == ("confirmed", "Store", None)
        assert seen["window"]["begins_at"] < seen["window"]["ends_at"]
        offer = (await driver.event("offer", order))["data"]
        assert await driver.accept(order, offer["offer_id"]) == "won"
        seen = await follower.sees()
        assert (seen["status"], seen["driver"], seen["todo"]) == ("assigned", None, [])
        await driver.post(order, "pickup")
        seen = await follower.sees()
        assert seen["todo"] == ["cash", "pin", "be_at_the_door"]
        assert seen["driver"]["first_name"] == "story1-1"
        there = seen["driver"]["place"]
        assert abs(there["lat"] - HERE["lat"]) < 0.0005 > abs(there["lon"] - HERE["lon"])
        pin = (await mall.customer.do("GET", f"/api/v2/orders/{order}"))["pin"]
        assert "pin" not in seen
        await driver.post(order, "delivery", {"pin": pin})
        seen = await follower.sees()
        assert (seen["status"], seen["driver"], seen["door"]) == ("delivered", None, None)
        assert all(step["at"] for step in seen["steps"])


async def test_driver_of_two_orders_is_shown_to_neither_until_one_is_left(mall: RunningMall) -> None:
    zone = await mall.zone()
    async with (await zone.driver(capacity=2)).online() as driver:
        await locate(driver)
        orders = [await zone.order() for _ in range(2)]
        followers = [await follow(mall, order) for order in orders]
        for order in orders:
            await driver.event("offer", order)
            assert await driver.accept(order) == "won"
            await driver.post(order, "pickup")
        assert [(await follower.sees())["driver"] for follower in followers] == [None, None]
        await driver.post(orders[0], "delivery", {})

        async def is_shown() -> bool:
            return (await followers[1].sees())["driver"] is not None

        await seconds_until(is_shown)
        assert (await followers[0].sees())["driver"] is None


async def test_answer_that_has_not_changed_is_not_sent_again(mall: RunningMall) -> None:
    zone = await mall.zone()
    order = await zone.order()
    follower = await follow(mall, order)
    _, _, headers = await follower.ask()
    tag = {"If-None-Match": headers["ETag"]}
    assert (headers["Cache-Control"], "Authorization" in headers["Vary"]) == ("private, no-store", True)
    assert (await follower.ask(**tag))[0] == 304
    await mall.customer.do("POST", f"/api/v2/orders/{order}/cancellation")
    status, body, _ = await follower.ask(**tag)
    assert (status, body["status"]) == (200, "cancelled")


async def test_secrets_that_lead_nowhere_are_answered_alike(mall: RunningMall) -> None:
    zone = await mall.zone()
    revoked = await follow(mall, await zone.order())
    order = await zone.order()
    await mall.customer.do("POST", f"/api/v2/orders/{order}/share")
    made = await mall.customer.do("POST", f"/api/v2/orders/{order}/share")
    await mall.customer.do("DELETE", f"/api/v2/orders/{order}/share")
    answers = []
    for secret in (made["secret"], "A" * 22, "short", "x" * 5000, "a b", order):
        status, body, _ = await Follower(mall, secret).ask()
        body.pop("trace_id")
        answers.append((status, body))
    assert answers[0][0] == 404
    assert answers == [answers[0]] * len(answers)
    assert (await revoked.ask())[0] == 200, "links of another order stay"


async def test_link_is_for_orders_of_the_customer_that_go_on(mall: RunningMall) -> None:
    zone = await mall.zone()
    order = await zone.order()
    for method in ("POST", "DELETE"):
        assert await refused(mall.other.do(method, f"/api/v2/orders/{order}/share")) == "order_not_found"
        assert await refused(mall.anybody.do(method, f"/api/v2/orders/{order}/share")) == "unauthenticated"
    driver = await zone.driver()
    assert await refused(driver.client.do("POST", f"/api/v2/orders/{order}/share")) == "forbidden"
    assert (await mall.admin.do("POST", f"/api/v2/orders/{order}/share"))["secret"]
    for _ in range(4):
        await mall.customer.do("POST", f"/api/v2/orders/{order}/share")
    assert await refused(mall.customer.do("POST", f"/api/v2/orders/{order}/share")) == "too_many_shares"
    await mall.customer.do("POST", f"/api/v2/orders/{order}/cancellation")
    assert await refused(mall.customer.do("POST", f"/api/v2/orders/{order}/share")) == "order_closed"


async def test_secret_belongs_into_its_header_and_opens_nothing_else(mall: RunningMall) -> None:
    zone = await mall.zone()
    order = await zone.order()
    secret = (await mall.customer.do("POST", f"/api/v2/orders/{order}/share"))["secret"]
    http, url = mall.anybody.http, mall.anybody.url
    async with http.get(f"{url}/api/v2/shared-order") as response:
        assert (response.status, response.headers["WWW-Authenticate"]) == (401, 'Share realm="mall"')
    async with http.get(f"{url}/api/v2/shared-order?secret={secret}") as response:
        assert response.status in (401, 422)
    for path in (f"orders/{order}", f"orders/{order}/events", "me"):
        for scheme in ("Share", "Bearer"):
            headers = {"Authorization": f"{scheme} {secret}"}
            async with http.get(f"{url}/api/v2/{path}", headers=headers) as response:
                assert response.status == 401
    assert secret not in mall.process.log_path.read_text()
