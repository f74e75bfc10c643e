"""Every vector of the table against the real server: refused in our form, nothing repeated, nothing smuggled."""

from __future__ import annotations

import asyncio
import json
import os
import re

import pytest

from tests.acceptance.raw_http import LEAK, LIVENESS, Answer, RunningServer, read_answer, refusal
from tests.acceptance.shared_server.transport_vectors import MARK, VECTORS, Vector

CODES = {
    404: "not_found", 413: "body_too_large", 414: "target_too_long", 415: "unsupported_media_type",
    417: "expectation_failed", 422: "invalid", 431: "headers_too_large",
}  # fmt: skip
STOCK = os.environ.get("MALL_FAST_PATH") == "off"


def refused_by_aiohttp(said: bytes) -> bool:
    """True when stock aiohttp has refused in its own form, and has answered nothing else."""
    head, _, body = said.partition(b"\r\n\r\n")
    # With the version of the request where it could read one, as the refusals of ours have it there.
    return (
        b" 400 Bad Request\r\n" in head
        and b"text/plain" in head
        and f"Content-Length: {len(body)}\r\n".encode() in head
    )


def check(answer: Answer, vector: Vector) -> None:
    """Everything that holds for every refusal, whoever made it."""
    code = CODES.get(answer.status) or answer.json["code"]
    assert code in {*CODES.values(), "malformed_request", "malformed_json"}
    refusal(answer, vector.status, code)
    said = repr(answer)
    # The name of a parameter that is not known has to be told.
    if vector.status != 422:
        assert MARK not in said
    assert LEAK.search(said) is None
    assert re.search(r"Python/|llhttp|yarl", said) is None
    assert (answer.headers.get("connection") == "close") == vector.closes


@pytest.mark.parametrize("vector", VECTORS.values(), ids=VECTORS)
async def test_what_is_no_proper_request_is_refused_and_nothing_behind_it_is_heard(
    server: RunningServer, vector: Vector
) -> None:
    async with asyncio.timeout(8):
        reader, writer = await asyncio.open_connection("127.0.0.1", server.process.port)
        try:
            # What follows is never answered where the connection ends, and always where it goes on.
            writer.write(vector.sent)
            if STOCK and vector.closes:
                said = await reader.read()
                if refused_by_aiohttp(said):
                    return
                reader = asyncio.StreamReader()
                reader.feed_data(re.sub(rb"^HTTP/\d\.\d", b"HTTP/1.1", said))
                reader.feed_eof()
            check(await read_answer(reader), vector)
            if vector.closes:
                assert await reader.read() == b""
            else:
                writer.write(LIVENESS)
                assert (await read_answer(reader)).status == 200
        except ConnectionResetError:
            assert vector.closes
        finally:
            writer.close()
    assert (await server.send("GET", "/health/liveness")).status == 200


def test_the_table_is_long_enough_to_be_one() -> None:
    assert len(VECTORS) >= 60
    assert all(MARK.encode() in vector.sent for vector in VECTORS.values())


@pytest.mark.fast_path("it counts no requests that cannot be parsed")
async def test_what_was_refused_is_counted_by_reason(server: RunningServer) -> None:
    async with server.http.get(server.process.ops_url + "/metrics") as response:
        before = await response.text()
    for name in ("two Hosts", "length and chunked", "a target of 4097 bytes", "65 headers"):
        reader, writer = await asyncio.open_connection("127.0.0.1", server.process.port)
        writer.write(VECTORS[name].sent)
        await reader.read()
        writer.close()
    async with server.http.get(server.process.ops_url + "/metrics") as response:
        after = await response.text()
    for reason in ("host", "framing", "target_too_long", "too_many_headers"):
        assert _count(after, reason) == _count(before, reason) + 1, reason


def _count(text: str, reason: str) -> float:
    found = re.search(rf'^mall_malformed_requests_total{{reason="{reason}"}} (\S+)$', text, re.MULTILINE)
    return float(found[1]) if found else 0.0


@pytest.mark.fast_path("it answers itself what cannot be parsed")
async def test_the_operators_port_refuses_in_the_same_form(server: RunningServer) -> None:
    for sent, status in (
        (b"hello\r\n\r\n", 400),
        (b"GET /metrics HTTP/1.1\r\nHost: a\r\nExpect: more\r\n\r\n", 417),
    ):
        reader, writer = await asyncio.open_connection("127.0.0.1", server.process.ops_port)
        writer.write(sent)
        answer = await read_answer(reader)
        writer.close()
        assert (answer.status, answer.headers["server"]) == (status, "mall")
        assert json.loads(answer.body)["trace_id"] == answer.headers["x-trace-id"]
