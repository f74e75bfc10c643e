"""A client that hides nothing, and the probe that uses it, against a server that does what a test wants."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from time import perf_counter

from loadtests.fleet.probes import ShardProbe
from loadtests.kit.keep_alive import KeepAliveClient
from loadtests.kit.report import LoadReport
from loadtests.kit.server import free_port
from loadtests.kit.wire import request_bytes
from tests.support.waiting import until

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"
LAST = b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\n{}"
BUSY = b'HTTP/1.1 503 Service Unavailable\r\nContent-Length: 22\r\n\r\n{"code":"unavailable"}'
HANG_UP = b""
REQUEST = request_bytes("GET", "/")


class Server:
    """Answers each request with the next of `script`; HANG_UP ends the connection instead."""

    def __init__(self, *script: bytes) -> None:
        self.script = deque(script)
        self.requests = 0
        self.writers: list[asyncio.StreamWriter] = []
        self.url = ""

    @property
    def connections(self) -> int:
        return len(self.writers)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.writers.append(writer)
        while await reader.read(65536):
            self.requests += 1
            answer = self.script.popleft()
            if not answer:
                writer.transport.abort()
                return
            writer.write(answer)


@asynccontextmanager
async def listening(*script: bytes) -> AsyncIterator[Server]:
    server = Server(*script)
    listener = await asyncio.start_server(server.serve, "127.0.0.1", 0)
    server.url = f"http://127.0.0.1:{listener.sockets[0].getsockname()[1]}"
    try:
        yield server
    finally:
        for writer in server.writers:
            writer.transport.abort()
        listener.close()
        await listener.wait_closed()


async def test_answers_come_over_one_connection() -> None:
    async with listening(OK, OK, OK) as server:
        caller = KeepAliveClient([server.url])
        assert [(await caller.call(REQUEST)).status for _ in range(3)] == [200, 200, 200]
        assert (server.connections, caller.opened) == (1, 1)
        caller.close()


async def test_connection_that_ended_between_two_requests_is_opened_again() -> None:
    async with listening(OK, OK) as server:
        caller = KeepAliveClient([server.url])
        await caller.call(REQUEST)
        wire = caller._wire
        assert wire is not None
        server.writers[0].transport.abort()
        await until(lambda: not wire.usable)
        assert (await caller.call(REQUEST)).good
        assert (server.requests, caller.opened) == (2, 2)
        caller.close()


async def test_no_request_follows_the_answer_that_announced_the_end() -> None:
    async with listening(LAST, OK) as server:
        caller = KeepAliveClient([server.url])
        assert [(await caller.call(REQUEST)).status for _ in range(2)] == [200, 200]
        # The server has not closed its end: that it said so is enough.
        assert server.connections == 2
        caller.close()


async def test_request_whose_connection_dies_is_told_as_cut_and_not_repeated() -> None:
    async with listening(OK, HANG_UP, OK) as server:
        caller, report = KeepAliveClient([server.url]), LoadReport("test")
        for _ in range(3):
            await caller.timed(report, "read", REQUEST)
        assert report.tally("read").errors == {"cut": 1}
        assert (len(report.tally("read").seconds), server.requests) == (2, 3)
        caller.close()


async def test_refusal_is_told_by_status_and_code() -> None:
    async with listening(BUSY) as server:
        caller, report = KeepAliveClient([server.url]), LoadReport("test")
        await caller.timed(report, "read", REQUEST)
        assert report.tally("read").errors == {"503 unavailable": 1}
        caller.close()


async def test_address_that_refuses_is_passed_over() -> None:
    async with listening(OK) as server:
        caller = KeepAliveClient([f"http://127.0.0.1:{free_port()}", server.url])
        assert (await caller.call(REQUEST)).good
        assert caller.url == server.url
        caller.close()


async def test_nobody_who_listens_is_a_failure_and_no_exception() -> None:
    answer = await KeepAliveClient([f"http://127.0.0.1:{free_port()}"]).call(REQUEST)
    assert (answer.status, answer.error) == (0, "refused")


async def test_caller_that_is_sent_elsewhere_leaves_its_connection() -> None:
    async with listening(OK) as first, listening(OK, OK) as second:
        caller = KeepAliveClient([first.url])
        await caller.call(REQUEST)
        caller.use([second.url])
        await caller.call(REQUEST)
        caller.use([first.url, second.url])
        await caller.call(REQUEST)
        assert (first.requests, second.requests) == (1, 2)
        caller.close()


async def test_caller_that_shall_begin_anew_goes_to_the_first_address() -> None:
    async with listening(OK) as first, listening(OK) as second:
        caller = KeepAliveClient([first.url])
        await caller.call(REQUEST)
        caller.use([second.url, first.url], anew=True)
        await caller.call(REQUEST)
        assert (first.requests, second.requests) == (1, 1)
        caller.close()


async def test_probe_asks_until_an_answer_is_good_and_keeps_what_it_was_told() -> None:
    async with listening(BUSY, HANG_UP, OK) as server:
        probe = ShardProbe(7, lambda: REQUEST, [server.url], 0.0)
        began = perf_counter()
        took_s = await probe.until_good(began)
        assert 0.0 < took_s <= perf_counter() - began
        assert probe.failed == ["503 unavailable", "cut"]
        probe.caller.close()


async def test_gap_of_a_probe_is_between_good_answers_only() -> None:
    async with listening(OK, BUSY, BUSY, OK, OK) as server:
        probe = ShardProbe(7, lambda: REQUEST, [server.url], 0.0)
        began = perf_counter()
        await probe.ask()
        first = perf_counter()
        for _ in range(3):
            await probe.ask()
        second = perf_counter()
        gap_s = probe.longest_s
        assert 0.0 < gap_s <= second - began
        probe.begin()
        assert await probe.ask()
        assert (probe.longest_s, probe.failed) == (0.0, [])
        assert first <= second
        probe.caller.close()
