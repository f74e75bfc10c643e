"""Requests that are answered without a task, on a transport that only remembers."""

from __future__ import annotations

import asyncio
import gc
import re
import weakref
from collections.abc import AsyncIterator, Callable

import orjson
import pytest
from aiohttp import web

from api.transport.connection import Connection
from api.transport.connection_limits import ConnectionCounts
from api.transport.fast_path import PROMPTS, FastPath
from api.transport.listener import Runner
from tests.support.waiting import turn, until
from tests.unit.api.test_transport import TRACE, Wire

PATH = "/things/{id}/verb"


def post(number: str = "t_1", *headers: str, body: bytes = b"{}", version: str = "1.1") -> bytes:
    lines = [
        f"POST /things/{number}/verb HTTP/{version}",
        "Host: a",
        f"Content-Length: {len(body)}",
        *headers,
    ]
    return "\r\n".join([*lines, "", ""]).encode() + body


class Door:
    """A server with one prompt route, whose handler waits until the test lets it go."""

    def __init__(self) -> None:
        self.runner: Runner | None = None
        self.tasks: list[asyncio.Task[object] | None] = []
        self.let_go: asyncio.Future[None] | None = None
        self.answer: web.StreamResponse | None = None
        self.seen: Callable[[], web.Request | None] = lambda: None

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """Says which thing it was, and what was sent."""
        self.tasks.append(asyncio.current_task())
        self.seen = weakref.ref(request)
        if self.let_go is not None:
            await self.let_go
        if self.answer is not None:
            return self.answer
        said = (await request.read()).decode()
        return web.json_response({"id": request.match_info["id"], "said": said})

    async def connect(self) -> tuple[Connection, Wire]:
        """A connection that has been used once, so that its host is known."""
        assert self.runner is not None
        connection, wire = self.runner.listening(), Wire()
        connection.connection_made(wire)
        connection.data_received(post("t_0"))
        await until(lambda: connection._waiter)
        self.tasks.clear()
        wire.said = b""
        return connection, wire

    def hold(self) -> asyncio.Future[None]:
        """From now on handlers wait for this."""
        self.let_go = asyncio.get_running_loop().create_future()
        return self.let_go


@pytest.fixture
async def door() -> AsyncIterator[Door]:
    found = Door()
    app = web.Application()
    app.router.add_post(PATH, found.handle)
    app[PROMPTS] = FastPath(app)
    app[PROMPTS].add("POST", PATH, found.handle)
    found.runner = Runner(
        app, ConnectionCounts(0), lambda: TRACE, access_log=None, handle_signals=False, shutdown_timeout=0.1
    )
    await found.runner.setup()
    yield found
    if found.let_go is not None and not found.let_go.done():
        found.let_go.set_result(None)
    await found.runner.cleanup()


def heads(wire: Wire) -> list[bytes]:
    """The status lines of what was answered."""
    return [line for line in wire.said.split(b"\r\n") if b"HTTP/1.1 " in line]


def ids(wire: Wire) -> list[str]:
    """The things that were answered about, in order."""
    return [found.decode() for found in re.findall(rb'"id": "(\w+)"', wire.said)]


async def test_whole_request_is_answered_before_anybody_else_has_a_turn(door: Door) -> None:
    connection, wire = await door.connect()
    connection.data_received(post("t_7", body=b'{"a":1}'))
    head, _, body = wire.said.partition(b"\r\n\r\n")
    assert orjson.loads(body) == {"id": "t_7", "said": '{"a":1}'}
    assert head.startswith(b"HTTP/1.1 200 OK\r\n")
    assert f"Content-Length: {len(body)}".encode() in head
    assert door.tasks == [asyncio.current_task()], "it ran in the callback of the connection"


async def test_handler_that_waits_goes_on_without_a_task(door: Door) -> None:
    connection, wire = await door.connect()
    let_go = door.hold()
    connection.data_received(post())
    await turn()
    assert wire.said == b""
    let_go.set_result(None)
    await until(lambda: wire.said)
    assert ids(wire) == ["t_1"]


async def test_requests_that_come_meanwhile_are_answered_in_their_order(door: Door) -> None:
    connection, wire = await door.connect()
    let_go = door.hold()
    connection.data_received(post("t_1"))
    connection.data_received(post("t_2"))
    connection.data_received(post("t_3")[:30])
    await turn()
    connection.data_received(post("t_3")[30:])
    assert wire.said == b""
    let_go.set_result(None)
    await until(lambda: len(heads(wire)) == 3)
    assert ids(wire) == ["t_1", "t_2", "t_3"]


