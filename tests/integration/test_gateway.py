"""A payment gateway is believed only when it is exactly what it may say. A real server says everything else."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest
from aiohttp import web

from actors.clock import SystemRandomness
from api.payments import http_gateway
from api.payments.http_gateway import HttpGateway, open_gateway
from dispatch.domain.money import Money
from dispatch.payments import Declined, GatewayLater, GatewayRefused, GatewayUnsure, Held

EUROS = Money(900, "EUR")
Answer = Callable[[web.Request], Awaitable[web.StreamResponse]]


class MisbehavingProvider:
    """What the next request is answered with, and what was asked."""

    def __init__(self) -> None:
        self.answer: Answer = self.held
        self.asked: list[tuple[str, str, str, bytes]] = []
        self.url = ""

    async def handle(self, request: web.Request) -> web.StreamResponse:
        headers = request.headers
        self.asked.append(
            (request.path, headers["Idempotency-Key"], headers["Authorization"], await request.read())
        )
        return await self.answer(request)

    async def held(self, request: web.Request) -> web.StreamResponse:
        del request
        return web.json_response({"id": "hld_1", "status": "held"}, status=201)


@pytest.fixture
async def provider() -> AsyncIterator[MisbehavingProvider]:
    it = MisbehavingProvider()
    app = web.Application()
    app.router.add_route("*", "/{tail:.*}", it.handle)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    it.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    yield it
    await runner.cleanup()


@pytest.fixture
async def gateway(provider: MisbehavingProvider) -> AsyncIterator[HttpGateway]:
    async with open_gateway(provider.url, "a secret", SystemRandomness()) as opened:
        yield opened


async def test_hold_is_asked_for_under_its_key_and_the_secret_proves_who_asks(
    provider: MisbehavingProvider, gateway: HttpGateway
) -> None:
    assert await gateway.hold("key-1", EUROS, "tok_success") == Held("hld_1")
    [(path, key, secret, body)] = provider.asked
    assert (path, key, secret) == ("/holds", "key-1", "Bearer a secret")
    assert body == b'{"amount_minor": 900, "currency": "EUR", "token": "tok_success"}'


async def test_decline_is_an_answer(provider: MisbehavingProvider, gateway: HttpGateway) -> None:
    async def declined(_: web.Request) -> web.StreamResponse:
        return web.json_response({"code": "card_declined"}, status=402)

    provider.answer = declined
    assert await gateway.hold("key-1", EUROS, "tok_decline") == Declined("card_declined")


def _says(body: bytes, status: int = 201, **headers: str) -> Answer:
    async def answer(_: web.Request) -> web.StreamResponse:
        return web.Response(body=body, status=status, headers=headers)

    return answer


async def _endless(request: web.Request) -> web.StreamResponse:
    response = web.StreamResponse(status=201)
    await response.prepare(request)
    for _ in range(50):
        await response.write(b" " * 1_000_000)
    return response


async def _dropped(request: web.Request) -> web.StreamResponse:
    assert request.transport is not None
    request.transport.abort()
    return web.Response()


NO_ANSWERS: dict[str, Answer] = {
    "garbage": _says(b"\x00\xff garbage"),
    "nothing": _says(b""),
    "another status in the body": _says(b'{"id": "hld_1", "status": "captured"}'),
    "no reference": _says(b'{"status": "held"}'),
    "a reference that is a path": _says(b'{"id": "../../admin", "status": "held"}'),
    "a decline code that is a page": _says(b'{"code": "<html>"}', 402),
    "success under another status": _says(b'{"id": "hld_1", "status": "held"}', 200),
    "an error": _says(b"{}", 500),
    "a time-out of its own": _says(b"{}", 408),
    "a redirect": _says(b"", 302, Location="/elsewhere"),
    "fifty megabytes": _endless,
    "a dropped connection": _dropped,
}


@pytest.mark.parametrize("answer", NO_ANSWERS.values(), ids=NO_ANSWERS)
async def test_what_cannot_be_understood_is_no_outcome(
    provider: MisbehavingProvider, gateway: HttpGateway, answer: Answer
) -> None:
    provider.answer = answer
    with pytest.raises(GatewayUnsure):
        await gateway.hold("key-1", EUROS, "tok_success")
    assert {path for path, *_ in provider.asked} == {"/holds"}, "nobody was followed elsewhere"


@pytest.mark.parametrize(
    ("status", "body", "code"),
    [
        (400, b'{"code": "invalid_token"}', "invalid_token"), (404, b"", "http_404"), (405, b"{}", "http_405"),
        (409, b"{}", "http_409"), (410, b'{"code": "hold_expired"}', "hold_expired"),
        (422, b'{"code": "<html>"}', "http_422"),
    ],
)  # fmt: skip
async def test_no_for_good_is_told_from_silence(
    provider: MisbehavingProvider, gateway: HttpGateway, status: int, body: bytes, code: str
) -> None:
    provider.answer = _says(body, status)
    for step in (gateway.hold("key-1", EUROS, "tok_1"), gateway.capture("key-1", "hld_1")):
        with pytest.raises(GatewayRefused) as refused:
            await step
        assert refused.value.code == code


@pytest.mark.parametrize("status", [401, 403, 429, 503])
async def test_what_was_certainly_not_done_may_be_tried_later(
    provider: MisbehavingProvider, gateway: HttpGateway, status: int
) -> None:
    provider.answer = _says(b"{}", status)
    with pytest.raises(GatewayLater):
        await gateway.hold("key-1", EUROS, "tok_success")


async def test_provider_that_cannot_be_reached_has_done_nothing() -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))  # bound and not listening: whoever connects is refused
        async with open_gateway(
            f"http://127.0.0.1:{probe.getsockname()[1]}", "", SystemRandomness()
        ) as gateway:
            with pytest.raises(GatewayLater):
                await gateway.hold("key-1", EUROS, "tok_success")


async def test_cancellation_names_the_key_of_the_hold(
    provider: MisbehavingProvider, gateway: HttpGateway
) -> None:
    provider.answer = _says(b'{"status": "voided"}', 200)
    await gateway.cancel("key-1")
    [(path, key, _, body)] = provider.asked
    assert (path, key, body) == ("/holds/cancellation", "key-1-cancel", b'{"key": "key-1"}')


def asked_of(gateway: HttpGateway, step: str) -> Awaitable[None]:
    """The step of a hold, with what it needs."""
    if step == "refund":
        return gateway.refund("key-1", "hld_1", EUROS)
    return (gateway.capture if step == "capture" else gateway.void)("key-1", "hld_1")


@pytest.mark.parametrize("step", ["capture", "void", "refund"])
async def test_step_is_done_only_when_the_provider_says_that_very_step(
    provider: MisbehavingProvider, gateway: HttpGateway, step: str
) -> None:
    done = {"capture": "captured", "void": "voided", "refund": "refunded"}[step]
    provider.answer = _says(f'{{"status": "{done}"}}'.encode(), 200)
    await asked_of(gateway, step)
    assert provider.asked[0][0] == f"/holds/hld_1/{step}"
    provider.answer = _says(b'{"status": "held"}', 200)
    with pytest.raises(GatewayUnsure):
        await asked_of(gateway, step)


async def test_provider_that_hangs_is_not_waited_for(
    provider: MisbehavingProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    release = asyncio.Event()

    async def hang(_: web.Request) -> web.StreamResponse:
        await release.wait()
        return web.Response()

    provider.answer = hang
    monkeypatch.setattr(http_gateway, "TIMEOUT_S", 0.05)
    async with open_gateway(provider.url, "a secret", SystemRandomness()) as gateway:
        with pytest.raises(GatewayUnsure):
            await gateway.hold("key-1", EUROS, "tok_success")
    release.set()
