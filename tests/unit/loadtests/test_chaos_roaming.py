"""A caller goes to another instance when its own disappoints, and each line of a phone to another one."""

from __future__ import annotations

import itertools
from collections.abc import AsyncIterator
from random import Random

import aiohttp
import pytest
from aiohttp import web

from loadtests.chaos.instance import quiet_port
from loadtests.chaos.roaming import RoamingMall


class Instance:
    """Answers everything with one status, and remembers the keys it was shown."""

    def __init__(self, status: int) -> None:
        self.status = status
        self.keys: list[str | None] = []
        self.url = ""

    async def answer(self, request: web.Request) -> web.Response:
        self.keys.append(request.headers.get("Idempotency-Key"))
        return web.json_response({"code": "draining"}, status=self.status)

    async def open(self) -> web.AppRunner:
        app = web.Application()
        app.router.add_route("*", "/{path:.*}", self.answer)
        runner = web.AppRunner(app)
        await runner.setup()
        port = quiet_port()
        await web.TCPSite(runner, "127.0.0.1", port).start()
        self.url = f"http://127.0.0.1:{port}"
        return runner


@pytest.fixture
async def http() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as session:
        yield session


async def test_a_refusal_to_work_now_sends_the_caller_elsewhere_with_its_key(
    http: aiohttp.ClientSession,
) -> None:
    good, bad = Instance(200), Instance(503)
    runners = [await instance.open() for instance in (good, bad)]
    mall = RoamingMall(http, [good.url, bad.url], Random(1))
    mall.url = bad.url
    await mall.insist("POST", "/orders", {}, key="once")
    assert bad.keys == ["once"]
    assert good.keys == ["once"]
    assert mall.url == good.url
    for runner in runners:
        await runner.cleanup()


async def test_an_instance_that_is_away_is_left_for_another(http: aiohttp.ClientSession) -> None:
    away, there = f"http://127.0.0.1:{quiet_port()}", f"http://127.0.0.1:{quiet_port()}"
    mall = RoamingMall(http, [away, there], Random(1))
    mall.url = away
    with pytest.raises(aiohttp.ClientConnectorError):
        await mall.call("GET", "/")
    assert mall.url == there


async def test_every_line_of_a_phone_goes_to_another_instance(http: aiohttp.ClientSession) -> None:
    mall = RoamingMall(http, ["http://a", "http://b", "http://c"], Random(1)).as_("token").restless()
    urls = [mall.url for _ in range(30)]
    assert all(before != after for before, after in itertools.pairwise(urls))
    assert set(urls) == {"http://a", "http://b", "http://c"}
    assert mall.token == "token"
