"""The server protocol on a transport that only remembers, with a clock that the test moves.

Each test here rests on something that aiohttp does inside and promises nowhere; see `Connection`.
"""

from __future__ import annotations

import asyncio
import re
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from ipaddress import ip_network
from itertools import pairwise
from types import SimpleNamespace
from typing import Any

import pytest
from aiohttp import web
from aiohttp.web_protocol import MAX_MSG_QUEUE_SIZE, RequestHandler

from api.contract.problems import Problem
from api.http.request import BODY_S, RequestContext
from api.transport import connection as limits
from api.transport import listener, request_bodies
from api.transport.connection import Connection
from api.transport.connection_limits import ConnectionCounts
from api.transport.errors import BrokenBody, SlowBody, WastefulBody
from api.transport.listener import Runner
from api.transport.malformed import HEAD_BYTES_MAX
from api.transport.parser_errors import judge
from api.transport.socket_queue import queued_bytes
from tests.support.waiting import turn, until

TRACE = "0123456789abcdef0123456789abcdef"
GET = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"
UPGRADE = (
    b"GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
    b"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
)
POST = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5000\r\n\r\n"


class Wire(asyncio.Transport):
    """A transport that goes nowhere. `unread` are bytes that the client has not taken."""

    def __init__(self, address: str = "203.0.113.9") -> None:
        super().__init__({"peername": (address, 4321)})
        self.said = b""
        self.unread = 0
        self.closing = self.aborted = self.paused = False

    def write(self, data: bytes | bytearray | memoryview[Any]) -> None:
        self.said += bytes(data)

    def get_write_buffer_size(self) -> int:
        return self.unread

    def is_closing(self) -> bool:
        return self.closing

    def close(self) -> None:
        self.closing = True

    def abort(self) -> None:
        self.closing = self.aborted = True

    def pause_reading(self) -> None:
        self.paused = True

    def resume_reading(self) -> None:
        self.paused = False


class Door:
    """A server without a socket. `answer` is what its handler does."""

    def __init__(self) -> None:
        self.runner: Runner | None = None
        self.heard: list[BaseException] = []
        self.hold = asyncio.Event()
        self.ended = 0

    async def answer(self, request: web.Request) -> web.StreamResponse:
        """Read the body, hold a WebSocket, or wait until the test lets it go."""
        if request.headers.get("Upgrade") == "websocket":
            socket = web.WebSocketResponse()
            await socket.prepare(request)
            await socket.receive()
            self.ended += 1
            return socket
        if request.method == "POST":
            try:
                await request.read()
            except (SlowBody, BrokenBody, WastefulBody) as error:
                self.heard.append(error)
                return web.Response(status=408)
        else:
            await self.hold.wait()
        return web.Response(text="good")

    def connect(self, address: str = "203.0.113.9") -> tuple[Connection, Wire]:
        """A new connection, as the event loop would make it."""
        assert self.runner is not None
        connection, wire = self.runner.listening(), Wire(address)
        connection.connection_made(wire)
        return connection, wire


Open = Callable[..., Awaitable[Door]]


@pytest.fixture
async def open_door() -> AsyncIterator[Open]:
    doors: list[Door] = []

    async def make(connection_counts: ConnectionCounts | None = None, *, hold: bool = False) -> Door:
        door = Door()
        app = web.Application()
        app.router.add_route("*", "/{tail:.*}", door.answer)
        door.runner = Runner(
            app,
            ConnectionCounts(0) if connection_counts is None else connection_counts,
            lambda: TRACE,
            access_log=None,
            handle_signals=False,
            shutdown_timeout=0.1,
        )
        await door.runner.setup()
        if not hold:
            door.hold.set()
        doors.append(door)
        return door

    yield make
    for door in doors:
        door.hold.set()
        if door.runner is not None:
            await door.runner.cleanup()


def now() -> float:
    return asyncio.get_running_loop().time()


# -- the head ---------------------------------------------------------------------------------------------


