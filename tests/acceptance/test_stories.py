"""The mall as its users see it: over HTTP and WebSocket alone, against a real server process."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import aiohttp
import jsonschema
import orjson
import pytest

from loadtests.kit.client import Phone, open_http
from loadtests.kit.server import open_server
from tests.acceptance.running_mall import MallDriver, MallZone, RunningMall, keys, refused
from tests.support.waiting import seconds_until, until


@pytest.fixture(scope="module", params=[1, 3], ids=["one instance", "three instances"])
async def mall(short_tmp_path: Path, request: pytest.FixtureRequest) -> AsyncIterator[RunningMall]:
    """Every story must be true wherever its actors live: a connection goes to whichever instance takes it."""
    environ = {"MALL_CORS_ORIGINS": "https://shop.example", "MALL_SAMPLE": "off"}
    arguments = ("--instances", str(request.param))
    place = short_tmp_path / f"stories-{request.param}"
    async with open_server(place, environ, arguments) as server, open_http() as http:
        tokens = {
            name: (await server.mint(role, 1, "--prefix", name))[0]["access_token"]
            for name, role in (("admin", "admin"), ("customer", "customer"), ("other", "customer"))
        }
        yield RunningMall(server, http, tokens)


async def _until_closed(phone: Phone) -> None:
    """Return once the server has closed the socket."""
    await until(lambda: phone.close_code is not None)


# -- orders and offers ----------------------------------------------------------------------------


async def test_order_goes_from_customer_to_door(mall: RunningMall) -> None:
    zone = await mall.zone()
    async with (await zone.driver()).online() as driver:
        order = await zone.order()
        placed = await mall.customer.do("GET", f"/api/v2/orders/{order}")
        assert placed["created_at"] < placed["eta"] < placed["promised_at"]
        offer = (await driver.event("offer", order))["data"]
        # Whose door it is, only the driver who carries the order is told.
        assert (offer["store"]["name"], offer["items"], offer["dropoff"]["address"]) == ("Store", 1, None)
        assert await driver.accept(order, offer["offer_id"]) == "won"
        [carried] = (await driver.client.do("GET", "/api/v2/drivers/me/orders"))["items"]
        assert (carried["id"], carried["dropoff"]["address"]) == (order, "Door 1")
        assert (await driver.post(order, "pickup"))["result"] == "picked_up"
        assert (await driver.post(order, "delivery"))["status"] == "delivered"
        await driver.event("order.delivered", order)
        assert driver.phone.position.faults == []
        seen = await mall.customer.do("GET", f"/api/v2/orders/{order}")
        assert (seen["status"], seen["driver_id"], seen["version"]) == ("delivered", driver.id, 5)
        assert (seen["promised_at"], "eta" in seen) == (placed["promised_at"], False)
        history = (await mall.customer.do("GET", f"/api/v2/orders/{order}/events"))["items"]
        assert [e["type"] for e in history] == ["created", "offered", "assigned", "picked_up", "delivered"]


async def test_one_trace_id_runs_from_the_request_to_the_push(mall: RunningMall) -> None:
    zone = await mall.zone()
    async with (await zone.driver()).online() as driver:
        trace = "0af7651916cd43dd8448eb211c80319c"
        headers = {
            "Authorization": f"Bearer {mall.customer.token}",
            "Idempotency-Key": next(keys),
            "traceparent": f"00-{trace}-b7ad6b7169203331-01",
        }
        body = {
            "items": [{"product_id": zone.product_id, "quantity": 1}], "payment": "cash",
            "dropoff": {"lat": 1.0, "lon": 2.0, "address": "x"},
        }  # fmt: skip
        url = mall.process.url + "/api/v2/orders"
        async with mall.anybody.http.post(url, json=body, headers=headers) as response:
            assert response.headers["X-Trace-ID"] == trace
            order = (await response.json())["id"]
        assert (await driver.event("offer", order))["trace"] == trace
        reply = await driver.ask(t="offer.accept", orders=[order])
        assert (await driver.event("order.assigned", order))["trace"] == reply["trace_id"]
        history = (await mall.admin.do("GET", f"/api/v2/orders/{order}/events"))["items"]
        assert [e["trace_id"] for e in history] == [trace, trace, reply["trace_id"]]


async def test_waiting_order_is_offered_when_a_driver_comes_online(mall: RunningMall) -> None:
    zone = await mall.zone()
    order = await zone.order()
    async with (await zone.driver()).online() as driver:
        await driver.event("offer", order)


async def test_declined_order_goes_to_the_next_driver(mall: RunningMall) -> None:
    zone = await mall.zone()
    async with (await zone.driver()).online() as one, (await zone.driver()).online() as two:
        await one.phone.send({"t": "loc", "cseq": 1, "lat": 1.0, "lon": 2.0})
        await two.phone.send({"t": "loc", "cseq": 1, "lat": 1.3, "lon": 2.0})
        await one.client.do("GET", "/api/v2/drivers/me")
        order = await zone.order()
        offer = await one.event("offer", order)
        reply = await one.ask(
            t="offer.decline", orders=[order], offer_id=offer["data"]["offer_id"], reason="far"
        )
        assert reply["results"][0]["result"] == "declined"
        await two.event("offer", order)
        assert await one.accept(order) == "offer_expired"
        assert await two.accept(order) == "won"


async def test_offer_lapses_and_goes_on(mall: RunningMall) -> None:
    zone = await mall.zone(offer_ttl_s=1)
    async with (await zone.driver()).online() as one, (await zone.driver()).online() as two:
        order = await zone.order()
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(one.event("offer", order))
            tasks.create_task(two.event("offer", order))
        revoked = await one.frame(lambda f: f["t"] == "offer.revoked" and f["order_id"] == order)
        assert revoked["why"] == "expired"


@pytest.mark.parametrize("how", ["offline", "banned", "moved"])
async def test_offer_dies_with_its_driver_and_the_next_one_is_asked(mall: RunningMall, how: str) -> None:
    """No offer of this zone ends by itself before the test does."""
    zone, elsewhere = await mall.zone(offer_ttl_s=600), await mall.zone()
    async with (await zone.driver()).online() as one:
        order = await zone.order()
        offer = (await one.event("offer", order))["data"]["offer_id"]
        async with (await zone.driver()).online() as two:
            if how == "offline":
                await one.ask(t="availability", status="offline")
            else:
                change = {"status": "banned"} if how == "banned" else {"zone_id": elsewhere.id}
                await mall.admin.do("PATCH", f"/api/v2/users/{one.user_id}", change)
            await two.event("offer", order)
            if how != "banned":
                revoked = await one.frame(lambda f: f["t"] == "offer.revoked" and f["offer_id"] == offer)
                assert revoked["why"] == "withdrawn"
                assert await one.accept(order, offer) == "offer_expired"
            assert await two.accept(order) == "won"
    history = (await mall.admin.do("GET", f"/api/v2/orders/{order}/events"))["items"]
    assert [e["type"] for e in history] == ["created", "offered", "offer_withdrawn", "offered", "assigned"]


async def test_driver_is_told_the_pay_and_it_stays_what_it_was_when_the_order_was_placed(
    mall: RunningMall,
) -> None:
    zone = await mall.zone(driver_pay_minor=350)
    async with (await zone.driver()).online() as driver:
        order = await zone.order()
        offered = (await driver.event("offer", order))["data"]["pay"]
        await mall.admin.do("PATCH", f"/api/v2/zones/{zone.id}", {"driver_pay_minor": None})
        assert await driver.accept(order) == "won"
        path = f"/api/v2/orders/{order}"
        shown = [
            (await caller.do("GET", path)).get("pay", "nothing") for caller in (mall.admin, mall.customer)
        ]
        carried = (await driver.event("order.assigned", order))["data"]["pay"]
        assert [offered, carried, *shown] == [{"amount_minor": 350, "currency": "EUR"}] * 3 + ["nothing"]


async def test_tip_is_part_of_the_total_and_goes_to_the_driver(mall: RunningMall) -> None:
    zone = await mall.zone(driver_pay_minor=350)
    async with (await zone.driver()).online() as driver:
        order = await zone.order(tip_minor=200, expected_total={"amount_minor": 700, "currency": "EUR"})
        offered = (await driver.event("offer", order))["data"]
        assert [offered[name]["amount_minor"] for name in ("collect", "pay", "tip")] == [700, 350, 200]
        seen = await mall.customer.do("GET", f"/api/v2/orders/{order}")
        assert [seen[name]["amount_minor"] for name in ("total", "tip")] == [700, 200]


async def test_driver_delivers_with_the_pin_that_only_the_customer_sees(mall: RunningMall) -> None:
    zone = await mall.zone(delivery_rules={"dropoff_pin": True})
    async with (await zone.driver()).online() as driver:
        order = await zone.order()
        assert (await driver.event("offer", order))["data"]["pin"] is True
        await driver.accept(order)
        await driver.post(order, "pickup")
        pin = (await mall.customer.do("GET", f"/api/v2/orders/{order}"))["pin"]
        seen = await driver.client.do("GET", f"/api/v2/orders/{order}")
        assert (seen["pin_required"], seen.get("pin")) == (True, None)
        assert await refused(driver.post(order, "delivery")) == "pin_required"
        wrong = f"{(int(pin) + 1) % 10_000:04d}"
        assert await refused(driver.post(order, "delivery", {"pin": wrong})) == "wrong_pin"
        reply = await driver.ask(t="order.delivery", order_id=order, pin=pin)
        assert (reply["ok"], reply["status"]) == (True, "delivered")
    history = (await mall.admin.do("GET", f"/api/v2/orders/{order}/events"))["items"]
    assert [e["type"] for e in history][-3:] == ["picked_up", "wrong_pin", "delivered"]
    assert pin not in str(history)


async def test_goods_that_nobody_takes_come_back_to_the_store(mall: RunningMall) -> None:
    zone = await mall.zone()
    product = f"/api/v2/products/{zone.product_id}"
    async with (await zone.driver()).online() as driver:
        order = await zone.order(quantity=3)
        await driver.event("offer", order)
        await driver.accept(order)
        await driver.post(order, "pickup")
        assert await refused(driver.post(order, "return")) == "invalid_transition"
        answer = await driver.post(order, "failure", {"reason": "nobody there", "returning": True})
        assert (answer["result"], answer["status"]) == ("returning", "picked_up")
        assert (await driver.event("order.returning", order))["data"]["returning"] is True
        assert "returning_since" in await mall.customer.do("GET", f"/api/v2/orders/{order}")
        assert (await mall.admin.do("GET", product))["stock"] == 7
        reply = await driver.ask(t="order.return", order_id=order)
        assert (reply["result"], reply["status"]) == ("returned", "undeliverable")
        assert (await mall.admin.do("GET", product))["stock"] == 10


async def test_order_for_a_time_is_offered_shortly_before_it(mall: RunningMall) -> None:
    """Its goods are ready 13 seconds after its placing, and it is offered ten seconds ahead of that."""
    zone = await mall.zone(preparation_s=0, delivery_rules={"offer_ahead_s": 10})
    soon = await zone.order()
    seen = await mall.customer.do("GET", f"/api/v2/orders/{soon}")
    earliest = datetime.fromisoformat(seen["eta"])
    assert await refused(zone.order(deliver_at=seen["created_at"])) == "invalid"
    early = (earliest - timedelta(minutes=5)).isoformat()
    assert await refused(zone.order(deliver_at=early)) == "too_soon"
    at = earliest + timedelta(seconds=13)
    async with (await zone.driver()).online() as driver:
        later = await zone.order(deliver_at=(earliest + timedelta(hours=2)).isoformat())
        order = await zone.order(deliver_at=at.isoformat())
        seen = await mall.customer.do("GET", f"/api/v2/orders/{order}")
        assert datetime.fromisoformat(seen["deliver_at"]) == datetime.fromisoformat(seen["eta"]) == at
        await driver.event("offer", soon)
        await driver.accept(soon)
        for step in ("pickup", "delivery"):
            await driver.post(soon, step)
        offered = await driver.event("offer", order)
        placed_ms = datetime.fromisoformat(seen["created_at"]).timestamp() * 1000
        assert offered["at_ms"] >= offered["data"]["ready_at_ms"] - 10_000 > placed_ms
        assert not [f for f in driver.frames if later in str(f)]


async def test_released_order_goes_to_somebody_else(mall: RunningMall) -> None:
    zone = await mall.zone()
    async with (await zone.driver()).online() as one:
        order = await zone.order()
        await one.event("offer", order)
        assert await one.accept(order) == "won"
        async with (await zone.driver()).online() as two:
            await one.phone.send({"t": "loc", "cseq": 1, "lat": 1.0, "lon": 2.0})
            await two.phone.send({"t": "loc", "cseq": 1, "lat": 1.1, "lon": 2.0})
            await mall.admin.do("POST", f"/api/v2/orders/{order}/release", {"reason": "late"})
            await two.event("offer", order)
            assert await one.accept(order) == "not_offered"


async def test_order_that_nobody_takes_is_given_up_and_operators_are_told_before(mall: RunningMall) -> None:
    zone = await mall.zone(give_up_after_s=2)
    order = await zone.order(quantity=10)
    headers = {"Authorization": f"Bearer {mall.customer.token}"}
    url = f"{mall.process.url}/api/v2/orders/{order}/track"
    async with mall.anybody.http.get(url, headers=headers) as stream, asyncio.timeout(30):
        await stream.content.read()  # it ends with the order
    history = (await mall.admin.do("GET", f"/api/v2/orders/{order}/events"))["items"]
    assert [(e["type"], e["by"]["role"], e["reason"]) for e in history[1:]] == [
        ("unclaimed", "dispatch", None), ("cancelled", "dispatch", "no_driver"),
    ]  # fmt: skip
    assert await zone.order(quantity=10), "the stock is back"


async def test_picked_up_order_of_a_banned_driver_is_handed_over_and_delivered(mall: RunningMall) -> None:
    zone = await mall.zone(mode="open")
    async with (await zone.driver()).online() as one, (await zone.driver()).online() as two:
        order = await zone.order()
        path = f"/api/v2/orders/{order}"
        assert await one.accept(order) == "won"
        await one.post(order, "pickup")
        await mall.admin.do("PATCH", f"/api/v2/users/{one.user_id}", {"status": "banned"})
        body = {"driver_id": two.id, "reason": "account closed"}
        moved = await mall.admin.do("POST", f"{path}/reassignment", body)
        assert (moved["result"], moved["status"]) == ("reassigned", "picked_up")
        assert (await two.event("order.assigned", order))["data"]["status"] == "picked_up"
        assert await refused(zone_busy(zone, two)) == "driver_busy"
        assert (await two.post(order, "delivery"))["status"] == "delivered"
    history = (await mall.admin.do("GET", f"{path}/events"))["items"]
    told = next(e for e in history if e["type"] == "handed_over")
    assert (told["by"]["role"], told["reason"], told["data"]) == (
        "admin", "account closed", {"driver_id": two.id, "from": one.id},
    )  # fmt: skip


async def zone_busy(zone: MallZone, driver: MallDriver) -> Any:
    """Give a driver one more order."""
    other = await zone.order()
    return await zone.mall.admin.do("POST", f"/api/v2/orders/{other}/assignment", {"driver_id": driver.id})


@pytest.mark.parametrize(
    ("outcome", "status", "stock"),
    [("delivered", "delivered", 0), ("failed", "undeliverable", 0), ("returned", "undeliverable", 10)],
)
async def test_operator_ends_a_picked_up_order_whose_driver_is_gone(
    mall: RunningMall, outcome: str, status: str, stock: int
) -> None:
    zone = await mall.zone(mode="open")
    async with (await zone.driver()).online() as driver:
        order = await zone.order(quantity=10)
        assert await driver.accept(order) == "won"
        await driver.post(order, "pickup")
        body = {"outcome": outcome, "reason": "called the customer"}
        assert await refused(driver.post(order, "conclusion", body)) == "forbidden"
        done = await mall.admin.do("POST", f"/api/v2/orders/{order}/conclusion", body)
        assert (done["result"], done["status"]) == (outcome, status)
        assert (await driver.event(f"order.{status}", order))["data"]["reason"] == "called the customer"
        product = await mall.admin.do("GET", f"/api/v2/products/{zone.product_id}")
        assert product["stock"] == stock
        if stock:
            assert await driver.accept(await zone.order()) == "won", "the slot is free"
    history = (await mall.customer.do("GET", f"/api/v2/orders/{order}/events"))["items"]
    assert (history[-1]["type"], history[-1]["by"]["role"], history[-1]["reason"]) == (
        outcome, "admin", "called the customer",
    )  # fmt: skip


async def test_operator_takes_a_driver_offline_and_its_offer_goes_on(mall: RunningMall) -> None:
    zone = await mall.zone(offer_ttl_s=600)
    async with (await zone.driver()).online() as one:
        order = await zone.order()
        await one.event("offer", order)
        async with (await zone.driver()).online() as two:
            path = f"/api/v2/drivers/{one.id}/availability"
            assert (await mall.admin.do("PUT", path, {"status": "offline"}))["status"] == "offline"
            await two.event("offer", order)
            told = await one.frame(lambda f: f["t"] == "state" and f["topic"] == "availability")
            assert told["data"] == {"status": "offline", "state": "offline"}


async def test_driver_who_looks_at_no_offer_is_shown_as_unreachable_until_it_speaks(
    mall: RunningMall,
) -> None:
    zone = await mall.zone(offer_ttl_s=1)
    async with (await zone.driver()).online() as driver:
        await zone.order()
        await zone.order()

        def stands(state: str) -> Any:
            return lambda f: (
                f["t"] == "state" and f["topic"] == "availability" and f["data"]["state"] == state
            )

        await driver.frame(stands("unreachable"))
        path = f"/api/v2/drivers?zone_id={zone.id}&state=unreachable"
        [shown] = (await mall.admin.do("GET", path))["items"]
        assert (shown["id"], shown["status"], shown["state"]) == (driver.id, "online", "unreachable")
        await driver.phone.send({"t": "loc", "cseq": 1, "lat": 1.0, "lon": 2.0})
        await driver.frame(stands("online"))
        assert (await mall.admin.do("GET", path))["items"] == []


async def test_position_that_cannot_be_leaves_the_driver_where_it_was(mall: RunningMall) -> None:
    zone = await mall.zone()
    async with (await zone.driver()).online() as driver:
        here = {"lat": 1.0, "lon": 2.0}
        path = "/api/v2/drivers/me/location"
        await driver.client.do("PUT", path, here)
        # Of positions that wait for their driver's actor only the newest is kept: the good one has to be taken first.
        async with asyncio.timeout(10):
            while (await driver.client.do("GET", "/api/v2/drivers/me"))["location"] != here:
                pass
        for fix in (
            {"lat": 0.0, "lon": 0.0},
            here | {"lat": 1.1, "accuracy_m": 50_000},
            {"lat": 48.0, "lon": 2.0},
        ):
            await driver.client.do("PUT", path, fix)
        assert (await driver.client.do("GET", "/api/v2/drivers/me"))["location"] == here


async def test_losers_of_a_wave_hear_that_their_offer_died(mall: RunningMall) -> None:
    zone = await mall.zone(wave_size=2)
    async with (await zone.driver()).online() as one, (await zone.driver()).online() as two:
        order = await zone.order()
        await two.event("offer", order)
        offer = await one.event("offer", order)
        assert await one.accept(order, offer["data"]["offer_id"]) == "won"
        assert (await two.frame(lambda f: f["t"] == "offer.revoked"))["why"] == "taken"
        assert await two.accept(order) == "order_taken"


async def test_board_of_an_open_zone_shows_open_orders_and_whoever_is_first_wins(mall: RunningMall) -> None:
    zone = await mall.zone(mode="open")
    async with (await zone.driver()).online() as one, (await zone.driver()).online() as two:
        order = await zone.order()

        def shows(frame: dict[str, Any]) -> bool:
            return frame["t"] == "state" and any(
                o["order_id"] == order for o in frame["data"].get("orders", ())
            )

        board = await one.frame(shows)
        round_id = board["data"]["orders"][0]["offer_id"]
        assert await one.accept(order, round_id) == "won"
        assert await refused(two.post(order, "acceptance", {"offer_id": round_id})) == "order_taken"
        assert (await one.post(order, "acceptance", {"offer_id": round_id}))["result"] == "already_yours"
        await mall.admin.do("POST", f"/api/v2/orders/{order}/release", {"reason": "flat tyre"})
        await one.event("order.released", order)
        assert await two.accept(order, round_id) == "offer_expired"
        assert await two.accept(order, f"{round_id[:-1]}2") == "won"


async def test_driver_of_another_zone_cannot_take_from_the_board(mall: RunningMall) -> None:
    zone, elsewhere = await mall.zone(mode="open"), await mall.zone()
    async with (await elsewhere.driver()).online() as stranger:
        order = await zone.order()
        assert await refused(stranger.client.do("GET", f"/api/v2/orders/{order}")) == "order_not_found"
        assert await stranger.accept(order) == "not_offered"


async def test_open_zone_that_turns_to_waves_offers_its_orders(mall: RunningMall) -> None:
    zone = await mall.zone(mode="open")
    order = await zone.order()
    async with (await zone.driver()).online() as driver:
        await mall.admin.do("PATCH", f"/api/v2/zones/{zone.id}", {"mode": "waves"})
        await driver.event("offer", order)


async def test_full_or_offline_driver_is_refused_by_the_database(mall: RunningMall) -> None:
    zone = await mall.zone(mode="open")
    async with (await zone.driver()).online() as driver:
        first, second = await zone.order(), await zone.order()
        assert await driver.accept(first) == "won"
        assert await driver.accept(second) == "driver_busy"
        await driver.post(first, "pickup")
        await driver.post(first, "delivery")
        await driver.ask(t="availability", status="offline")
        assert await driver.accept(second) == "driver_offline"
        await driver.ask(t="availability", status="online")
        assert await driver.accept(second) == "won"


async def test_admin_assigns_and_customer_cancels(mall: RunningMall) -> None:
    zone = await mall.zone()
    async with (await zone.driver()).online() as driver, (await zone.driver()).online() as offered:
        order = await zone.order(quantity=10)
        assert await refused(zone.order()) == "out_of_stock"
        path = f"/api/v2/orders/{order}"
        body = {"driver_id": driver.id}
        assert (await mall.admin.do("POST", f"{path}/assignment", body))["result"] == "assigned"
        await driver.event("order.assigned", order)
        assert (await mall.customer.do("POST", f"{path}/cancellation"))["status"] == "cancelled"
        assert (await driver.event("order.cancelled", order))["data"]["reason"] == "unspecified"
        assert (await mall.customer.do("POST", f"{path}/cancellation"))["result"] == "cancelled"
        assert await refused(offered.post(order, "acceptance")) == "order_closed"
        assert await zone.order(quantity=10), "the stock is back"


async def test_ready_time_reaches_the_driver(mall: RunningMall) -> None:
    zone = await mall.zone()
    async with (await zone.driver()).online() as driver:
        order = await zone.order()
        await driver.event("offer", order)
        await driver.accept(order)
        ready = (await mall.customer.do("GET", f"/api/v2/orders/{order}"))["ready_at"]
        later = ready[:-5] + ".999Z"
        await mall.admin.do("PUT", f"/api/v2/orders/{order}/ready-time", {"ready_at": later})
        await driver.event("order.ready_time", order)
        assert (await mall.customer.do("GET", f"/api/v2/orders/{order}"))["ready_at"] == later


async def test_failed_delivery_frees_the_driver(mall: RunningMall) -> None:
    zone = await mall.zone(mode="open")
    async with (await zone.driver()).online() as driver:
        order = await zone.order()
        await driver.accept(order)
        await driver.post(order, "pickup")
        failed = await driver.ask(t="order.failure", order_id=order, reason="nobody home")
        assert (failed["ok"], failed["status"]) == (True, "undeliverable")
        assert (await driver.client.do("GET", "/api/v2/drivers/me"))["orders"] == []


async def test_card_order_waits_and_is_not_offered(mall: RunningMall) -> None:
    zone = await mall.zone(mode="open")
    async with (await zone.driver()).online() as driver:
        order = await zone.order(payment="card")
        assert (await mall.customer.do("GET", f"/api/v2/orders/{order}"))["status"] == "awaiting_payment"
        assert await driver.accept(order) == "order_closed"


async def test_customer_follows_the_order_live(mall: RunningMall) -> None:
    zone = await mall.zone(mode="open")
    async with (await zone.driver()).online() as driver:
        order = await zone.order()
        headers = {"Authorization": f"Bearer {mall.customer.token}"}
        url = f"{mall.process.url}/api/v2/orders/{order}/track"
        async with mall.anybody.http.get(url, headers=headers) as stream:
            assert stream.content_type == "text/event-stream"
            first = await stream.content.readuntil(b"\n\n")
            assert b'"status":"confirmed"' in first
            await driver.accept(order)
            await driver.post(order, "pickup")
            await driver.post(order, "delivery")
            rest = (await stream.content.read()).decode()
        changes = [orjson.loads(line[6:]) for line in rest.splitlines() if line.startswith("data: ")]
        assert [c["status"] for c in changes] == ["assigned", "picked_up", "delivered"]
        assert [c["version"] for c in changes] == [2, 3, 4]


def events_in(text: str) -> list[tuple[str, str, Any]]:
    """The events of a stream: name, id and data, as EventSource reads them."""
    found = []
    for block in text.split("\n\n"):
        fields = dict(line.split(": ", 1) for line in block.splitlines() if line and not line.startswith(":"))
        if fields:
            assert fields.keys() == {"event", "id", "data"}
            found.append((fields["event"], fields["id"], orjson.loads(fields["data"])))
    return found


async def test_stream_of_a_finished_order_is_asked_for_once_more_and_never_again(mall: RunningMall) -> None:
    order = await (await mall.zone(mode="open")).order()
    await mall.customer.do("POST", f"/api/v2/orders/{order}/cancellation", {})
    headers, url = (
        {"Authorization": f"Bearer {mall.customer.token}"},
        f"{mall.process.url}/api/v2/orders/{order}/track",
    )
    async with mall.anybody.http.get(url, headers=headers) as stream:
        [(name, last, shown)] = events_in((await stream.content.read()).decode())
    assert (name, shown["status"]) == ("order", "cancelled")
    async with mall.anybody.http.get(url, headers=headers | {"Last-Event-ID": last}) as again:
        assert (again.status, await again.read()) == (204, b""), "at which an EventSource stops"


async def test_stream_goes_on_behind_what_was_seen(mall: RunningMall) -> None:
    zone = await mall.zone(mode="open")
    async with (await zone.driver()).online() as driver:
        order = await zone.order()
        headers = {"Authorization": f"Bearer {mall.customer.token}", "Last-Event-ID": "1"}
        url = f"{mall.process.url}/api/v2/orders/{order}/track"
        async with mall.anybody.http.get(url, headers=headers) as stream:
            await driver.accept(order)
            [first, *_] = events_in((await stream.content.readuntil(b"}\n\n")).decode())
        assert (first[0], first[1], first[2]["status"]) == ("change", "2", "assigned")
        async with mall.anybody.http.get(url, headers=headers) as stream:
            [first] = events_in((await stream.content.readuntil(b"}\n\n")).decode())
        assert first[0] == "order", "what was missed is made up for by the whole order"


@pytest.mark.parametrize("wrong", ["0", "-1", "x", "1.0", "9" * 10])
async def test_event_id_that_is_none_is_refused_by_name(mall: RunningMall, wrong: str) -> None:
    order = await (await mall.zone(mode="open")).order()
    headers = {"Authorization": f"Bearer {mall.customer.token}", "Last-Event-ID": wrong}
    async with mall.anybody.http.get(
        f"{mall.process.url}/api/v2/orders/{order}/track", headers=headers
    ) as answer:
        problem = await answer.json()
    assert (answer.status, [fault["pointer"] for fault in problem["errors"]]) == (422, ["Last-Event-ID"])


async def test_browser_follows_an_order_with_a_ticket(mall: RunningMall) -> None:
    zone = await mall.zone(mode="open")
    order, other = await zone.order(), await zone.order()
    mine = f"/api/v2/orders/{order}/track"
    given = await mall.customer.do("POST", f"{mine}/tickets")
    assert 0 < given["expires_in"] <= 600
    for _ in range(2):  # EventSource comes back with the same address
        async with mall.anybody.http.get(f"{mall.process.url}{mine}?ticket={given['ticket']}") as stream:
            assert stream.status == 200
            [(name, _, shown)] = events_in((await stream.content.readuntil(b"}\n\n")).decode())
        assert (name, shown["id"], "customer_id" in shown) == ("order", order, True)
    for path in (
        f"/api/v2/orders/{other}/track",
        f"/api/v2/orders/{order}",
        f"/api/v2/orders/{order}/events",
    ):
        assert (await mall.anybody.call("GET", f"{path}?ticket={given['ticket']}"))[0] == 401, path
    assert (await mall.anybody.call("GET", f"{mine}?ticket=stk_{'A' * 80}"))[0] == 401


async def test_ticket_of_a_stream_dies_with_its_session(mall: RunningMall) -> None:
    [user] = await mall.process.mint("customer", 1, "--prefix", "follower")
    follower = mall.anybody.as_(user["access_token"])
    zone = await mall.zone(mode="open")
    line = {"product_id": zone.product_id, "quantity": 1}
    placed = {"items": [line], "dropoff": {"lat": 1.01, "lon": 2.01, "address": "x"}, "payment": "cash"}
    order = (await follower.do("POST", "/api/v2/orders", placed, key=next(keys)))["id"]
    path = f"/api/v2/orders/{order}/track"
    ticket = (await follower.do("POST", f"{path}/tickets"))["ticket"]
    assert (await follower.call("POST", "/api/v2/auth/logout"))[0] == 204
    assert (await mall.anybody.call("GET", f"{path}?ticket={ticket}"))[0] == 401


async def test_stream_is_what_its_document_says(mall: RunningMall) -> None:
    """Every event fits the schema that the document gives to its data."""
    document = await mall.anybody.do("GET", "/api/v2/openapi.json")
    zone = await mall.zone(mode="open")
    async with (await zone.driver()).online() as driver:
        order = await zone.order()
        url = f"{mall.process.url}/api/v2/orders/{order}/track"
        async with mall.anybody.http.get(
            url, headers={"Authorization": f"Bearer {mall.customer.token}"}
        ) as stream:
            first = (await stream.content.readuntil(b"}\n\n")).decode()
            await driver.accept(order)
            await driver.post(order, "failure", {"reason": "line\nbreak"})
            found = events_in(first + (await stream.content.read()).decode())
    assert [name for name, _, _ in found] == ["order", "change", "change"]
    for name, number, data in found:
        kind = {"order": "Order", "change": "OrderChange"}[name]
        jsonschema.validate(data, {**document, "$ref": f"#/components/schemas/{kind}"})
        event = {"event": name, "id": number, "data": orjson.dumps(data).decode()}
        jsonschema.validate(event, {**document, "$ref": f"#/components/schemas/{name.title()}Event"})


# -- feeds ----------------------------------------------------------------------------------------


async def test_phone_resumes_where_it_was(mall: RunningMall) -> None:
    zone = await mall.zone(mode="open")
    driver = await zone.driver(capacity=5)
    async with driver.online():
        first = await zone.order()
        await driver.accept(first)
        await driver.event("order.assigned", first)
    second = await zone.order()
    await driver.post(second, "acceptance")
    async with driver.phone.connected():
        assert driver.phone.welcome["resumed"] is True
        await driver.event("order.assigned", second)
        assert [e["seq"] for e in driver.phone.events] == [1, 2]
        assert driver.phone.position.faults == []


async def test_phone_without_a_position_gets_a_snapshot(mall: RunningMall) -> None:
    zone = await mall.zone()
    driver = await zone.driver(capacity=2)
    async with driver.online():
        carried = await zone.order()
        await driver.event("offer", carried)
        await driver.accept(carried)
        offered = await zone.order()
        await driver.event("offer", offered)
    driver.phone = Phone(driver.client)
    async with driver.phone.connected():
        snapshot = driver.phone.welcome["snapshot"]
        assert [o["order_id"] for o in snapshot["orders"]] == [carried]
        assert [o["order_id"] for o in snapshot["offers"]] == [offered]
        assert driver.phone.welcome["seq"] == 3


async def test_position_of_another_epoch_gets_a_snapshot(mall: RunningMall) -> None:
    driver = await (await mall.zone()).driver()
    driver.phone.position.epoch, driver.phone.position.seq = "elsewhere", 7
    async with driver.phone.connected():
        assert driver.phone.welcome["resumed"] is False
        assert driver.phone.position.seq == 0


async def test_second_socket_closes_the_first(mall: RunningMall) -> None:
    driver = await (await mall.zone()).driver()
    first, second = Phone(driver.client), Phone(driver.client)
    async with first.connected(), second.connected():
        await _until_closed(first)
        assert first.close_code == 4006
        assert not second.closed


async def test_browser_opens_the_feed_with_a_ticket_once(mall: RunningMall) -> None:
    driver = await (await mall.zone()).driver()
    ticket = (await driver.client.do("POST", "/api/v2/realtime/tickets"))["ticket"]
    url = mall.process.url + "/api/v2/drivers/feed"
    headers = {"Origin": "https://shop.example"}
    for expected in ("welcome", "closed"):
        async with mall.anybody.http.ws_connect(url, protocols=("malldrive.v1",), headers=headers) as ws:
            await ws.send_json({"t": "hello", "ticket": ticket})
            message = await ws.receive(5)
            if expected == "welcome":
                assert message.json()["t"] == "welcome"
            else:
                assert (message.type, ws.close_code) == (aiohttp.WSMsgType.CLOSE, 4001)


async def test_repeated_command_over_another_connection_has_one_effect(mall: RunningMall) -> None:
    zone = await mall.zone(mode="open")
    driver = await zone.driver()
    order = await zone.order()
    frame = {"t": "offer.accept", "orders": [order], "key": next(keys)}
    async with driver.online():
        first = await driver.phone.ask(frame)
    async with driver.phone.connected():
        again = await driver.phone.ask(frame)
        assert again["results"] == first["results"]
        other = await driver.phone.ask({**frame, "offer_id": "rnd_1_1"})
        assert other["code"] == "key_reused"


# -- accounts -------------------------------------------------------------------------------------


async def test_refresh_token_is_used_up_and_its_reuse_ends_the_session(mall: RunningMall) -> None:
    account = {"email": "ann@example.org", "password": "correct horse", "name": "Ann"}
    first = await mall.anybody.do("POST", "/api/v2/auth/register", account)
    me = await mall.anybody.as_(first["access_token"]).do("GET", "/api/v2/me")
    assert (me["email"], me["role"]) == ("ann@example.org", "customer")
    assert await refused(mall.anybody.do("POST", "/api/v2/auth/register", account)) == "email_taken"
    one = {"refresh_token": first["refresh_token"]}
    latest = await mall.anybody.do("POST", "/api/v2/auth/refresh", one)
    for _ in range(5):  # nobody's answers cross each other over so many tokens
        shown = {"refresh_token": latest["refresh_token"]}
        latest = await mall.anybody.do("POST", "/api/v2/auth/refresh", shown)
    assert await refused(mall.anybody.do("POST", "/api/v2/auth/refresh", one)) == "invalid_refresh_token"
    shown = {"refresh_token": latest["refresh_token"]}
    assert await refused(mall.anybody.do("POST", "/api/v2/auth/refresh", shown)) == "invalid_refresh_token"
    wrong = {"email": "ann@example.org", "password": "wrong horse"}
    assert await refused(mall.anybody.do("POST", "/api/v2/auth/login", wrong)) == "invalid_credentials"
    nobody = {"email": "nobody@example.org", "password": "wrong horse"}
    assert await refused(mall.anybody.do("POST", "/api/v2/auth/login", nobody)) == "invalid_credentials"


async def test_logout_ends_the_access_token(mall: RunningMall) -> None:
    account = {"email": "bob@example.org", "password": "correct horse", "name": "Bob"}
    bob = mall.anybody.as_((await mall.anybody.do("POST", "/api/v2/auth/register", account))["access_token"])
    await bob.do("POST", "/api/v2/auth/logout")
    assert await refused(bob.do("GET", "/api/v2/me")) == "unauthenticated"


async def test_banned_driver_is_out_at_once(mall: RunningMall) -> None:
    zone = await mall.zone()
    driver = await zone.driver()
    async with driver.online():
        await mall.admin.do("PATCH", f"/api/v2/users/{driver.user_id}", {"status": "banned"})
        await _until_closed(driver.phone)
        assert driver.phone.close_code == 4007
    assert await refused(driver.client.do("GET", "/api/v2/drivers/me")) == "unauthenticated"
    listed = await mall.admin.do("GET", f"/api/v2/drivers?zone_id={zone.id}")
    assert [d["status"] for d in listed["items"]] == ["offline"]


async def test_admin_moves_a_driver_to_another_zone(mall: RunningMall) -> None:
    old, new = await mall.zone(), await mall.zone()
    async with (await old.driver()).online() as driver:
        change = {"zone_id": new.id, "capacity": 3}
        user = await mall.admin.do("PATCH", f"/api/v2/users/{driver.user_id}", change)
        assert (user["zone_id"], user["capacity"]) == (new.id, 3)
        await driver.frame(lambda f: f["t"] == "state" and f["topic"] == "zone")
        await driver.event("offer", await new.order())


async def test_others_see_no_order_that_does_not_concern_them(mall: RunningMall) -> None:
    zone = await mall.zone()
    order = await zone.order()
    async with (await zone.driver()).online() as driver:
        await driver.event("offer", order)
        assert (await driver.client.do("GET", f"/api/v2/orders/{order}"))["id"] == order
        assert "customer_id" not in await driver.client.do("GET", f"/api/v2/orders/{order}")
    for path in ("", "/events", "/track"):
        assert await refused(mall.other.do("GET", f"/api/v2/orders/{order}{path}")) == "order_not_found"
    assert await refused(mall.other.do("POST", f"/api/v2/orders/{order}/cancellation")) == "order_not_found"
    assert all(o["id"] != order for o in (await mall.other.do("GET", "/api/v2/orders"))["items"])


# -- operations -----------------------------------------------------------------------------------


async def test_probes_status_and_metrics_answer(mall: RunningMall) -> None:
    http, server = mall.anybody.http, mall.process
    for base in (server.url, server.ops_url):
        for probe in ("liveness", "readiness", "startup"):
            async with http.get(f"{base}/health/{probe}") as response:
                assert response.status == 200
                # What we are made of is nobody's business outside.
                shown = probe == "readiness" and base == server.ops_url
                assert ('"components"' in await response.text()) == shown
    async with http.get(server.ops_url + "/status") as response:
        status = await response.json()
    assert 256 / 3 - 1 <= status["shards"]["owned"] <= 256
    assert {"actors", "mailboxes", "gate", "lanes", "timers", "sessions", "pool"} <= set(status)
    async with http.get(server.ops_url + "/metrics") as response:
        text = await response.text()
    for name in (
        "mall_flushes_total",
        "mall_requests_total",
        "mall_query_seconds_bucket",
        "mall_actors_active",
    ):
        assert name in text
    for path in ("/metrics", "/status"):
        async with http.get(server.url + path) as response:
            assert response.status == 404


async def test_configured_origin_is_allowed_and_no_other(mall: RunningMall) -> None:
    url = mall.process.url + "/api/v2/products"
    for origin, allowed in (("https://shop.example", True), ("https://evil.example", False)):
        headers = {"Origin": origin, "Authorization": f"Bearer {mall.customer.token}"}
        async with mall.anybody.http.get(url, headers=headers) as response:
            assert (response.headers.get("Access-Control-Allow-Origin") == origin) is allowed
            assert "Origin" in response.headers["Vary"]
        preflight = {"Origin": origin, "Access-Control-Request-Method": "GET"}
        async with mall.anybody.http.options(url, headers=preflight) as response:
            assert (response.status == 200) is allowed


async def test_pages_hold_every_product_once(mall: RunningMall) -> None:
    zone = await mall.zone()
    store = (await mall.admin.do("GET", f"/api/v2/products/{zone.product_id}"))["store_id"]
    for number in range(5):
        price = {"amount_minor": number, "currency": "EUR"}
        await mall.admin.do(
            "POST", "/api/v2/products", {"store_id": store, "name": f"P{number}", "price": price}
        )
    found, cursor = [], ""
    while True:
        page = await mall.customer.do("GET", f"/api/v2/stores/{store}/products?limit=2{cursor}")
        found += [item["id"] for item in page["items"]]
        if page["next"] is None:
            break
        cursor = f"&cursor={page['next']}"
    assert len(found) == len(set(found)) == 6


async def test_shift_that_ends_in_another_year_is_a_mistake_and_leaves_the_driver_as_it_was(
    mall: RunningMall,
) -> None:
    zone = await mall.zone()
    driver = await zone.driver()
    async with driver.phone.connected():
        # Seconds for milliseconds.
        answer = await driver.ask(t="availability", status="online", shift_ends_at_ms=1_796_000_000)
        assert (answer["t"], answer["code"], answer["temporary"]) == ("error", "invalid", False)
        assert answer["detail"].startswith("shift_ends_at_ms: ")
        assert (await driver.client.do("GET", "/api/v2/drivers/me"))["status"] == "offline"


# -- planned zones ----------------------------------------------------------------------------------------


async def test_trip_is_offered_as_one_accepted_whole_and_explained(mall: RunningMall) -> None:
    zone = await mall.zone(preparation_s=0, mode="planned")
    async with (await zone.driver(capacity=3)).online() as driver:
        await driver.ask(t="availability", status="offline")
        first, second = await zone.order(), await zone.order()
        await driver.client.do("PUT", "/api/v2/drivers/me/location", {"lat": 1.001, "lon": 2.0})
        await driver.ask(t="availability", status="online")
        trips = [(await driver.event("offer", order))["data"]["trip"] for order in (first, second)]
        assert trips[0] == trips[1]
        assert sorted(trips[0]["orders"]) == sorted((first, second))
        stale = await driver.ask(t="offer.accept", orders=[first], trip_id="trp_1_999")
        assert stale["results"][0]["result"] == "offer_expired"
        assert await driver.accept_trip(trips[0]) == ["won", "won"]
        carried = (await driver.client.do("GET", "/api/v2/drivers/me/orders"))["items"]
        assert [order["trip"] for order in carried] == [trips[0]] * 2
        assert "trip" not in await mall.customer.do("GET", f"/api/v2/orders/{first}")
    told = await mall.process.run("explain", first)
    assert f"Offered to {driver.id}. It is one trip with 2 orders" in told
    assert f"{driver.id} accepted." in told


async def test_orders_of_two_stores_of_a_mall_are_one_trip_from_offer_to_doors(mall: RunningMall) -> None:
    zone = await mall.zone(
        preparation_s=0, mode="planned", planning={"pooling": True, "site_radius_m": 200, "rest_s": 0}
    )
    other = await mall.neighbour(zone)
    async with (await zone.driver(capacity=3)).online() as driver:
        await driver.ask(t="availability", status="offline")
        orders = [await zone.order(), await zone.order(product_id=other)]
        await driver.client.do("PUT", "/api/v2/drivers/me/location", {"lat": 1.0, "lon": 2.0})
        await driver.ask(t="availability", status="online")
        offers = [(await driver.event("offer", order))["data"] for order in orders]
        assert [offer["store"]["name"] for offer in offers] == ["Store", "Next door"]
        assert offers[0]["trip"] == offers[1]["trip"]
        assert sorted(offers[0]["trip"]["orders"]) == sorted(orders)
        assert await driver.accept_trip(offers[0]["trip"]) == ["won", "won"]
        carried = (await driver.client.do("GET", "/api/v2/drivers/me/orders"))["items"]
        assert [order["trip"] for order in carried] == [offers[0]["trip"]] * 2
        for order in orders:
            assert (await driver.post(order, "pickup"))["status"] == "picked_up"
        for order in offers[0]["trip"]["orders"]:
            assert (await driver.post(order, "delivery"))["status"] == "delivered"


async def test_driver_who_declines_a_trip_gets_it_no_more_while_somebody_else_is_there(
    mall: RunningMall,
) -> None:
    zone = await mall.zone(preparation_s=0, mode="planned", planning={"rest_s": 0})
    async with (await zone.driver()).online() as one:
        order = await zone.order()
        await one.event("offer", order)
        async with (await zone.driver()).online() as two:
            await one.post(order, "decline", {"reason": "too far"})
            await two.event("offer", order)
            assert await two.accept(order) == "won"


async def test_order_that_nobody_takes_climbs_the_ladder_to_the_board(mall: RunningMall) -> None:
    ladder = [
        {"mode": "planned", "offer_s": 60, "times": 1},
        {"mode": "nearest", "drivers": 1, "offer_s": 60, "times": 1},
        {"mode": "board"},
    ]
    zone = await mall.zone(preparation_s=0, mode="planned", planning={"rest_s": 0, "ladder": ladder})
    async with (await zone.driver()).online() as one:
        order = await zone.order()
        await one.event("offer", order)
        async with (await zone.driver()).online() as two:
            await one.ask(t="offer.decline", orders=[order], reason="too_far")
            await two.event("offer", order)
            await two.post(order, "decline", {"reason": "vehicle"})
            board = await one.frame(lambda f: _shows(f, order))
            [entry] = [each for each in board["data"]["orders"] if each["order_id"] == order]
            assert await one.accept(order, entry["offer_id"]) == "won"
    history = (await mall.admin.do("GET", f"/api/v2/orders/{order}/events"))["items"]
    assert [(e["type"], e["reason"], (e["data"] or {}).get("rung", {}).get("mode")) for e in history[1:]] == [
        ("offered", None, "planned"), ("declined", "too_far", None), ("offered", None, "nearest"),
        ("declined", "vehicle", None), ("mode_set", None, None), ("assigned", None, None),
    ]  # fmt: skip
    told = await mall.process.run("explain", order)
    assert "Rung 1 (planned). Offered to" in told
    assert "Rung 2 (nearest). Wave 2: offered to the nearest drivers" in told
    assert "On the board" in told


def _shows(frame: dict[str, Any], order: str) -> bool:
    if frame["t"] != "state" or frame.get("topic") != "board":
        return False
    return order in {each["order_id"] for each in frame["data"]["orders"]}


async def test_order_at_the_end_of_the_ladder_is_told_of_and_offered_no_more(mall: RunningMall) -> None:
    ladder = [{"mode": "nearest", "offer_s": 60, "times": 1}]
    zone = await mall.zone(preparation_s=0, mode="planned", planning={"ladder": ladder})
    async with (await zone.driver()).online() as driver:
        order = await zone.order()
        await driver.event("offer", order)
        await driver.post(order, "decline")

        async def is_told() -> bool:
            items = (await mall.admin.do("GET", f"/api/v2/orders/{order}/events"))["items"]
            return any((e["type"], e["reason"]) == ("unclaimed", "ladder_ended") for e in items)

        await seconds_until(is_told)
        shown = await mall.admin.do("GET", f"/api/v2/orders/{order}")
        assert (shown["status"], shown["offers"]) == ("confirmed", [])


async def test_direct_zone_assigns_and_its_driver_delivers(mall: RunningMall) -> None:
    zone = await mall.zone(preparation_s=0, mode="direct")
    async with (await zone.driver()).online() as driver:
        order = await zone.order()
        await driver.event("order.assigned", order)
        assert (await driver.post(order, "pickup"))["result"] == "picked_up"
    history = (await mall.admin.do("GET", f"/api/v2/orders/{order}/events"))["items"]
    assert [(e["type"], e["by"]["role"]) for e in history][:2] == [
        ("created", "customer"),
        ("assigned", "dispatch"),
    ]
    assert history[1]["data"]["plan"]["chosen"]["driver_id"] == driver.id


# -- the queue at the stores ------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", ["waves", "planned"])
async def test_first_driver_at_the_stores_is_asked_first_and_sees_its_place(
    mall: RunningMall, mode: str
) -> None:
    zone = await mall.zone(preparation_s=0, mode=mode, queue_radius_m=300)

    async def stands(driver: MallDriver, lat: float, place: int | None) -> None:
        await driver.client.do("PUT", "/api/v2/drivers/me/location", {"lat": lat, "lon": 2.0})
        await driver.frame(lambda f: f.get("topic") == "queue" and f["data"] == {"place": place})
        assert (await driver.client.do("GET", "/api/v2/drivers/me"))["queue_place"] == place

    async with (await zone.driver()).online() as first, (await zone.driver()).online() as second:
        await stands(first, 1.002, 1)
        await stands(second, 1.0, 2)
        order = await zone.order()
        offer = (await first.event("offer", order))["data"]
        assert await first.accept(order, offer["offer_id"]) == "won"
        await second.frame(lambda f: f.get("topic") == "queue" and f["data"] == {"place": 1})
        await first.frame(lambda f: f.get("topic") == "queue" and f["data"] == {"place": None})
        assert (await first.client.do("GET", "/api/v2/drivers/me"))["queue_place"] is None
