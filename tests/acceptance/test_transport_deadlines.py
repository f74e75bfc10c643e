"""Slow sockets on the real server: each is ended in time, everything is given back, and idle ones may stay."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import aiohttp
import pytest

from loadtests.kit.client import open_http
from loadtests.kit.server import ServerProcess, open_server
from loadtests.slow.slow_clients import open_slow_clients
from loadtests.slow.watch import connections, settle
from tests.acceptance.raw_http import LIVENESS, read_answer
from tests.support.server_log import ServerLog

SOCKETS = 30


@pytest.fixture(scope="module")
async def server(short_tmp_path: Path) -> AsyncIterator[ServerProcess]:
    environ = {"MALL_CONNECTIONS_PER_IP": "100", "MALL_UNCOUNTED_NETWORKS": "203.0.113.0/24"}
    async with open_server(short_tmp_path / "slow", environ) as server:
        yield server


@pytest.fixture(scope="module")
def log(server: ServerProcess) -> ServerLog:
    return ServerLog(server.log_path)


@pytest.fixture(autouse=True)
def no_error_lines(log: ServerLog) -> Iterator[None]:
    """The server logs no error during the test."""
    yield
    log.assert_no_errors("during this test")


@pytest.fixture
async def http() -> AsyncIterator[aiohttp.ClientSession]:
    async with open_http(1) as http:
        yield http


async def end_of(
    server: ServerProcess, sent: bytes, drip: bytes = b"", limit_s: float = 30
) -> tuple[bytes, float]:
    """What came back until the server closed, and after how many seconds; `drip` is sent twice a second."""
    loop = asyncio.get_running_loop()
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    began, heard = loop.time(), b""
    try:
        writer.write(sent)
        async with asyncio.timeout(limit_s):
            while True:
                try:
                    async with asyncio.timeout(0.5):
                        part = await reader.read(65536)
                except TimeoutError:
                    writer.write(drip)
                    continue
                if not part:
                    return heard, loop.time() - began
                heard += part
    except ConnectionError:
        return heard, loop.time() - began
    finally:
        writer.close()


@pytest.mark.fast_path("it has one limit for a head and for an idle connection, and none for a slow body")
async def test_each_way_of_being_slow_has_its_end(server: ServerProcess) -> None:
    post = b"POST /api/v2/auth/login HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n"
    post += b"Content-Length: 9999\r\n\r\n{"
    idle_reader, idle = await asyncio.open_connection("127.0.0.1", server.port)
    idle.write(LIVENESS)
    assert (await read_answer(idle_reader)).status == 200
    async with asyncio.TaskGroup() as tasks:
        silent = tasks.create_task(end_of(server, b""))
        head = tasks.create_task(end_of(server, LIVENESS[:-2] + b"X: ", b"x"))
        second = tasks.create_task(end_of(server, LIVENESS + LIVENESS[:9], b"x"))
        stalled = tasks.create_task(end_of(server, post))
        dripping = tasks.create_task(end_of(server, post, b" "))
        steady = tasks.create_task(end_of(server, post, b" " * 400))
    said, _ = silent.result()
    assert said == b""
    for said, _ in (head.result(), second.result()):
        assert b"HTTP/1.1 408 " in said
    assert second.result()[0].startswith(b"HTTP/1.1 200 ")
    for said, took_s in (stalled.result(), dripping.result()):
        assert said.startswith(b"HTTP/1.1 408 ")
        assert json.loads(said.partition(b"\r\n\r\n")[2])["code"] == "request_timeout"
        assert took_s < steady.result()[1], "far under 500 B/s, so it need not wait for the end of a body"
    said, took_s = steady.result()
    assert said.startswith(b"HTTP/1.1 408 ")
    assert took_s > 7
    idle.write(LIVENESS)
    assert (await read_answer(idle_reader)).status == 200, "keep-alive has another, longer limit"
    idle.close()


@pytest.mark.long
@pytest.mark.fast_path("it has one limit for a head and for an idle connection, and none for a slow reader")
async def test_siege_is_given_back_while_a_good_client_is_served(
    server: ServerProcess, http: aiohttp.ClientSession
) -> None:
    before = await connections(http, server)
    async with open_slow_clients(server.port, SOCKETS, "mixed") as siege:
        async with asyncio.timeout(40):
            while set(siege.closed) != {"head", "body", "read"}:
                async with http.get(server.url + "/health/readiness") as response:
                    assert response.status == 200
        assert len(siege.open) <= SOCKETS
    assert await settle(http, server, before + 1) < 20


@pytest.mark.fast_path("connections in excess are closed a moment later, without an answer")
async def test_one_address_has_so_many_connections_and_no_more(
    server: ServerProcess, http: aiohttp.ClientSession
) -> None:
    await settle(http, server, 1)
    opened = [await asyncio.open_connection("127.0.0.1", server.port) for _ in range(110)]
    refused = 0
    for reader, writer in opened[-8:]:
        writer.write(LIVENESS)
        try:
            answer = await read_answer(reader)
        except (ConnectionError, asyncio.IncompleteReadError):
            refused += 1  # it was closed before the answer could be read
            continue
        refused += (answer.status, answer.json["code"]) == (429, "too_many_connections")
    assert refused == 8
    for _, writer in opened:
        writer.close()
    await settle(http, server, 1)
    async with http.get(server.url + "/health/liveness") as response:
        assert response.status == 200
