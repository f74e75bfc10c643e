"""What a stranger does is told at info, counted and sampled: none of it is an alarm, whatever it is."""

from __future__ import annotations

import asyncio
import base64
import json
import os
import socket
import struct
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from config.log_sampling import BURST
from loadtests.kit.client import open_http
from loadtests.kit.server import ServerProcess, open_server

LIMIT_S = 30.0
UPGRADE = (
    "GET /api/v2/drivers/feed HTTP/1.1\r\nHost: mall\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
    "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Protocol: malldrive.v1\r\n"
    f"Sec-WebSocket-Key: {base64.b64encode(b'0' * 16).decode()}\r\n\r\n"
).encode()


def frame(head: int, payload: bytes, *, masked: bool = True, length: int | None = None) -> bytes:
    """A frame with this first byte, well formed or not."""
    size, mask = len(payload) if length is None else length, 0x80 if masked else 0
    start = (
        bytes([head, mask | size])
        if size < 126
        else bytes([head, mask | 126]) + struct.pack(">H", size & 0xFFFF)
    )
    if length is not None and length > 0xFFFF:
        start = bytes([head, mask | 127]) + struct.pack(">Q", length)
    key = b"\x01\x02\x03\x04"
    body = bytes(b ^ key[i % 4] for i, b in enumerate(payload)) if masked else payload
    return start + (key if masked else b"") + body


FRAMES: dict[str, bytes] = {
    "reserved bit": frame(0xC1, b"{}"),
    "all reserved bits": frame(0xF1, b"{}"),
    "unknown opcode": frame(0x83, b"{}"),
    "unknown control opcode": frame(0x8B, b""),
    "not masked": frame(0x81, b"{}", masked=False),
    "not UTF-8": frame(0x81, b"\xff\xfe\xfd"),
    "lone surrogate": frame(0x81, b'{"t":"\xed\xa0\x80"}'),
    "surrogate by escape": frame(0x81, b'{"t":"\\ud800"}'),
    "nothing at all": frame(0x81, b""),
    "no JSON": frame(0x81, b"{"),
    "deep JSON": frame(0x81, b"[" * 10_000),
    "a number": frame(0x81, b"1e999"),
    "another frame first": frame(0x81, b'{"t":"ping","id":1}'),
    "binary": frame(0x82, b"\x00\x01"),
    "too long for us": frame(0x81, b"x" * 20_000),
    "length of a petabyte": frame(0x81, b"", length=1 << 50),
    "length with the high bit": frame(0x81, b"", length=(1 << 63) + 1),
    "long control frame": frame(0x89, b"x" * 126),
    "fragmented control frame": frame(0x09, b"x"),
    "continuation of nothing": frame(0x80, b"x"),
    "text inside of a text": frame(0x01, b"{") + frame(0x81, b"}"),
    "close with half a code": frame(0x88, b"\x03"),
    "close with a code nobody may send": frame(0x88, struct.pack(">H", 1005)),
    "close with a reason that is no UTF-8": frame(0x88, struct.pack(">H", 1000) + b"\xff"),
    "ping, then garbage": frame(0x89, b"") + os.urandom(64),
    "a ticket that is none": frame(0x81, b'{"t":"hello","ticket":"tkt_' + b"0" * 40 + b'"}'),
    "half a frame": frame(0x81, b"{}")[:3],
    "another request": b"GET / HTTP/1.1\r\nHost: mall\r\n\r\n",
    "zeros": bytes(500),
}


def changed(old: str, new: str) -> bytes:
    """The handshake with one part exchanged."""
    assert old.encode() in UPGRADE
    return UPGRADE.replace(old.encode(), new.encode(), 1)


_KEY = next(line for line in UPGRADE.decode().split("\r\n") if line.startswith("Sec-WebSocket-Key"))
HANDSHAKES: dict[str, bytes] = {
    "no key": changed(f"{_KEY}\r\n", ""),
    "short key": changed(_KEY, "Sec-WebSocket-Key: AA=="),
    "key that is no base64": changed(_KEY, "Sec-WebSocket-Key: \u00e4!!"),
    "two keys": changed(_KEY, f"{_KEY}\r\n{_KEY}"),
    "no connection field": changed("Connection: Upgrade\r\n", ""),
    "connection closes": changed("Connection: Upgrade", "Connection: close"),
    "both": changed("Connection: Upgrade", "Connection: close, Upgrade"),
    "HTTP/1.0": changed("HTTP/1.1", "HTTP/1.0"),
    "POST": changed("GET", "POST"),
    "HEAD": changed("GET", "HEAD"),
    "a body": changed(_KEY, f"{_KEY}\r\nContent-Length: 5") + b"hello",
    "a body in chunks": changed(_KEY, f"{_KEY}\r\nTransfer-Encoding: chunked") + b"5\r\nhello\r\n0\r\n\r\n",
    "a body that does not come": changed(_KEY, f"{_KEY}\r\nContent-Length: 5"),
    "expects": changed(_KEY, f"{_KEY}\r\nExpect: 100-continue"),
    "odd extension": changed(
        _KEY, f"{_KEY}\r\nSec-WebSocket-Extensions: permessage-deflate; client_max_window_bits=999"
    ),
    "extension in ruins": changed(_KEY, f"{_KEY}\r\nSec-WebSocket-Extensions: ;;=,,\x7f"),
    "version 14": changed("Version: 13", "Version: 14"),
    "other protocol": changed("malldrive.v1", "mqtt"),
    "a hundred protocols": changed("malldrive.v1", ", ".join(["malldrive.v1"] * 100)),
    "odd upgrade": changed("Upgrade: websocket", "Upgrade: websocket, h2c"),
    "a token in ruins": changed(_KEY, f"{_KEY}\r\nAuthorization: Bearer a.b.c"),
    "a token of megabytes": changed(_KEY, f"{_KEY}\r\nAuthorization: Bearer {'a' * 7000}"),
    "two tokens": changed(_KEY, f"{_KEY}\r\nAuthorization: Bearer a\r\nAuthorization: Bearer b"),
    "a token that is no ASCII": changed(_KEY, f"{_KEY}\r\nAuthorization: Bearer \u00e4.\u00f6.\u00fc"),
}


