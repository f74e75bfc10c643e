"""malldrive.js against a feed that is played by the test: order, repetition, closes, and what waits for an answer."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from playwright.async_api import expect

from loadtests.kit.client import Mall, open_http
from loadtests.kit.server import ServerProcess
from tests.browser.conftest import Visitors
from tests.browser.driver_pages import DriverPage, hire, open_app, open_mall
from tests.browser.scripted_feed import EPOCH, ScriptedFeed, entry, order

LOG_MAX = 200
ACK_ENTRIES = 16
_KEPT = """name => new Promise((done) => {
  indexedDB.open(name).onsuccess = ({ target }) => {
    const read = target.result.transaction("commands").objectStore("commands").getAllKeys();
    read.onsuccess = () => { target.result.close(); done(read.result); };
  };
})"""


@pytest.fixture
def feed() -> ScriptedFeed:
    return ScriptedFeed()


@pytest.fixture
async def driver(visitors: Visitors, server: ServerProcess, feed: ScriptedFeed) -> AsyncIterator[DriverPage]:
    """An app whose feed the test plays; it is online."""
    async with open_http() as http:
        mall = await open_mall(server, Mall(http, server.url))
        account = await hire(mall, await mall.zone())
        yield await open_app(visitors, account, prepare=feed.stand_between)


async def kept_keys(driver: DriverPage) -> list[str]:
    found: list[str] = await driver.page.evaluate(_KEPT, f"malldrive {driver.account.user_id}")
    return found


async def log_of(driver: DriverPage) -> list[int]:
    return [one["seq"] for one in (await driver.stored())["log"] if one["type"] != "snapshot"]


async def test_entry_that_comes_again_changes_nothing(driver: DriverPage, feed: ScriptedFeed) -> None:
    feed.say(entry(1, "order.assigned", order(1)), entry(1, "order.assigned", order(7)))
    feed.say(entry(2, "order.picked_up", order(1, "picked_up")))
    await feed.ack_of(2)
    await expect(driver.card("ord_1")).to_contain_text("Deliver")
    await expect(driver.card("ord_7")).to_be_hidden()
    assert await log_of(driver) == [1, 2]


async def test_entry_that_is_missing_is_asked_for(driver: DriverPage, feed: ScriptedFeed) -> None:
    feed.say(entry(1, "order.assigned", order(1)), entry(3, "order.delivered", order(1, "delivered")))
    assert (await feed.hello(2))["resume"] == {"epoch": EPOCH, "seq": 1}
    await expect(driver.card("ord_1")).to_be_visible()


async def test_many_entries_are_confirmed_by_few_acks_and_the_log_is_bounded(
    driver: DriverPage, feed: ScriptedFeed
) -> None:
    many = LOG_MAX + 50
    feed.say(*(entry(seq, "order.assigned", order(1)) for seq in range(1, many + 1)))
    await feed.ack_of(many)
    assert len(feed.of("ack")) <= many / ACK_ENTRIES + 2
    assert await log_of(driver) == list(range(many - LOG_MAX + 1, many + 1))


@pytest.mark.parametrize("code", [4101, 4103, 4200, 4201, 4202, 4203, 4205, 4150, 4299, 1011])
async def test_app_comes_back_and_resumes_after_a_close_that_asks_for_it(
    driver: DriverPage, feed: ScriptedFeed, code: int
) -> None:
    feed.say(entry(1, "order.assigned", order(1)))
    await feed.ack_of(1)
    await feed.close(code)
    assert (await feed.hello(2))["resume"] == {"epoch": EPOCH, "seq": 1}
    await driver.expect_connection("live")


async def test_app_whose_position_is_lost_asks_for_a_snapshot(driver: DriverPage, feed: ScriptedFeed) -> None:
    feed.say(entry(1, "order.assigned", order(1)))
    await feed.ack_of(1)
    await feed.close(4204)
    assert "resume" not in await feed.hello(2)
    await expect(driver.card("ord_1")).to_be_hidden()


@pytest.mark.parametrize("code", [4001, 4003, 4004, 4006, 4007, 4099])
async def test_app_stops_when_a_person_must_act(driver: DriverPage, feed: ScriptedFeed, code: int) -> None:
    await feed.close(code)
    await driver.expect_connection("stopped")
    await expect(driver.page.get_by_role("alert")).to_contain_text("The feed has stopped")
    assert len(feed.hellos) == 1


async def test_every_socket_has_a_ticket_of_its_own(driver: DriverPage, feed: ScriptedFeed) -> None:
    await feed.close(4202)
    await feed.hello(2)
    await driver.expect_connection("live")
    tickets = [hello["ticket"] for hello in feed.hellos]
    assert all(ticket.startswith("tkt_") for ticket in tickets)
    assert len(set(tickets)) == 2


async def test_command_is_kept_until_it_is_answered_and_repeated_with_its_key(
    driver: DriverPage, feed: ScriptedFeed
) -> None:
    feed.say(entry(1, "order.assigned", order(1)))
    await driver.button("Picked up").click()
    [first] = await feed.frames("order.pickup")
    assert await kept_keys(driver) == [first["key"]]
    await feed.close(4202)
    again = (await feed.frames("order.pickup", 2))[1]
    late = {"temporary": True, "not_processed": True, "retry_after_ms": 100, "trace_id": "0" * 32}
    feed.say({"t": "error", "id": again["id"], "code": "rate_limited", **late})
    third = (await feed.frames("order.pickup", 3))[2]
    assert {first["key"], again["key"], third["key"]} == {first["key"]}
    assert third["id"] != again["id"]
    answer = {"ok": True, "result": "picked_up", "status": "picked_up", "version": 2, "trace_id": "0" * 32}
    feed.say(entry(2, "order.picked_up", order(1, "picked_up")), {"t": "reply", "id": third["id"], **answer})
    await expect(driver.button("Delivered")).to_be_enabled()
    assert await kept_keys(driver) == []


async def test_command_of_a_page_that_was_loaded_again_keeps_its_key(
    driver: DriverPage, feed: ScriptedFeed
) -> None:
    feed.say(entry(1, "order.assigned", order(1)))
    await driver.button("Picked up").click()
    [first] = await feed.frames("order.pickup")
    await driver.page.reload()
    again = (await feed.frames("order.pickup", 2))[1]
    assert again["key"] == first["key"]
    await expect(driver.button("Sending …")).to_be_disabled()


async def test_refusal_for_good_is_shown_and_not_repeated(driver: DriverPage, feed: ScriptedFeed) -> None:
    feed.say(entry(1, "order.assigned", order(1)))
    await driver.button("Picked up").click()
    [first] = await feed.frames("order.pickup")
    refused = {"code": "order_not_found", "temporary": False, "trace_id": "0" * 32}
    feed.say({"t": "error", "id": first["id"], **refused})
    await expect(driver.page.get_by_role("alert")).to_contain_text("not yours any more")
    assert await kept_keys(driver) == []


async def test_ping_is_answered_and_a_token_that_ends_is_renewed(
    driver: DriverPage, feed: ScriptedFeed
) -> None:
    before = await driver.page.evaluate(
        "async () => (await import('/pages/client/session.js')).accessToken()"
    )
    feed.say({"t": "ping"}, {"t": "auth.expiring", "in_s": 60})
    await feed.frames("pong")
    [renewed] = await feed.frames("auth.refresh")
    assert renewed["token"] != before


async def test_positions_count_anew_on_each_socket(driver: DriverPage, feed: ScriptedFeed) -> None:
    assert (await feed.frames("loc"))[0]["cseq"] == 1
    await feed.close(4202)
    await feed.hello(2)
    await driver.page.context.set_geolocation({"latitude": 1.002, "longitude": 2.0})
    assert [frame["cseq"] for frame in await feed.frames("loc", 2)] == [1, 1]


async def test_frames_of_later_versions_are_ignored(driver: DriverPage, feed: ScriptedFeed) -> None:
    feed.say({"t": "weather", "rain": True}, {"t": "state", "topic": "mood", "data": {}})
    feed.say(entry(1, "order.assigned", order(1)))
    await expect(driver.card("ord_1")).to_be_visible()


async def test_driver_sees_the_place_among_those_who_wait(driver: DriverPage, feed: ScriptedFeed) -> None:
    feed.say({"t": "state", "topic": "queue", "data": {"place": 2}})
    await expect(driver.page.get_by_text("Place 2 at the stores")).to_be_visible()
    feed.say({"t": "state", "topic": "queue", "data": {"place": 1}})
    await expect(driver.page.get_by_text("You are next at the stores")).to_be_visible()
    feed.say({"t": "state", "topic": "queue", "data": {"place": None}})
    await expect(driver.page.get_by_text("at the stores")).to_be_hidden()


async def test_server_that_leaves_is_come_back_to(driver: DriverPage, feed: ScriptedFeed) -> None:
    feed.say({"t": "drain", "reconnect_in_ms": 300, "deadline_ms": 1000})
    await feed.close(4200)
    await feed.hello(2)
    await driver.expect_connection("live")
