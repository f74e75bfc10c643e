"""The stock server (MALL_FAST_PATH=off), on real sockets: what it keeps of the bounds of ours."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from ipaddress import ip_network

import aiohttp
import pytest
from aiohttp import WSMsgType, web

from api.feed.frame_limits import BURST_FRAMES
from api.feed.stock_socket import StockSocket
from api.subscriptions import close_codes
from api.transport import stock
from api.transport.connection_limits import ConnectionCounts
from api.transport.stock import StockRunner
from tests.support.waiting import until

TRACE = "0123456789abcdef0123456789abcdef"
# Loopback counts, too.
NOBODY_IS_PRIVATE = (ip_network("203.0.113.0/24"),)


class Ear:
    """A listener that counts. What its socket returns lands in `texts`."""

    def __init__(self) -> None:
        self.socket: StockSocket | None = None
        self.texts: list[object] = []
        self.pings = self.floods = 0
        self.ended = asyncio.Event()

    def heard(self, text: str | None) -> None:
        self.pings += text is None

    def flooded(self) -> None:
        self.floods += 1

    async def serve(self, request: web.Request) -> web.StreamResponse:
        """Listen to a socket until it ends."""
        ws = self.socket = StockSocket(compress=False, autoping=False, timeout=0.1)
        await ws.prepare(request)
        ws.listen(self)
        async for message in ws:
            self.texts.append(message.data)
        self.ended.set()
        return ws


class Server:
    """A stock server with a socket, a fault and a large answer."""

    def __init__(self) -> None:
        self.ear = Ear()
        self.port = 0
        self.runner: StockRunner | None = None

    async def open(self, connection_counts: ConnectionCounts) -> None:
        """Listen on a free port."""
        app = web.Application()
        app.router.add_get("/feed", self.ear.serve)
        app.router.add_get("/fault", self._fail)
        app.router.add_get("/large", self._large)
        app.router.add_get("/good", self._good)
        self.runner = StockRunner(
            app, connection_counts, lambda: TRACE, handle_signals=False, access_log=None, shutdown_timeout=0.1
        )
        await self.runner.setup()
        site = web.TCPSite(self.runner, "127.0.0.1", 0)
        await site.start()
        self.port = self.runner.addresses[0][1]

    async def _fail(self, request: web.Request) -> web.StreamResponse:
        raise RuntimeError("secret")

    async def _large(self, request: web.Request) -> web.StreamResponse:
        return web.Response(body=b"x" * 8_000_000)

    async def _good(self, request: web.Request) -> web.StreamResponse:
        return web.Response(text="good")

    async def send(self, text: str) -> bytes:
        """One request, byte for byte, and all that comes until the end."""
        reader, writer = await self.dial(text)
        try:
            return await reader.read()
        finally:
            writer.close()

    async def dial(self, text: str) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        writer.write(text.encode())
        return reader, writer


Open = Callable[..., Awaitable[Server]]


@pytest.fixture
async def open_stock() -> AsyncIterator[Open]:
    opened: list[Server] = []

    async def make(connection_counts: ConnectionCounts | None = None) -> Server:
        server = Server()
        await server.open(ConnectionCounts(0) if connection_counts is None else connection_counts)
        opened.append(server)
        return server

    yield make
    for server in opened:
        assert server.runner is not None
        await server.runner.cleanup()


async def test_fault_of_ours_is_a_problem_and_tells_nothing(open_stock: Open) -> None:
    said = await (await open_stock()).send("GET /fault HTTP/1.1\r\nHost: a\r\n\r\n")
    assert said.startswith(b"HTTP/1.1 500 ")
    assert b'"code":"internal"' in said
    assert b"secret" not in said


@pytest.mark.parametrize(
    "head",
    [
        "GET http://b/good HTTP/1.1\r\nHost: a",
        "GET /good#x HTTP/1.1\r\nHost: a",
        "GET /good HTTP/1.2\r\nHost: a",
    ],
)
async def test_request_that_two_readers_would_take_for_two_is_refused_and_ends_the_connection(
    open_stock: Open, head: str
) -> None:
    said = await (await open_stock()).send(f"{head}\r\n\r\nGET /good HTTP/1.1\r\nHost: a\r\n\r\n")
    assert b" 400 Bad Request\r\n" in said
    assert b"\r\n\r\ngood" not in said


async def test_client_that_wants_another_protocol_is_answered_and_left(open_stock: Open) -> None:
    head = "GET /good HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n"
    said = await (await open_stock()).send(head)
    assert said.endswith(b"\r\n\r\ngood")


async def test_reader_of_a_large_answer_that_does_not_read_is_cut_off(
    open_stock: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stock, "READ_S", 0.05)
    monkeypatch.setattr(stock, "READ_BYTES_PER_S", 1e9)
    server = await open_stock()
    reader, writer = await server.dial("GET /large HTTP/1.1\r\nHost: a\r\n\r\n")
    runner = server.runner
    assert runner is not None
    await reader.readexactly(200)
    await until(lambda: not runner.count_open())
    with pytest.raises((ConnectionError, asyncio.IncompleteReadError)):
        await reader.readexactly(8_000_000)
    writer.close()


async def test_large_answer_is_sent_once(open_stock: Open) -> None:
    said = await (await open_stock()).send("GET /large HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
    head, _, body = said.partition(b"\r\n\r\n")
    assert (head.count(b"HTTP/1.1 200"), len(body)) == (1, 8_000_000)


async def test_youngest_connections_of_an_address_that_has_too_many_are_ended(open_stock: Open) -> None:
    server = await open_stock(ConnectionCounts(2, NOBODY_IS_PRIVATE))
    assert server.runner is not None
    assert server.runner.server is not None
    lines = [await server.dial("GET /good HTTP/1.1\r\nHost: a\r\n\r\n") for _ in range(4)]
    for reader, _ in lines:
        await reader.readuntil(b"good")
    server.runner._end_excess(server.runner.server.connections)
    for reader, _ in lines[2:]:
        assert await reader.read() == b""
    for reader, writer in lines[:2]:
        writer.write(b"GET /good HTTP/1.1\r\nHost: a\r\n\r\n")
        await reader.readuntil(b"good")
        writer.close()


# -- sockets ----------------------------------------------------------------------------------------------


@pytest.fixture
async def feed(open_stock: Open) -> AsyncIterator[tuple[Ear, aiohttp.ClientWebSocketResponse]]:
    server = await open_stock()
    # A server that holds its frames back reads the client's close late.
    patience = aiohttp.ClientWSTimeout(ws_close=0.1)
    url = f"http://127.0.0.1:{server.port}/feed"
    async with aiohttp.ClientSession() as http, http.ws_connect(url, timeout=patience) as ws:
        await until(lambda: server.ear.socket)
        yield server.ear, ws


Feed = tuple[Ear, aiohttp.ClientWebSocketResponse]


async def test_ping_is_answered_and_counts_as_a_sign_of_life(feed: Feed) -> None:
    ear, ws = feed
    await ws.ping(b"x")
    await ws.send_str("one")
    await until(lambda: ear.texts)
    assert (ear.pings, ear.texts) == (1, ["one"])


async def test_burst_is_heard_and_the_rest_waits_its_turn_in_order(feed: Feed) -> None:
    ear, ws = feed
    assert ear.socket is not None
    ear.socket.charge(int(BURST_FRAMES) - 5)
    for number in range(60):
        await ws.send_str(str(number))
    await until(lambda: len(ear.texts) >= 5)
    assert len(ear.texts) < 60
    await until(lambda: len(ear.texts) == 60)
    assert ear.texts == [str(number) for number in range(60)]


@pytest.mark.parametrize("kind", [WSMsgType.PING, WSMsgType.PONG, WSMsgType.TEXT, WSMsgType.BINARY])
async def test_frame_of_any_kind_costs_its_place_in_the_bucket(feed: Feed, kind: WSMsgType) -> None:
    ear, ws = feed
    sent = int(BURST_FRAMES) + 40
    for _ in range(sent):
        await ws.send_frame(b"", kind)
    await until(lambda: ear.pings + len(ear.texts) >= BURST_FRAMES)
    assert ear.pings + len(ear.texts) < sent


async def test_socket_that_is_held_hears_nothing_until_it_is_released(feed: Feed) -> None:
    ear, ws = feed
    assert ear.socket is not None
    ear.socket.hold()
    await ws.send_str("the read that was under way")
    await ws.send_str("one")
    await until(lambda: ear.texts)
    assert len(ear.texts) == 1
    ear.socket.release()
    await until(lambda: len(ear.texts) == 2)


async def test_flood_that_goes_on_is_told_once(feed: Feed, monkeypatch: pytest.MonkeyPatch) -> None:
    ear, ws = feed
    assert ear.socket is not None
    monkeypatch.setattr("api.feed.stock_socket.PATIENCE_S", 0.01)
    monkeypatch.setattr("api.feed.stock_socket.FRAMES_PER_S", 2.0)
    ear.socket.charge(int(BURST_FRAMES))
    for _ in range(3):
        await ws.send_str("x")
    await until(lambda: len(ear.texts) == 3)
    assert ear.floods == 1


async def test_dismissed_reader_gets_the_code_at_once(feed: Feed) -> None:
    ear, _ = feed
    assert ear.socket is not None
    ear.socket.dismiss(close_codes.TOO_MANY)
    await until(lambda: ear.texts)
    assert ear.texts[0] == close_codes.TOO_MANY


async def test_close_ends_a_socket_that_is_held(feed: Feed) -> None:
    ear, ws = feed
    assert ear.socket is not None
    ear.socket.hold()
    closing = asyncio.get_running_loop().create_task(ear.socket.close(code=close_codes.RATE_LIMITED))
    assert (await ws.receive()).data == close_codes.RATE_LIMITED
    await closing
    async with asyncio.timeout(5):
        await ear.ended.wait()