@pytest.fixture(scope="module")
async def server(short_tmp_path: Path) -> AsyncIterator[ServerProcess]:
    async with open_server(short_tmp_path / "strangers", {"MALL_LOG_LEVEL": "info"}) as server:
        yield server


def lines(server: ServerProcess) -> list[dict[str, Any]]:
    return [json.loads(line) for line in server.log_path.read_text().split("\n")[:-1]]


def alarms(server: ServerProcess, before: int) -> list[dict[str, Any]]:
    """Lines that somebody would be woken for."""
    told = lines(server)[before:]
    return [x for x in told if x["level"] in ("warning", "error") and x["event"] != "ran_slow_query"]


async def send(server: ServerProcess, data: list[bytes], *, reset: bool = False) -> None:
    """Send it in pieces, read what comes, and go."""
    async with asyncio.timeout(LIMIT_S):
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        try:
            for piece in data:
                writer.write(piece)
                await writer.drain()
                if piece is data[0] and len(data) > 1:
                    await reader.readuntil(b"\r\n\r\n")
            if reset:
                linger = struct.pack("ii", 1, 0)
                writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
            else:
                writer.write_eof()
                while await reader.read(65536):
                    pass
        except ConnectionError:
            pass
        finally:
            writer.close()


async def settled(server: ServerProcess, mark: str) -> None:
    """Wait until a request made now is in the log: what came before it is, too."""
    async with open_http() as http, http.get(f"{server.url}/{mark}") as response:
        trace = response.headers["X-Trace-ID"]
    async with asyncio.timeout(LIMIT_S):
        while trace not in server.log_path.read_text():
            await asyncio.to_thread(os.sched_yield)


@pytest.mark.parametrize("name", FRAMES)
@pytest.mark.parametrize("how", ["together", "apart", "reset"])
async def test_stranger_at_the_feed_raises_no_alarm(server: ServerProcess, name: str, how: str) -> None:
    before = len(lines(server))
    pieces = [UPGRADE + FRAMES[name]] if how == "together" else [UPGRADE, FRAMES[name]]
    await send(server, pieces, reset=how == "reset")
    async with open_http() as http, http.get(server.url + "/health/liveness") as response:
        assert response.status == 200
    told = [
        x
        for x in lines(server)[before:]
        if x["level"] in ("warning", "error") and x["event"] != "ran_slow_query"
    ]
    assert told == []


@pytest.mark.parametrize("name", HANDSHAKES)
async def test_odd_handshake_raises_no_alarm(server: ServerProcess, name: str) -> None:
    before = len(lines(server))
    for tail in (b"", frame(0x81, b"{"), os.urandom(50), frame(0xC1, b"{}")):
        await send(server, [HANDSHAKES[name] + tail])
        await send(server, [HANDSHAKES[name] + tail], reset=True)
    async with open_http() as http, http.get(server.url + "/health/liveness") as response:
        assert response.status == 200
    assert alarms(server, before) == []


async def test_flood_of_strangers_is_a_few_lines_and_their_number(server: ServerProcess) -> None:
    before = len(lines(server))
    async with open_http() as http:
        for _ in range(20 * BURST):
            async with http.get(server.url + "/api/v2/me") as response:
                assert response.status == 401
    async with open_http() as http, http.get(server.ops_url + "/metrics") as response:
        counted = [
            x
            for x in (await response.text()).splitlines()
            if 'route="/api/v2/me"' in x and 'status="401"' in x
        ]
    assert float(counted[0].rpartition(" ")[2]) >= 20 * BURST
    told = [x for x in lines(server)[before:] if x.get("route") == "/api/v2/me"]
    assert 0 < len(told) < 20 * BURST
    assert {x["level"] for x in told} == {"info"}


async def test_nothing_that_was_sent_here_is_a_fault_of_ours(server: ServerProcess) -> None:
    await settled(server, "the-end")
    # What the start says of itself is not about strangers.
    assert [x for x in lines(server) if x["level"] == "error" and x["event"] != "opened_doors"] == []
    assert [x for x in lines(server) if x.get("status", 0) == 500] == []
    async with open_http() as http, http.get(server.ops_url + "/metrics") as response:
        assert 'status="500"' not in await response.text()