@pytest.mark.parametrize(
    "request_",
    [
        post("t_1", "Connection: close"),
        post("t_1", "Expect: 100-continue"),
        post("t%5F1"),
        post("t_1").replace(b"/verb", b"/verb?a=1"),
        post("t_1").replace(b"Host: a", b"Host: never-seen"),
        post("t_1") + post("t_1"),
    ],
    ids=["close", "expect", "escaped", "query", "unknown host", "pipelined"],
)
async def test_unusual_request_goes_the_stock_way_and_is_answered(door: Door, request_: bytes) -> None:
    connection, wire = await door.connect()
    connection.data_received(request_)
    assert not door.tasks
    await until(lambda: wire.said.count(b'"id": "t_1"') == request_.count(b"POST"))
    assert asyncio.current_task() not in door.tasks


async def test_body_that_is_still_on_its_way_is_waited_for(door: Door) -> None:
    connection, wire = await door.connect()
    whole = post("t_1", body=b'{"a":1}')
    connection.data_received(whole[:-3])
    assert not door.tasks, "waiting for a body takes a task, for it needs a deadline"
    await until(lambda: door.tasks)
    assert wire.said == b""
    connection.data_received(whole[-3:])
    await until(lambda: wire.said)
    assert b'"said": "{\\"a\\":1}"' in wire.said


async def test_lost_connection_leaves_no_task_behind(door: Door) -> None:
    connection, wire = await door.connect()
    serving = connection._task_handler
    assert serving is not None
    let_go = door.hold()
    connection.data_received(post())
    connection.connection_lost(None)
    await until(serving.done)
    let_go.set_result(None)
    await turn()
    assert wire.said == b""


async def test_idle_timer_does_not_cut_off_an_answer(door: Door) -> None:
    connection, wire = await door.connect()
    let_go = door.hold()
    connection.data_received(post())
    connection._next_keepalive_close_time = 0.0
    connection._process_keepalive()
    assert not wire.closing
    let_go.set_result(None)
    await until(lambda: wire.said)
    connection._next_keepalive_close_time = 0.0
    connection._process_keepalive()
    assert wire.closing, "now it is idle"


async def test_shutdown_waits_for_the_answer_and_closes(door: Door) -> None:
    connection, wire = await door.connect()
    let_go = door.hold()
    connection.data_received(post())
    async with asyncio.TaskGroup() as tasks:
        ending = tasks.create_task(connection.shutdown(5.0))
        await turn()
        assert not ending.done()
        let_go.set_result(None)
    assert heads(wire) == [b"HTTP/1.1 200 OK"]
    assert b"Connection: close\r\n" in wire.said
    assert wire.closing


async def test_answer_that_says_so_ends_the_connection(door: Door) -> None:
    connection, wire = await door.connect()
    door.answer = web.json_response({"id": "t_1"})
    door.answer.force_close()
    connection.data_received(post())
    assert b"Connection: close\r\n" in wire.said
    assert wire.closing


async def test_error_of_a_handler_is_a_problem_and_ends_the_connection(door: Door) -> None:
    connection, wire = await door.connect()
    let_go = door.hold()
    connection.data_received(post())
    let_go.set_exception(RuntimeError("secret"))
    await until(lambda: wire.said)
    assert heads(wire) == [b"HTTP/1.1 500 Internal Server Error"]
    assert b'"code":"internal"' in wire.said
    assert b"secret" not in wire.said
    assert wire.closing


async def test_answer_without_a_body_cannot_be_prompt_and_ends_the_connection(door: Door) -> None:
    connection, wire = await door.connect()
    door.answer = web.StreamResponse()
    connection.data_received(post())
    assert (wire.said, wire.closing) == (b"", True)


async def test_request_is_gone_when_it_is_answered_and_needs_no_collector(door: Door) -> None:
    connection, wire = await door.connect()
    let_go = door.hold()
    gc.disable()
    try:
        connection.data_received(post())
        assert door.seen() is not None
        let_go.set_result(None)
        await until(lambda: wire.said)
        await turn()
        assert door.seen() is None
    finally:
        gc.enable()


async def test_slow_reader_goes_the_stock_way_which_waits_for_him(door: Door) -> None:
    connection, wire = await door.connect()
    connection.pause_writing()
    connection.data_received(post())
    assert not door.tasks
    connection.resume_writing()
    await until(lambda: wire.said)
    assert ids(wire) == ["t_1"]


async def test_request_that_was_read_after_a_freeze_goes_the_stock_way(door: Door) -> None:
    connection, wire = await door.connect()
    assert door.runner is not None
    door.runner.listening.swept_at -= 1.0
    connection.data_received(post())
    assert not door.tasks
    await until(lambda: wire.said)


def test_path_without_an_id_and_a_verb_is_refused() -> None:
    fast_path = FastPath(web.Application())
    with pytest.raises(ValueError, match="cannot be prompt"):
        fast_path.add("GET", "/things/{id}", Door().handle)
    fast_path.add("POST", PATH, Door().handle)
    with pytest.raises(ValueError, match="cannot be prompt"):
        fast_path.add("POST", "/others/{id}/verb", Door().handle)
