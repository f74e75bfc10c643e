"""The bare protocols of the load generators, against a server that says exactly what a test wants."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest

from loadtests.kit.wire import FeedWire, HttpWire, frame_bytes, open_wire, request_bytes
from tests.support.waiting import turn, until

OK = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s"
UPGRADED = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\r\n"
Writers = list[asyncio.StreamWriter]


class Server:
    """A listening server that answers nothing by itself: tests write what it says."""

    def __init__(self) -> None:
        self.heard = b""
        self.writers: Writers = []
        self.port = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.writers.append(writer)
        while data := await reader.read(65536):
            self.heard += data

    async def say(self, data: bytes) -> None:
        await until(lambda: self.writers)
        self.writers[-1].write(data)
        await self.writers[-1].drain()

    async def hang_up(self) -> None:
        await until(lambda: self.writers)
        self.writers[-1].transport.abort()


@asynccontextmanager
async def listening() -> AsyncIterator[Server]:
    server = Server()
    listener = await asyncio.start_server(server.serve, "127.0.0.1", 0)
    server.port = listener.sockets[0].getsockname()[1]
    try:
        yield server
    finally:
        for writer in server.writers:
            writer.transport.abort()
        listener.close()
        await listener.wait_closed()


class Ear:
    """Remembers what a wire hands over."""

    def __init__(self) -> None:
        self.answers: list[tuple[int, bytes]] = []
        self.texts: list[bytes] = []
        self.codes: list[int] = []

    def answer(self, status: int, body: bytes) -> None:
        self.answers.append((status, body))


class Pipe(asyncio.Transport):
    """A transport without a network: keeps what is written."""

    def __init__(self, lost: Callable[[Exception | None], None]) -> None:
        super().__init__()
        self.written = b""
        self.closed = False
        self._lost = lost

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.written += bytes(data)

    def is_closing(self) -> bool:
        return self.closed

    def abort(self) -> None:
        if not self.closed:
            self.closed = True
            self._lost(None)


@asynccontextmanager
async def http() -> AsyncIterator[tuple[Server, HttpWire, Ear]]:
    async with listening() as server:
        wire = await open_wire(f"http://127.0.0.1:{server.port}")
        try:
            yield server, wire, Ear()
        finally:
            wire.close()


def feed() -> tuple[FeedWire, Pipe, Ear]:
    """A wire on a pipe, upgraded."""
    ear = Ear()
    wire = FeedWire(ear.texts.append, ear.codes.append)
    pipe = Pipe(wire.connection_lost)
    wire.connection_made(pipe)
    wire.upgrade("/feed", "token")
    wire.data_received(UPGRADED)
    pipe.written = b""
    return wire, pipe, ear


def server_frame(payload: bytes, opcode: int = 1) -> bytes:
    """As servers send them: without a mask."""
    size = len(payload)
    if size < 126:
        head = bytes((0x80 | opcode, size))
    elif size < 65536:
        head = bytes((0x80 | opcode, 126)) + size.to_bytes(2, "big")
    else:
        head = bytes((0x80 | opcode, 127)) + size.to_bytes(8, "big")
    return head + payload


# -- requests -------------------------------------------------------------------------------------


def test_request_says_who_asks_and_how_long_its_body_is() -> None:
    request = request_bytes("POST", "/orders", token="abc", body=b"{}", key="k-1")
    head, _, body = request.partition(b"\r\n\r\n")
    assert body == b"{}"
    lines = head.split(b"\r\n")
    assert lines[0] == b"POST /orders HTTP/1.1"
    assert {b"Authorization: Bearer abc", b"Idempotency-Key: k-1", b"Content-Length: 2"} <= set(lines)


def test_request_without_a_body_says_so_unless_it_only_reads() -> None:
    assert b"Content-Length: 0\r\n" in request_bytes("POST", "/x")
    assert b"Content-Length" not in request_bytes("GET", "/x")


# -- HTTP -----------------------------------------------------------------------------------------


async def test_answer_that_comes_byte_by_byte_is_heard_once_it_is_whole() -> None:
    async with http() as (server, wire, ear):
        wire.ask(request_bytes("GET", "/"), ear.answer)
        await until(lambda: b"GET /" in server.heard)
        whole = OK % (5, b"hello")
        for at in range(len(whole)):
            assert ear.answers == []
            await server.say(whole[at : at + 1])
            await turn()
        await until(lambda: ear.answers)
        assert ear.answers == [(200, b"hello")]


async def test_beginning_of_the_next_answer_is_kept_for_it() -> None:
    async with http() as (server, wire, ear):
        first, second = OK % (1, b"1"), OK % (1, b"2")
        wire.ask(request_bytes("GET", "/"), ear.answer)
        await server.say(first + second[:20])
        await until(lambda: len(ear.answers) == 1)
        wire.ask(request_bytes("GET", "/"), ear.answer)
        await server.say(second[20:])
        await until(lambda: len(ear.answers) == 2)
        assert ear.answers == [(200, b"1"), (200, b"2")]


async def test_answer_without_a_body_is_whole_at_the_end_of_its_head() -> None:
    async with http() as (server, wire, ear):
        wire.ask(request_bytes("PUT", "/location", body=b"{}"), ear.answer)
        await server.say(b"HTTP/1.1 204 No Content\r\nServer: x\r\n\r\n")
        await until(lambda: ear.answers)
        assert ear.answers == [(204, b"")]


@pytest.mark.parametrize(
    "said", [b"", b"HTTP/1.1 200 OK\r\n", OK % (9, b"half")], ids=["nothing", "head", "body"]
)
async def test_line_lost_before_the_answer_was_whole_gives_status_0(said: bytes) -> None:
    async with http() as (server, wire, ear):
        wire.ask(request_bytes("GET", "/"), ear.answer)
        await until(lambda: server.heard)
        await server.say(said)
        await server.hang_up()
        await until(lambda: ear.answers)
        assert ear.answers == [(0, b"")]


async def test_request_on_a_line_that_is_down_gives_status_0() -> None:
    async with http() as (_, wire, ear):
        wire.close()
        wire.ask(request_bytes("GET", "/"), ear.answer)
        await until(lambda: ear.answers)
        assert ear.answers == [(0, b"")]


@pytest.mark.parametrize(
    "head", [b"HTTP/1.1 what\r\n\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: many\r\n\r\n"]
)
async def test_nonsense_gives_status_0_and_hangs_up(head: bytes) -> None:
    ear = Ear()
    wire = HttpWire()
    pipe = Pipe(wire.connection_lost)
    wire.connection_made(pipe)
    wire.ask(request_bytes("GET", "/"), ear.answer)
    wire.data_received(head)
    assert (ear.answers, pipe.closed) == ([(0, b"")], True)


async def test_length_is_not_taken_from_a_header_that_ends_alike() -> None:
    ear = Ear()
    wire = HttpWire()
    wire.connection_made(Pipe(wire.connection_lost))
    wire.ask(request_bytes("GET", "/"), ear.answer)
    wire.data_received(b"HTTP/1.1 200 OK\r\nX-Content-Length: 9\r\nContent-Length: 2\r\n\r\nok")
    assert ear.answers == [(200, b"ok")]


# -- the feed -------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [0, 1, 125, 126, 127, 300])
async def test_frames_split_at_any_byte_are_heard_whole(size: int) -> None:
    frames = server_frame(b"a" * size) + server_frame(b"second")
    for at in range(len(frames) + 1):
        wire, _, ear = feed()
        wire.data_received(frames[:at])
        wire.data_received(frames[at:])
        assert ear.texts == [b"a" * size, b"second"], at


async def test_frame_of_more_than_64_kilobytes_is_heard() -> None:
    wire, _, ear = feed()
    wire.data_received(server_frame(b"b" * 70_000))
    assert ear.texts == [b"b" * 70_000]


async def test_frame_right_behind_the_upgrade_is_heard() -> None:
    ear, upgraded = Ear(), []
    wire = FeedWire(ear.texts.append, ear.codes.append, lambda: upgraded.append(True))
    wire.connection_made(Pipe(wire.connection_lost))
    whole = UPGRADED + server_frame(b"welcome")
    for at in range(len(whole)):
        wire.data_received(whole[at : at + 1])
    assert (ear.texts, upgraded) == ([b"welcome"], [True])


async def test_refused_upgrade_ends_with_its_status() -> None:
    ear = Ear()
    wire = FeedWire(ear.texts.append, ear.codes.append)
    pipe = Pipe(wire.connection_lost)
    wire.connection_made(pipe)
    wire.data_received(b"HTTP/1.1 503 Service Unavailable\r\n\r\n")
    assert (ear.codes, pipe.closed, wire.opened) == ([503], True, False)


async def test_ping_is_answered_with_what_it_says() -> None:
    wire, pipe, ear = feed()
    wire.data_received(server_frame(b"beat", opcode=9))
    assert pipe.written == b"\x8a\x84\0\0\0\0beat"
    assert ear.texts == []


@pytest.mark.parametrize(
    ("payload", "code"), [((4202).to_bytes(2, "big") + b"slow_consumer", 4202), (b"", 1005)]
)
async def test_close_frame_tells_its_code_once(payload: bytes, code: int) -> None:
    wire, pipe, ear = feed()
    wire.data_received(server_frame(payload, opcode=8))
    assert pipe.closed
    assert ear.codes == [code]


async def test_line_lost_without_a_goodbye_is_1006() -> None:
    _, pipe, ear = feed()
    pipe.abort()
    assert ear.codes == [1006]


@pytest.mark.parametrize("size", [5, 125, 126, 4000])
def test_frame_that_is_sent_is_masked_with_zeroes(size: int) -> None:
    text = b"x" * size
    sent = frame_bytes(text)
    assert sent[0] == 0x81
    assert sent[1] & 0x80
    assert sent.endswith(b"\0\0\0\0" + text)
    assert len(sent) == size + (6 if size < 126 else 8)


async def test_upgrade_goes_over_a_real_line() -> None:
    async with listening() as server:
        ear = Ear()
        wire = FeedWire(ear.texts.append, ear.codes.append, lambda: wire.send(b"hello"))
        await asyncio.get_running_loop().create_connection(lambda: wire, "127.0.0.1", server.port)
        wire.upgrade("/api/v2/drivers/feed", "a-token")
        await until(lambda: server.heard.endswith(b"\r\n\r\n"))
        assert b"Authorization: Bearer a-token\r\n" in server.heard
        await server.say(UPGRADED + server_frame(b"hi"))
        await until(lambda: ear.texts == [b"hi"] and server.heard.endswith(b"hello"))
        await server.hang_up()
        await until(lambda: ear.codes == [1006])
