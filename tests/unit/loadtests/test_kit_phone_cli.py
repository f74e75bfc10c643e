"""The phone for the terminal: when it calls again, and when it gives up."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import orjson
import pytest
from aiohttp import WSMsgType, web
from aiohttp.test_utils import TestServer

from api.subscriptions import close_codes
from loadtests.kit import phone_cli as phone

EPOCH = "a1b2c3"
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@asynccontextmanager
async def serving(handler: Handler) -> AsyncIterator[str]:
    app = web.Application()
    app.router.add_get("/api/v2/drivers/feed", handler)
    async with TestServer(app) as server:
        yield str(server.make_url("")).rstrip("/")


class Feed:
    """Welcomes, answers one command, and closes with the next of these codes."""

    def __init__(self, *ends: int) -> None:
        self.ends = list(ends)
        self.hellos: list[dict[str, Any]] = []

    async def answer(self, request: web.Request) -> web.StreamResponse:
        ws = web.WebSocketResponse(protocols=("malldrive.v1",))
        await ws.prepare(request)
        self.hellos.append(orjson.loads(await ws.receive_str()))
        resumed = "resume" in self.hellos[-1]
        welcome = {"t": "welcome", "epoch": EPOCH, "seq": 0, "resumed": resumed, "snapshot": {}}
        await ws.send_str(orjson.dumps(welcome).decode())
        async for message in ws:
            if message.type is WSMsgType.TEXT:
                reply = {"t": "reply", "id": orjson.loads(message.data)["id"], "ok": True}
                await ws.send_str(orjson.dumps(reply).decode())
                break
        await ws.close(code=self.ends.pop(0))
        return ws


@pytest.fixture(autouse=True)
def no_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(phone, "PAUSE_S", 0.0)


async def test_line_that_ends_while_nothing_happens_is_resumed() -> None:
    feed = Feed(close_codes.DRAINING, close_codes.SUPERSEDED)
    async with serving(feed.answer) as url, asyncio.timeout(10):
        await phone.drive(url, "token", accept=False)
    assert [hello.get("resume") for hello in feed.hellos] == [None, {"epoch": EPOCH, "seq": 0}]


async def test_phone_that_must_stop_says_why() -> None:
    async with serving(Feed(close_codes.DISABLED).answer) as url, asyncio.timeout(10):
        assert str(close_codes.DISABLED) in await phone.drive(url, "token", accept=False)


@pytest.mark.parametrize("status", [401, 403])
async def test_token_that_is_refused_is_not_shown_again(status: int) -> None:
    shown: list[str] = []

    async def refuse(request: web.Request) -> web.Response:
        shown.append(request.headers["Authorization"])
        return web.Response(status=status)

    async with serving(refuse) as url, asyncio.timeout(10):
        assert f"HTTP {status}" in await phone.drive(url, "x.y.z", accept=False)
    assert shown == ["Bearer x.y.z"]