async def test_head_that_dribbles_is_answered_408_and_closed(open_door: Open) -> None:
    connection, wire = (await open_door()).connect()
    await turn()
    connection.data_received(GET[:20])
    connection.sweep(now() + limits.HEAD_S - 1)
    assert (wire.said, wire.closing) == (b"", False)
    connection.data_received(GET[20:21])
    connection.sweep(now() + limits.HEAD_S + 0.1)
    assert wire.said.startswith(b"HTTP/1.1 408 ")
    assert b"Content-Type: application/problem+json\r\n" in wire.said
    assert f"X-Trace-ID: {TRACE}\r\n".encode() in wire.said
    assert b"Server: mall\r\n" in wire.said
    assert wire.closing


async def test_head_that_began_before_the_server_waited_is_limited_too(open_door: Open) -> None:
    connection, wire = (await open_door()).connect()
    connection.data_received(GET[:20])
    await turn()
    connection.sweep(now() + limits.HEAD_S + 0.1)
    assert wire.said.startswith(b"HTTP/1.1 408 ")


async def test_connection_that_says_nothing_is_closed_in_silence(open_door: Open) -> None:
    connection, wire = (await open_door()).connect()
    await turn()
    connection.sweep(now() + limits.FIRST_HEAD_S - 1)
    assert not wire.closing
    connection.sweep(now() + limits.FIRST_HEAD_S + 0.1)
    assert (wire.said, wire.closing) == (b"", True)


async def test_idle_connection_outlives_the_limit_of_a_head(open_door: Open) -> None:
    connection, wire = (await open_door()).connect()
    connection.data_received(GET)
    await until(lambda: wire.said.endswith(b"good"))
    await until(lambda: connection._waiter)
    connection.sweep(now() + 70)
    assert not wire.closing


async def test_second_head_on_an_idle_connection_has_its_own_limit(open_door: Open) -> None:
    connection, wire = (await open_door()).connect()
    connection.data_received(GET)
    await until(lambda: connection._waiter)
    connection.data_received(GET[:9])
    connection._next_keepalive_close_time = 0.0
    connection._process_keepalive()
    assert not wire.closing, "it is not idle"
    connection.sweep(now() + limits.HEAD_S + 0.1)
    assert b"HTTP/1.1 408 " in wire.said


async def test_head_that_came_in_parts_is_forgotten_when_it_is_complete(open_door: Open) -> None:
    connection, wire = (await open_door()).connect()
    await turn()
    for part in (GET[:3], GET[3:-2], GET[-2:]):
        connection.data_received(part)
    await until(lambda: wire.said.endswith(b"good"))
    await until(lambda: connection._waiter)
    connection.sweep(now() + limits.HEAD_S + 60)
    assert not wire.closing


