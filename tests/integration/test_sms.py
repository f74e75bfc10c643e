"""SMS to a real HTTP server: what it gets, and what each answer means."""

from __future__ import annotations

import socket
from collections.abc import AsyncIterator

import pytest
from aiohttp import web

from api.outbound.sms import HttpSms, open_http_sms
from dispatch.notices.ports import SendRefused, SendUnavailable, SendUnsure

TO, TEXT = "+4930123456", "Bäckerei: Grüße"


class SmsProvider:
    """A provider that sends each key once."""

    def __init__(self) -> None:
        self.status = 202
        self.drops = False
        self.sent: dict[str, tuple[str, str]] = {}
        self.asked: list[tuple[str, str]] = []
        self.url = ""

    async def handle(self, request: web.Request) -> web.StreamResponse:
        key, body = request.headers["Idempotency-Key"], await request.json()
        self.asked.append((key, request.headers["Authorization"]))
        if self.status < 300:
            self.sent.setdefault(key, (body["to"], body["text"]))
        if self.drops:
            assert request.transport is not None
            request.transport.abort()
        return web.Response(status=self.status, headers={"Location": "/elsewhere"})


@pytest.fixture
async def provider() -> AsyncIterator[SmsProvider]:
    it = SmsProvider()
    app = web.Application()
    app.router.add_post("/sms", it.handle)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    it.url = f"http://127.0.0.1:{runner.addresses[0][1]}/sms"
    yield it
    await runner.cleanup()


@pytest.fixture
async def sms(provider: SmsProvider) -> AsyncIterator[HttpSms]:
    async with open_http_sms(provider.url, "a secret", timeout_s=5.0) as opened:
        yield opened


async def test_sms_goes_out_under_its_key_and_the_secret_says_who_we_are(
    provider: SmsProvider, sms: HttpSms
) -> None:
    await sms.send("notice-7", TO, TEXT)
    assert provider.sent == {"notice-7": (TO, TEXT)}
    assert provider.asked == [("notice-7", "Bearer a secret")]


async def test_repetition_after_a_lost_answer_is_not_a_second_sms(
    provider: SmsProvider, sms: HttpSms
) -> None:
    provider.drops = True
    with pytest.raises(SendUnsure):
        await sms.send("notice-7", TO, TEXT)
    provider.drops = False
    await sms.send("notice-7", TO, TEXT)
    assert len(provider.asked) >= 2
    assert len(provider.sent) == 1


@pytest.mark.parametrize(
    ("status", "means"),
    [
        (401, SendUnavailable), (403, SendUnavailable), (429, SendUnavailable), (503, SendUnavailable),
        (400, SendRefused), (404, SendRefused), (422, SendRefused),
        (302, SendUnsure), (408, SendUnsure), (500, SendUnsure), (502, SendUnsure),
    ],
)  # fmt: skip
async def test_answer_says_whether_to_try_again(
    provider: SmsProvider, sms: HttpSms, status: int, means: type[Exception]
) -> None:
    provider.status = status
    with pytest.raises(means):
        await sms.send("notice-7", TO, TEXT)


async def test_provider_that_is_away_has_certainly_got_nothing() -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{unused.getsockname()[1]}/sms"
        async with open_http_sms(url, "") as sms:
            with pytest.raises(SendUnavailable):
                await sms.send("notice-7", TO, TEXT)


async def test_provider_that_hangs_leaves_it_unknown() -> None:
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        url = f"http://127.0.0.1:{silent.getsockname()[1]}/sms"
        async with open_http_sms(url, "", timeout_s=0.2) as sms:
            with pytest.raises(SendUnsure):
                await sms.send("notice-7", TO, TEXT)
