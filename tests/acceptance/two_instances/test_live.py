"""An operator's socket: the zone as it is now, wherever its owner is, and nobody else may look."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import orjson
import pytest

from loadtests.kit.client import Mall, Phone
from tests.acceptance.two_instances.cluster import TwoInstances

LIVE, TICKETS = "/api/v2/console/live", "/api/v2/console/tickets"
PROTOCOL = "mallops.v1"


class Console:
    """A page that follows a zone and keeps what it is told."""

    def __init__(self, ws: aiohttp.ClientWebSocketResponse) -> None:
        self.ws = ws

    async def say(self, **frame: Any) -> None:
        await self.ws.send_str(orjson.dumps(frame).decode())

    async def hear(self, kind: str) -> dict[str, Any]:
        """The next frame of this type; ticks before it are drawn."""
        async with asyncio.timeout(15):
            while True:
                message = await self.ws.receive()
                assert message.type is aiohttp.WSMsgType.TEXT, message
                frame: dict[str, Any] = orjson.loads(message.data)
                if frame["t"] == "tick":
                    await self.say(t="ack", n=frame["n"])
                if frame["t"] == kind:
                    return frame

    async def tick_with(self, member: str) -> dict[str, Any]:
        """The next tick in which this member is not empty."""
        while True:
            frame = await self.hear("tick")
            if frame.get(member):
                return frame


@asynccontextmanager
async def console(mall: Mall) -> AsyncIterator[Console]:
    """A console that is signed in with a ticket, as a browser's is."""
    ticket = (await mall.do("POST", TICKETS))["ticket"]
    async with mall.http.ws_connect(mall.url + LIVE, protocols=(PROTOCOL,)) as ws:
        page = Console(ws)
        await page.say(t="hello", ticket=ticket)
        await page.hear("welcome")
        yield page


async def on_the_road(cluster: TwoInstances, mall: Mall) -> Phone:
    person = await cluster.driver()
    return Phone(mall.as_(person["access_token"]))


@pytest.mark.parametrize("side", [0, 1])
async def test_driver_who_moves_is_seen_on_every_instance(cluster: TwoInstances, side: int) -> None:
    looking = (cluster.one, cluster.two)[side].as_(cluster.admin.token)
    phone = await on_the_road(cluster, cluster.one)
    async with console(looking) as page, phone.connected():
        await page.say(t="watch", zone_id=cluster.zone)
        whole = await page.tick_with("whole")
        assert whole["zone_id"] == cluster.zone
        await phone.ask({"t": "availability", "status": "online", "key": f"live-{side}-online-0000"})
        await page.tick_with("drivers")
        await phone.send({"t": "loc", "lat": 52.52, "lon": 13.4, "cseq": 1})
        seen = await page.tick_with("drivers")
        assert seen["n"] > whole["n"]
        assert seen["run"] == whole["run"]


async def test_page_that_says_nothing_gets_one_tick_and_then_waits(cluster: TwoInstances) -> None:
    async with console(cluster.admin) as page:
        await page.say(t="watch", zone_id=cluster.zone)
        first = orjson.loads((await page.ws.receive(timeout=10)).data)
        assert first["whole"]
        with pytest.raises(TimeoutError):
            await page.ws.receive(timeout=2.5)
        await page.say(t="ack", n=first["n"])
        again = await page.hear("tick")
        assert again["whole"], "ticks were lost meanwhile"


async def test_frame_that_cannot_be_read_is_answered(cluster: TwoInstances) -> None:
    async with console(cluster.admin) as page:
        for text in ("{", '"ack"', '{"t":"fly"}', '{"t":"watch"}', '{"t":"watch","zone_id":"sto_1"}'):
            await page.ws.send_str(text)
            assert (await page.hear("error"))["code"] == "bad_frame"
        await page.say(t="ping")
        await page.hear("pong")


async def test_ticket_of_a_driver_or_one_that_was_used_opens_nothing(cluster: TwoInstances) -> None:
    person = await cluster.driver()
    of_driver = (await cluster.one.as_(person["access_token"]).do("POST", "/api/v2/realtime/tickets"))[
        "ticket"
    ]
    used = (await cluster.admin.do("POST", TICKETS))["ticket"]
    for ticket, codes in ((of_driver, [4001]), (used, [None, 4001])):
        for code in codes:
            async with cluster.one.http.ws_connect(cluster.one.url + LIVE, protocols=(PROTOCOL,)) as ws:
                await ws.send_str(orjson.dumps({"t": "hello", "ticket": ticket}).decode())
                message = await ws.receive(timeout=10)
                assert (None if message.type is aiohttp.WSMsgType.TEXT else ws.close_code) == code


async def test_session_that_is_ended_loses_its_socket(cluster: TwoInstances) -> None:
    login = {"email": "admin@mall.example", "password": "a password for tests"}
    tokens = await cluster.one.do("POST", "/api/v2/auth/login", login)
    operator = cluster.one.as_(tokens["access_token"])
    async with console(operator) as page:
        await operator.do("POST", "/api/v2/auth/logout")
        message = await page.ws.receive(timeout=10)
        assert (message.type, page.ws.close_code) == (aiohttp.WSMsgType.CLOSE, 4001)