async def test_head_is_limited_as_a_whole(open_door: Open) -> None:
    connection, wire = (await open_door()).connect()
    await turn()
    connection.data_received(b"GET / HTTP/1.1\r\n")
    for _ in range(HEAD_BYTES_MAX // 8000 + 1):
        connection.data_received(b"X: " + b"x" * 8000 + b"\r\n")
    assert wire.said.startswith(b"HTTP/1.1 431 ")
    assert wire.closing


# -- the body ---------------------------------------------------------------------------------------------


async def test_body_under_500_bytes_a_second_is_given_up(open_door: Open) -> None:
    door = await open_door()
    connection, wire = door.connect()
    connection.data_received(POST + b"x" * 400)
    await until(lambda: connection._current_request)
    began = now()
    connection.sweep(began)
    connection.sweep(began + limits.BODY_GRACE_S + 0.7)
    assert not door.heard
    connection.sweep(began + limits.BODY_GRACE_S + 0.9)
    await until(lambda: wire.said)
    assert [type(error) for error in door.heard] == [SlowBody]
    await until(lambda: wire.closing)


async def test_body_that_is_fast_enough_has_until_the_limit_of_a_whole_one(open_door: Open) -> None:
    door = await open_door()
    connection, _ = door.connect()
    connection.data_received(POST + b"x" * 4900)
    await until(lambda: connection._current_request)
    began = now()
    connection.sweep(began)
    connection.sweep(began + limits.BODY_S - 0.1)
    assert not door.heard
    connection.sweep(began + limits.BODY_S + 0.1)
    await until(lambda: door.heard)


async def test_body_of_broken_chunks_is_told_to_whoever_waits_for_it(open_door: Open) -> None:
    """Stock, the handler waits on for a body that can never be complete."""
    door = await open_door()
    connection, wire = door.connect()
    connection.data_received(b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}")
    await until(lambda: connection._current_request)
    connection.data_received(b"zz\r\n")
    await until(lambda: wire.closing)
    assert [type(error) for error in door.heard] == [BrokenBody]
    assert wire.said.count(b"HTTP/1.1") == 1


@pytest.mark.parametrize(
    ("error", "code"), [(SlowBody(), "request_timeout"), (BrokenBody(), "malformed_request")]
)
async def test_handlers_make_a_problem_of_it(error: Exception, code: str) -> None:
    class Content:
        @staticmethod
        def is_eof() -> bool:
            return False

    class Request:
        content = Content()
        headers: Mapping[str, str] = {}

        @staticmethod
        async def read() -> bytes:
            raise error

    context: Any = RequestContext.__new__(RequestContext)
    context.request = Request()
    with pytest.raises(Problem) as caught:
        await context._read()
    assert caught.value.code == code
    assert caught.value.headers["Connection"] == "close"


def test_handlers_give_up_before_a_request_may_last() -> None:
    assert BODY_S < 10


# -- the reader -------------------------------------------------------------------------------------------


async def test_reader_that_takes_nothing_is_cut_off(open_door: Open) -> None:
    connection, wire = (await open_door()).connect()
    connection.data_received(GET)
    await until(lambda: connection._waiter)
    wire.unread, began = 60_000, now()
    connection.sweep(began)
    connection.sweep(began + limits.READ_S - 0.1)
    assert not wire.aborted
    connection.sweep(began + limits.READ_S + 0.1)
    assert wire.aborted


async def test_reader_that_takes_enough_has_time_until_it_takes_too_little(open_door: Open) -> None:
    connection, wire = (await open_door()).connect()
    connection.data_received(GET)
    await until(lambda: connection._waiter)
    began = now()
    for second in range(60):
        wire.unread = 60_000 - 600 * second
        connection.sweep(began + second)
        assert not wire.aborted
    for second in range(60, 80):
        connection.sweep(began + second)
    assert wire.aborted


async def test_reader_of_one_answer_behind_the_other_is_no_slow_one(open_door: Open) -> None:
    """Between two looks the buffer was emptied and filled again."""
    connection, wire = (await open_door()).connect()
    wire.unread, began = 60_000, now()
    for second in range(60):
        connection.data_received(GET)
        await until(lambda: wire.said.count(b"good") == second + 1)  # noqa: B023
        connection.sweep(began + second)
    assert not wire.aborted


async def test_reader_of_an_answer_that_is_written_in_pieces_is_no_slow_one(open_door: Open) -> None:
    """The buffer is as full as before at every look, because what was read made room for more."""
    connection, wire = (await open_door(hold=True)).connect()
    connection.data_received(GET)
    await until(lambda: connection._current_request)
    assert connection._current_request is not None
    writer = connection._current_request.writer
    wire.unread, began = 60_000, now()
    for second in range(60):
        connection.sweep(began + second)
        writer.output_size += 600
        assert not wire.aborted
    for second in range(60, 80):
        connection.sweep(began + second)
    assert wire.aborted


def test_what_lies_in_the_kernel_was_not_read_either() -> None:
    one, other = socket.socketpair()
    with one, other:
        wire: Any = SimpleNamespace(get_extra_info=lambda name: {"socket": one}.get(name))
        before = queued_bytes(wire)
        one.send(b"x" * 1000)
        unread = queued_bytes(wire)
        other.recv(1000)
        assert before == queued_bytes(wire) == 0 < unread
    assert queued_bytes(wire) == 0, "of a closed one nobody knows"


async def test_reader_that_has_read_all_begins_anew(open_door: Open) -> None:
    connection, wire = (await open_door()).connect()
    connection.data_received(GET)
    await until(lambda: connection._waiter)
    began = now()
    for moment, unread in ((0, 9000), (8, 0), (16, 9000), (24, 9000)):
        wire.unread = unread
        connection.sweep(began + moment)
    assert not wire.aborted


async def test_connection_that_closes_but_is_not_read_is_cut_off_too(open_door: Open) -> None:
    """A transport that closes waits for its reader, for ever."""
    connection, wire = (await open_door()).connect()
    connection.data_received(GET)
    await until(lambda: connection._waiter)
    wire.unread, began = 100, now()
    connection.force_close()
    connection.sweep(began)
    connection.sweep(began + limits.READ_S + 1)
    assert wire.aborted


async def test_socket_that_is_not_read_is_left_to_its_own_limits_until_it_closes(open_door: Open) -> None:
    connection, wire = (await open_door()).connect()
    connection.data_received(UPGRADE)
    await until(lambda: wire.said.startswith(b"HTTP/1.1 101 "))
    wire.unread, began = 60_000, now()
    connection.sweep(began)
    connection.sweep(began + 60)
    assert not wire.aborted
    connection.force_close()
    connection.sweep(began + 61)
    connection.sweep(began + 61 + limits.READ_S + 1)
    assert wire.aborted


# -- one behind the other ---------------------------------------------------------------------------------


async def test_pipelined_requests_wait_in_a_queue_that_is_full_at_32(open_door: Open) -> None:
    door = await open_door(hold=True)
    connection, wire = door.connect()
    connection.data_received(GET * 200)
    assert len(connection._messages) == MAX_MSG_QUEUE_SIZE <= 100
    assert wire.paused, "the rest waits with the client"
    door.hold.set()
    await until(lambda: wire.said.count(b"HTTP/1.1 200") == 200)
    assert not wire.paused


async def test_nothing_behind_a_refused_request_is_answered(open_door: Open) -> None:
    connection, wire = (await open_door()).connect()
    connection.data_received(
        GET.replace(b"\r\n\r\n", b"\r\nTransfer-Encoding: identity, chunked\r\n\r\n0\r\n\r\n") + GET
    )
    await until(lambda: wire.closing)
    assert wire.said.count(b"HTTP/1.1") == 1
    assert wire.said.startswith(b"HTTP/1.1 400 ")


async def test_handler_that_fails_is_told_without_a_word_of_it(open_door: Open) -> None:
    door = await open_door()

    async def fail(request: web.BaseRequest) -> web.StreamResponse:
        raise RuntimeError("SELECT secret")

    assert door.runner is not None
    door.runner.listening.request_handler = fail
    connection, wire = door.connect()
    connection.data_received(GET)
    await until(lambda: wire.closing)
    assert wire.said.startswith(b"HTTP/1.1 500 ")
    assert b'"internal"' in wire.said
    assert b"SELECT" not in wire.said


# -- how many ---------------------------------------------------------------------------------------------


async def test_address_with_too_many_connections_gets_no_more_until_one_ends(open_door: Open) -> None:
    door = await open_door(ConnectionCounts(2))
    (first, _), _ = door.connect(), door.connect()
    _, refused = door.connect()
    assert refused.said.startswith(b"HTTP/1.1 429 ")
    assert refused.closing
    _, other = door.connect("198.51.100.7")
    assert not other.closing
    first.connection_lost(None)
    _, next_one = door.connect()
    assert not next_one.closing


async def test_connection_that_was_refused_is_not_counted_when_it_is_lost(open_door: Open) -> None:
    door = await open_door(ConnectionCounts(1))
    first, _ = door.connect()
    refused, _ = door.connect()
    refused.connection_lost(None)
    assert door.connect()[1].closing, "the first is still there"
    first.connection_lost(None)
    assert door.runner is not None
    assert len(door.runner.listening.open) == 0
    assert len(door.runner.listening.connection_counts) == 0


@pytest.mark.parametrize(
    "address", ["127.0.0.1", "10.1.2.3", "192.168.7.7", "::1", "::ffff:10.0.0.1", "fe80::1%eth0", ""]
)
def test_proxies_and_sockets_without_an_address_are_not_counted(address: str) -> None:
    connection_counts = ConnectionCounts(1)
    assert all(connection_counts.enter(address) for _ in range(5))
    connection_counts.leave(address)
    assert len(connection_counts) == 0


def test_networks_that_are_named_take_the_place_of_the_private_ones() -> None:
    connection_counts = ConnectionCounts(1, [ip_network("203.0.113.0/24")])
    assert [connection_counts.enter("203.0.113.5") for _ in range(3)] == [True] * 3
    assert [connection_counts.enter("10.0.0.1") for _ in range(2)] == [True, False]
    assert [connection_counts.enter("::ffff:10.0.0.1")] == [True], "each form of an address is one of its own"


def test_limit_of_zero_is_none() -> None:
    connection_counts = ConnectionCounts(0, [])
    assert all(connection_counts.enter("203.0.113.5") for _ in range(5000))
    assert len(connection_counts) == 0


def test_what_the_parser_says_in_new_words_is_still_refused() -> None:
    assert judge(ValueError("anything")) == ("syntax", "malformed_request")


async def test_read_body_wakes_nobody_unless_reading_was_paused(
    open_door: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    fed: list[bytes] = []
    stock = RequestHandler.data_received

    def listen(self: RequestHandler, data: bytes) -> None:
        fed.append(data)
        stock(self, data)

    monkeypatch.setattr(RequestHandler, "data_received", listen)
    connection, wire = (await open_door()).connect()
    await turn()
    connection.data_received(POST + b"x" * 4000)
    await turn()
    assert fed == [POST + b"x" * 4000]
    connection.pause_reading()
    assert wire.paused
    connection.resume_reading()
    assert fed[1:] == [b""]
    assert not wire.paused
    connection.data_received(b"x" * 1000)
    await until(lambda: b"good" in wire.said)
    assert fed[2:] == [b"x" * 1000]


async def test_thousands_of_sockets_lost_at_once_let_others_have_their_turn(open_door: Open) -> None:
    door, count = await open_door(), 3 * listener.SLICE + 1
    pairs = [door.connect() for _ in range(count)]
    await turn()
    for connection, _ in pairs:
        connection.data_received(UPGRADE)
    await until(lambda: all(b"101" in wire.said for _, wire in pairs))
    for connection, wire in pairs:
        wire.closing = True
        connection.connection_lost(None)
    assert door.runner is not None
    assert not door.runner.listening.open
    buried: list[int] = []
    while not buried or buried[-1] < count:
        buried.append(sum(connection.transport is None for connection, _ in pairs))
        await asyncio.sleep(0)
    assert max(b - a for a, b in pairwise(buried)) == listener.SLICE
    await until(lambda: door.ended == count)


# -- the last request of a connection ---------------------------------------------------------------------

CHUNKED = b"PUT / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
TINY = b"1\r\nx\r\n"


async def test_body_that_nobody_reads_is_dropped_unparsed_and_the_connection_ends(open_door: Open) -> None:
    connection, wire = (await open_door()).connect()
    connection.data_received(CHUNKED + TINY)
    await until(lambda: wire.said.endswith(b"good"))
    await until(lambda: connection._discarded)
    assert b"Connection: close\r\n" in wire.said
    assert not wire.closing, "the client may still be sending, and would lose the answer"
    parser, connection._parser = connection._parser, None  # whoever parses now fails
    connection.data_received(TINY * 1000)
    connection._parser = parser
    for _ in range(request_bodies.DISCARD_BYTES_MAX // 6000 + 1):
        connection.data_received(TINY * 1000)
    await until(lambda: wire.closing)
    assert wire.said.count(b"HTTP/1.1") == 1


async def test_connection_that_is_lost_while_its_body_is_dropped_leaves_nothing_waiting(
    open_door: Open,
) -> None:
    connection, wire = (await open_door()).connect()
    connection.data_received(CHUNKED + TINY)
    await until(lambda: connection._discarded)
    task = connection._task_handler
    assert task is not None
    connection.connection_lost(None)
    await until(task.done)
    assert wire.said.endswith(b"good")


async def test_small_body_with_a_length_that_nobody_reads_does_not_end_the_connection(
    open_door: Open,
) -> None:
    connection, wire = (await open_door()).connect()
    connection.data_received(b"PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\nab")
    await until(lambda: wire.said.endswith(b"good"))
    connection.data_received(b"cd" + GET)
    await until(lambda: wire.said.count(b"good") == 2)
    assert not wire.closing


async def test_body_whose_framing_weighs_more_than_a_body_may_is_given_up(open_door: Open) -> None:
    door = await open_door()
    connection, wire = door.connect()
    connection.data_received(CHUNKED.replace(b"PUT", b"POST"))
    await until(lambda: connection._current_request)
    for _ in range(request_bodies.FRAMING_BYTES_MAX // 5 // 1000 - 1):
        connection.data_received(TINY * 1000)
        await turn()
    assert not door.heard
    connection.data_received(TINY * 3000)
    await until(lambda: wire.closing)
    assert [type(error) for error in door.heard] == [WastefulBody]


@pytest.mark.parametrize("protocol", [b"h2c", b"TLS/1.0", b"h2c, websocket"])
async def test_what_follows_a_wish_for_another_protocol_is_not_taken_for_a_request(
    open_door: Open, protocol: bytes
) -> None:
    connection, wire = (await open_door()).connect()
    wish = GET[:-2] + b"Connection: Upgrade\r\nUpgrade: " + protocol + b"\r\n\r\n"
    connection.data_received(wish + b"PRI * HTTP/2.0\r\n\r\n")
    connection.data_received(GET)
    await until(lambda: wire.closing)
    assert wire.said.count(b"HTTP/1.1") == 1
    assert wire.said.startswith(b"HTTP/1.1 200 ")
    assert b"Connection: close\r\n" in wire.said


async def test_body_of_a_request_that_wishes_for_another_protocol_is_its_own(open_door: Open) -> None:
    door = await open_door()
    connection, wire = door.connect()
    wish = POST[:-2] + b"Connection: Upgrade\r\nUpgrade: h2c\r\n\r\n"
    connection.data_received(wish)
    await until(lambda: connection._current_request)
    connection.data_received(GET.ljust(5000, b" "))
    await until(lambda: wire.closing)
    assert wire.said.count(b"HTTP/1.1") == 1
    assert wire.said.endswith(b"good")


METHODS = (
    b"DELETE GET HEAD POST PUT CONNECT OPTIONS TRACE COPY LOCK MKCOL MOVE PROPFIND PROPPATCH SEARCH UNLOCK BIND REBIND "
    b"UNBIND ACL REPORT MKACTIVITY CHECKOUT MERGE M-SEARCH NOTIFY SUBSCRIBE UNSUBSCRIBE PATCH PURGE MKCALENDAR LINK "
    b"UNLINK SOURCE PRI DESCRIBE ANNOUNCE SETUP PLAY PAUSE TEARDOWN RECORD QUERY NONSENSE"
).split()
TARGETS = (
    b"/path",
    b"*",
    b"a:443",
    b"//",
    b"http://a/x",
    b"http://b/x",
    b"?q",
    b"/%",
    b"/\xff",
    b"/#x",
    b":80",
    b"",
)


async def test_whoever_answers_nobody_is_told_which_library_does(open_door: Open) -> None:
    """Applications of aiohttp have no route for some of these, and it answers by itself."""
    door = await open_door()
    for method in METHODS:
        for target in TARGETS:
            connection, wire = door.connect()
            connection.data_received(method + b" " + target + b" HTTP/1.1\r\nHost: a\r\n\r\n")
            await until(lambda: wire.said or wire.closing)  # noqa: B023
            said, named = wire.said, (method, target, wire.said)
            assert re.search(rb"(?i)aiohttp|python|yarl|traceback", said) is None, named
            assert b"\r\nServer: mall\r\n" in said, named
            if b"application/problem+json" not in said:
                assert said.startswith(b"HTTP/1.1 200 "), named
            connection.connection_lost(None)


async def test_connect_is_refused_in_our_form(open_door: Open) -> None:
    for target in (b"/path", b"a:443"):
        connection, wire = (await open_door()).connect()
        connection.data_received(b"CONNECT " + target + b" HTTP/1.1\r\nHost: a\r\n\r\n")
        await until(lambda: wire.closing)  # noqa: B023
        assert wire.said.startswith(b"HTTP/1.1 400 ")
        assert b"Content-Type: application/problem+json\r\n" in wire.said
