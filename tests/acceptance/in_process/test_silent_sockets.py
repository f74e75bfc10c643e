"""Sockets that say nothing: none keeps anybody out, and each hears why it goes."""

from __future__ import annotations

from contextlib import AsyncExitStack

import pytest
from aiohttp import WSMsgType

from api.feed import handshake
from api.subscriptions.anonymous_sockets import AnonymousSockets
from storage.errors import Unreachable
from tests.acceptance.in_process.in_process_server import InProcessServer


@pytest.mark.parametrize("role", ["", "driver"], ids=["a stranger", "a driver with a token"])
async def test_who_says_hello_too_late_is_told_to_come_back(
    server: InProcessServer, monkeypatch: pytest.MonkeyPatch, role: str
) -> None:
    monkeypatch.setattr(handshake, "HELLO_S", 0.01)
    async with server.feed(role, hello=None) as ws:
        message = await ws.receive(timeout=10)
        assert (message.type, message.data, message.extra) == (WSMsgType.CLOSE, 4104, "late_hello")


async def test_silent_sockets_of_one_address_keep_no_driver_with_a_ticket_out(
    server: InProcessServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server.services.hub, "anonymous", AnonymousSockets(4, 3))
    ticket = (await server.good("driver", "POST", "/api/v2/realtime/tickets"))["ticket"]
    async with AsyncExitStack() as stack:
        silent = [await stack.enter_async_context(server.feed("", hello=None)) for _ in range(3)]
        driver = await stack.enter_async_context(server.feed("", hello=None))
        message = await silent[0].receive(timeout=10)
        assert (message.type, message.data) == (WSMsgType.CLOSE, 4102)
        await driver.send_json({"t": "hello", "ticket": ticket})
        assert (await driver.receive_json(timeout=10))["t"] == "welcome"


async def test_driver_whose_ticket_cannot_be_read_is_asked_to_come_again(
    server: InProcessServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever is told 4001 stops for good, and the ticket may be a good one."""
    ticket = (await server.good("driver", "POST", "/api/v2/realtime/tickets"))["ticket"]

    async def away(_: str) -> None:
        raise Unreachable("ConnectionError")

    monkeypatch.setattr(server.services.tickets, "redeem", away)
    async with server.feed("", hello=None) as driver:
        await driver.send_json({"t": "hello", "ticket": ticket})
        message = await driver.receive(timeout=10)
        assert (message.type, message.data) == (WSMsgType.CLOSE, 4100)
