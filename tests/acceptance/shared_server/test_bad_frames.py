"""Broken upgrades, first words and frames on the drivers' feed."""

from __future__ import annotations

import asyncio
import json
import re
from typing import Any

import aiohttp
import pytest
from aiohttp import WSMsgType

from loadtests.kit.wire import frame_bytes
from tests.acceptance.raw_http import ALLOWED_ORIGIN, FEED, LEAK, UPGRADE, Headers, RunningServer, refusal
from tests.acceptance.token_forge import TokenForge

pytestmark = pytest.mark.usefixtures("database_unchanged")

# -- before the upgrade -----------------------------------------------------------------------------------

# Path, role, headers that are added, replaced or (None) left out; status and code.
Refused = tuple[str, str, dict[str, str | bytes | None], int, str]
UPGRADES: dict[str, Refused] = {
    "no upgrade": (FEED, "driver", {"Upgrade": None}, 426, "upgrade_required"),
    "upgrade to something else": (FEED, "driver", {"Upgrade": "h2c"}, 426, "upgrade_required"),
    "version 12": (FEED, "driver", {"Sec-WebSocket-Version": "12"}, 426, "upgrade_required"),
    "version 14": (FEED, "driver", {"Sec-WebSocket-Version": "14"}, 426, "upgrade_required"),
    "version a word": (FEED, "driver", {"Sec-WebSocket-Version": "latest"}, 426, "upgrade_required"),
    "no version": (FEED, "driver", {"Sec-WebSocket-Version": None}, 426, "upgrade_required"),
    "no subprotocol": (FEED, "driver", {"Sec-WebSocket-Protocol": None}, 400, "unknown_subprotocol"),
    "empty subprotocol": (FEED, "driver", {"Sec-WebSocket-Protocol": ""}, 400, "unknown_subprotocol"),
    "another subprotocol": (FEED, "driver", {"Sec-WebSocket-Protocol": "mqtt"}, 400, "unknown_subprotocol"),
    "a later subprotocol": (FEED, "driver", {"Sec-WebSocket-Protocol": "malldrive.v2"}, 400, "unknown_subprotocol"),
    "a longer subprotocol": (FEED, "driver", {"Sec-WebSocket-Protocol": "malldrive.v1x"}, 400, "unknown_subprotocol"),
    "no key": (FEED, "driver", {"Sec-WebSocket-Key": None}, 400, "malformed_request"),
    "key too short": (FEED, "driver", {"Sec-WebSocket-Key": "dGhl"}, 400, "malformed_request"),
    "key that is no base64": (FEED, "driver", {"Sec-WebSocket-Key": "!" * 24}, 400, "malformed_request"),
    "no connection header": (FEED, "driver", {"Connection": None}, 400, "malformed_request"),
    "foreign origin": (FEED, "", {"Origin": "https://evil.example"}, 403, "forbidden_origin"),
    "null origin": (FEED, "", {"Origin": "null"}, 403, "forbidden_origin"),
    "empty origin": (FEED, "", {"Origin": ""}, 403, "forbidden_origin"),
    "origin over http": (FEED, "", {"Origin": "http://shop.example"}, 403, "forbidden_origin"),
    "origin with a port": (FEED, "", {"Origin": f"{ALLOWED_ORIGIN}:8443"}, 403, "forbidden_origin"),
    "origin with a suffix": (FEED, "", {"Origin": f"{ALLOWED_ORIGIN}.evil"}, 403, "forbidden_origin"),
    "token in the URL": (f"{FEED}?token=x", "", {}, 400, "token_in_url"),
    "access token in the URL": (f"{FEED}?access_token=x", "driver", {}, 400, "token_in_url"),
    "ticket in the URL": (f"{FEED}?ticket=tkt_x", "", {}, 400, "token_in_url"),
    "jwt in the URL in capitals": (f"{FEED}?JWT=x", "", {}, 400, "token_in_url"),
    "any query": (f"{FEED}?zone=zon_1", "driver", {}, 400, "malformed_request"),
    "bad token": (FEED, "", {"Authorization": "Bearer x.y.z"}, 401, "unauthenticated"),
    "empty token": (FEED, "", {"Authorization": ""}, 401, "unauthenticated"),
    "another scheme": (FEED, "", {"Authorization": "Basic YTpi"}, 401, "unauthenticated"),
    "a customer": (FEED, "customer", {}, 403, "forbidden"),
    "an admin": (FEED, "admin", {}, 403, "forbidden"),
}  # fmt: skip


@pytest.mark.parametrize(("path", "role", "changes", "status", "code"), UPGRADES.values(), ids=UPGRADES)
async def test_an_upgrade_that_is_not_right_is_refused_as_plain_http(
    server: RunningServer,
    path: str,
    role: str,
    changes: dict[str, str | bytes | None],
    status: int,
    code: str,
) -> None:
    headers: Headers = [(name, value) for name, value in (UPGRADE | changes).items() if value is not None]
    answer = await server.send("GET", path, headers, role=role)
    refusal(answer, status, code)
    if status == 426:
        assert (answer.headers["upgrade"], answer.headers["sec-websocket-version"]) == ("websocket", "13")


async def test_refusal_of_a_page_names_the_setting(server: RunningServer) -> None:
    headers: Headers = [*UPGRADE.items(), ("Origin", "https://evil.example")]
    answer = await server.send("GET", FEED, headers)
    assert "MALL_CORS_ORIGINS" in answer.json["detail"]


@pytest.mark.parametrize("role", ["driver", ""])
async def test_a_page_of_the_servers_own_origin_is_let_in(server: RunningServer, role: str) -> None:
    headers = {"Authorization": f"Bearer {server.tokens[role]}"} if role else {}
    url = f"{server.process.url}{FEED}"
    async with server.http.ws_connect(
        url, headers={**headers, "Origin": server.process.url}, protocols=("malldrive.v1",)
    ) as ws:
        assert ws.protocol == "malldrive.v1"


async def test_an_app_with_a_token_is_let_in_whatever_origin_it_names(server: RunningServer) -> None:
    headers = {"Authorization": f"Bearer {server.tokens['driver']}", "Origin": "capacitor://localhost"}
    url = f"{server.process.url}{FEED}"
    async with server.http.ws_connect(url, headers=headers, protocols=("malldrive.v1",)) as ws:
        assert ws.protocol == "malldrive.v1"


async def test_a_driver_from_an_allowed_origin_is_let_in_with_a_trace(server: RunningServer) -> None:
    headers = {"Authorization": f"Bearer {server.tokens['driver']}", "Origin": ALLOWED_ORIGIN}
    url = f"{server.process.url}{FEED}"
    protocols = ("chat", "malldrive.v1")
    async with server.http.ws_connect(url, headers=headers, protocols=protocols, compress=15) as ws:
        assert (ws.protocol, ws.compress) == ("malldrive.v1", 0)
        response = ws._response
        assert re.fullmatch("[0-9a-f]{32}", response.headers["X-Trace-ID"])
        assert response.headers["Server"] == "mall"


# -- the first frame --------------------------------------------------------------------------------------


async def farewell(ws: aiohttp.ClientWebSocketResponse) -> tuple[int | None, list[dict[str, Any]]]:
    """The code that the server closes with, and the frames before."""
    frames = []
    while (message := await ws.receive(timeout=5)).type is WSMsgType.TEXT:
        frames.append(json.loads(message.data))
    return ws.close_code, frames


FIRST: dict[str, tuple[str | bytes, int]] = {
    "ping": ('{"t": "ping"}', 4004),
    "command": ('{"t": "availability", "id": 1, "key": "k", "status": "online"}', 4004),
    "binary hello": (b'{"t": "hello"}', 4004),
    "not JSON": ("hello", 4004),
    "empty": ("", 4004),
    "null": ("null", 4004),
    "unknown field": ('{"t": "hello", "token": "x"}', 4004),
    "half a surrogate pair": ('{"t": "hello", "device": "\\ud800"}', 4004),
    "ticket too short": ('{"t": "hello", "ticket": "tkt"}', 4004),
    "oversize": ('{"t": "hello", "device": "%s"}' % ("x" * 16384), 1009),
}


@pytest.mark.parametrize(("first", "code"), FIRST.values(), ids=FIRST)
async def test_whoever_does_not_say_hello_first_is_sent_away(
    server: RunningServer, first: str | bytes, code: int
) -> None:
    for role in ("driver", ""):
        async with server.feed(role, hello=None) as ws:
            await (ws.send_str(first) if isinstance(first, str) else ws.send_bytes(first))
            closed, frames = await farewell(ws)
            assert closed == code
            assert [frame["code"] for frame in frames] in ([], ["bad_frame"])
            assert all(re.fullmatch("[0-9a-f]{32}", frame["trace_id"]) for frame in frames)
            assert LEAK.search(json.dumps(frames)) is None


STRANGERS = {
    "no ticket": {"t": "hello"},
    "garbage": {"t": "hello", "ticket": "tkt_" + "0" * 64},
    "an access token": {"t": "hello", "ticket": "eyJhbGciOiJFZERTQSJ9.e30.x"},
    "a key of Redis": {"t": "hello", "ticket": "../limit:{auth:127.0.0.1}"},
    "NUL": {"t": "hello", "ticket": "tkt_\0" + "0" * 60},
}


@pytest.mark.parametrize("hello", STRANGERS.values(), ids=STRANGERS)
async def test_a_stranger_without_a_good_ticket_is_sent_away(
    server: RunningServer, hello: dict[str, str]
) -> None:
    async with server.feed("", hello=None) as ws:
        await ws.send_json(hello)
        assert await farewell(ws) == (4001, [])


async def test_a_ticket_opens_one_socket_and_no_second(server: RunningServer) -> None:
    answer = await server.send("POST", "/api/v2/realtime/tickets", role="driver")
    assert answer.status == 201
    hello = json.dumps({"t": "hello", "ticket": answer.json["ticket"]})
    async with server.feed("", hello=hello):
        pass
    async with server.feed("", hello=None) as ws:
        await ws.send_str(hello)
        assert await farewell(ws) == (4001, [])


async def test_a_driver_that_does_not_exist_is_told_so(
    server: RunningServer, token_forge: TokenForge
) -> None:
    headers = {"Authorization": f"Bearer {token_forge.with_claims(sub='usr_999999')}"}
    url = f"{server.process.url}{FEED}"
    async with server.http.ws_connect(url, headers=headers, protocols=("malldrive.v1",)) as ws:
        await ws.send_str('{"t": "hello"}')
        assert await farewell(ws) == (4003, [])


# -- frames -----------------------------------------------------------------------------------------------

ACCEPT = '{"t": "offer.accept", "id": 7, "key": "k", "orders": %s}'
PING = '{"t": "ping", "id": %s}'
# What is sent, and the id that the error refers to.
FRAMES: dict[str, tuple[str | bytes, object]] = {
    "binary": (b'{"t": "ping", "id": 7}', None),
    "empty": ("", None),
    "not JSON": ("ping", None),
    "cut short": ('{"t": "ping", "id": 7', None),
    "two frames in one": ('{"t": "ping"}{"t": "ping"}', None),
    "null": ("null", None),
    "a list": ('[{"t": "ping"}]', None),
    "a text": ('"ping"', None),
    "no t": ('{"id": 7}', 7),
    "t unknown": ('{"t": "order.steal", "id": 7}', 7),
    "t of the server": ('{"t": "welcome", "id": 7}', 7),
    "t in capitals": ('{"t": "PING", "id": 7}', 7),
    "t null": ('{"t": null, "id": 7}', 7),
    "t a list": ('{"t": ["ping"], "id": 7}', 7),
    "t twice": ('{"t": "ping", "t": "ping", "id": 7}', None),
    "t half a surrogate pair": ('{"t": "\\ud800", "id": 7}', None),
    "unknown field": ('{"t": "ping", "id": 7, "x": 1}', 7),
    "field half a surrogate pair": ('{"t": "ping", "\\udc00": 1, "id": 7}', None),
    "nesting of 17": (PING % ("[" * 16 + "]" * 16), None),
    "nesting of 8,000": ("[" * 8000 + "]" * 8000, None),
    "NaN": ('{"t": "loc", "cseq": 1, "lat": NaN, "lon": 0}', None),
    "1e999": ('{"t": "loc", "cseq": 1, "lat": 1e999, "lon": 0}', None),
    "integer of 5000 digits": ('{"t": "ack", "seq": %s}' % ("9" * 5000), None),
    "id half a surrogate pair": ('{"t": "nope", "id": "\\ud800"}', None),
    "id past 2^53": (PING % "9007199254740992", None),
    "id past 2^64": ('{"t": "nope", "id": 18446744073709551616}', None),
    "id negative": (PING % '-1', None),
    "id true": (PING % 'true', None),
    "id a fraction": (PING % '7.5', None),
    "id empty": (PING % '""', None),
    "id of 65 characters": (PING % json.dumps("x" * 65), None),
    "id an object": (PING % '{"x": 7}', None),
    "no id": ('{"t": "availability", "key": "k", "status": "offline"}', None),
    "id null": ('{"t": "availability", "id": null, "key": "k", "status": "offline"}', None),
    "no key": ('{"t": "availability", "id": 7, "status": "offline"}', 7),
    "key with a space": ('{"t": "availability", "id": 7, "key": "a b", "status": "offline"}', 7),
    "key empty": ('{"t": "availability", "id": 7, "key": "", "status": "offline"}', 7),
    "key of 256": ('{"t": "availability", "id": 7, "key": "%s", "status": "offline"}' % ("k" * 256), 7),
    "key not ASCII": ('{"t": "availability", "id": 7, "key": "ключ", "status": "offline"}', 7),
    "key with NUL": ('{"t": "availability", "id": 7, "key": "a\\u0000b", "status": "offline"}', 7),
    "key a number": ('{"t": "availability", "id": 7, "key": 1, "status": "offline"}', 7),
    "status unknown": ('{"t": "availability", "id": 7, "key": "k", "status": "busy"}', 7),
    "status true": ('{"t": "availability", "id": 7, "key": "k", "status": true}', 7),
    "no orders": (ACCEPT % "[]", 7),
    "21 orders": (ACCEPT % json.dumps([f"ord_{n}" for n in range(1, 22)]), 7),
    "order a number": (ACCEPT % "[1]", 7),
    "order of another kind": (ACCEPT % '["sto_1"]', 7),
    "order past 2^53": (ACCEPT % '["ord_9007199254740992"]', 7),
    "orders a text": (ACCEPT % '"ord_1"', 7),
    "offer of no form": ('{"t": "offer.seen", "offer_id": "ofr_1"}', None),
    "decline with bidi": (
        '{"t": "offer.decline", "id": 7, "key": "k", "orders": ["ord_1"], "reason": "a\\u202eb"}', 7,
    ),
    "pickup of nothing": ('{"t": "order.pickup", "id": 7, "key": "k"}', 7),
    "delivery of order 0": ('{"t": "order.delivery", "id": 7, "key": "k", "order_id": "ord_0"}', 7),
    "failure without a reason": ('{"t": "order.failure", "id": 7, "key": "k", "order_id": "ord_1"}', 7),
    "failure with NUL": (
        '{"t": "order.failure", "id": 7, "key": "k", "order_id": "ord_1", "reason": "a\\u0000"}', 7,
    ),
    "place off the map": ('{"t": "loc", "cseq": 1, "lat": 90.1, "lon": 0}', None),
    "place as a text": ('{"t": "loc", "cseq": 1, "lat": "52.5", "lon": 0}', None),
    "ack a fraction": ('{"t": "ack", "seq": 1.5}', None),
    "ack past 2^53": ('{"t": "ack", "seq": 9007199254740992}', None),
    "a second hello": ('{"t": "hello", "id": 7}', 7),
    "a token too short": ('{"t": "auth.refresh", "id": 7, "token": "x"}', 7),
}  # fmt: skip


@pytest.mark.parametrize(("frame", "number"), FRAMES.values(), ids=FRAMES)
async def test_a_broken_frame_is_answered_with_an_error_and_the_socket_lives_on(
    server: RunningServer, frame: str | bytes, number: object
) -> None:
    async with server.feed("driver") as ws:
        await (ws.send_str(frame) if isinstance(frame, str) else ws.send_bytes(frame))
        error = await ws.receive_json(timeout=5)
        assert error.keys() == {"t", "id", "code", "temporary", "trace_id", "detail"}
        assert (error["t"], error["code"], error["temporary"]) == ("error", "bad_frame", False)
        assert (error["id"], type(error["id"])) == (number, type(number))
        assert re.fullmatch("[0-9a-f]{32}", error["trace_id"])
        assert LEAK.search(json.dumps(error)) is None
        await ws.send_str('{"t": "ping", "id": "alive"}')
        assert await ws.receive_json(timeout=5) == {"t": "pong", "id": "alive"}


async def test_a_whole_id_is_one_however_it_is_written(server: RunningServer) -> None:
    async with server.feed("driver") as ws:
        await ws.send_str(PING % "7.0")
        assert await ws.receive_str(timeout=5) == '{"t":"pong","id":7}'


WRONG_ORDERS = {
    "pickup": '{"t": "order.pickup", "id": 7, "key": "k-pickup", "order_id": "%s"}',
    "delivery": '{"t": "order.delivery", "id": 7, "key": "k-delivery", "order_id": "%s"}',
    "failure": '{"t": "order.failure", "id": 7, "key": "k-failure", "order_id": "%s", "reason": "x"}',
}


@pytest.mark.parametrize("frame", WRONG_ORDERS.values(), ids=WRONG_ORDERS)
async def test_an_order_of_somebody_else_is_as_unknown_as_one_that_never_was(
    server: RunningServer, frame: str
) -> None:
    said = []
    async with server.feed("driver") as ws:
        for order in (server.order, "ord_999999999"):
            await ws.send_str(frame % order)
            said.append(await ws.receive_json(timeout=5) | {"trace_id": ""})
    unknown = {"t": "error", "id": 7, "code": "order_not_found", "temporary": False, "trace_id": ""}
    assert said == [unknown, unknown]


async def test_the_token_of_somebody_else_does_not_prolong_a_socket(server: RunningServer) -> None:
    async with server.feed("driver") as ws:
        for role in ("customer", "admin"):
            await ws.send_json({"t": "auth.refresh", "id": 7, "token": server.tokens[role]})
            answer = await ws.receive_json(timeout=5)
            assert (answer["t"], answer["id"], answer["code"]) == ("error", 7, "forbidden")


async def test_a_frame_of_more_than_16_kib_closes_the_socket(server: RunningServer) -> None:
    async with server.feed("driver") as ws:
        await ws.send_str('{"t": "ping", "id": "%s"}' % ("x" * 16384))
        assert await farewell(ws) == (1009, [])


async def test_text_that_is_not_utf8_closes_the_socket(server: RunningServer) -> None:
    async with server.feed("driver") as ws:
        await ws.send_frame(b'{"t": "ping", "id": "\xff"}', WSMsgType.TEXT)
        assert await farewell(ws) == (1007, [])


async def test_more_than_fifty_broken_frames_close_the_socket(server: RunningServer) -> None:
    async with server.feed("driver") as ws:
        for _ in range(50):
            await ws.send_str("{}")
            assert (await ws.receive_json(timeout=5))["code"] == "bad_frame"
        await ws.send_str("{}")
        assert await farewell(ws) == (4004, [])


HELLOS: dict[str, Any] = {
    "bidi in the device": {"device": "a\u202eb"},
    "device of 300 characters": {"device": "x" * 300},
    "device a number": {"device": 7},
    "empty version": {"app_version": ""},
    "resume without seq": {"resume": {"epoch": "x"}},
    "resume of a first start": {"resume": {"epoch": "", "seq": None}},
    "resume before the start": {"resume": {"epoch": "x", "seq": -1}},
    "resume past 2^53": {"resume": {"epoch": "x", "seq": 2**53}},
}


@pytest.mark.parametrize("told", HELLOS.values(), ids=HELLOS)
async def test_hello_whose_optional_fields_make_no_sense_is_welcomed_with_a_snapshot(
    server: RunningServer, told: dict[str, Any]
) -> None:
    async with server.feed("driver", hello=json.dumps({"t": "hello", **told})):
        pass


READINGS: dict[str, Any] = {
    "speed unknown to iOS": {"speed_mps": -1},
    "speed of light": {"speed_mps": 299792458},
    "speed a text": {"speed_mps": "fast"},
    "accuracy negative": {"accuracy_m": -1.0},
    "accuracy of a planet": {"accuracy_m": 4e7},
    "accuracy a list": {"accuracy_m": []},
    "no counter": {"cseq": None},
    "counter in nanoseconds": {"cseq": 1_790_000_000_000_000_000},
    "counter negative": {"cseq": -1},
}


@pytest.mark.parametrize("reading", READINGS.values(), ids=READINGS)
async def test_position_with_a_reading_that_makes_no_sense_is_kept(
    server: RunningServer, reading: dict[str, Any]
) -> None:
    where = {"lat": 52.5, "lon": 13.4}
    assert (await server.write("drivers.location", json.dumps(where).encode())).status == 204
    there = {"lat": 52.5001, "lon": 13.4001}
    async with server.feed("driver") as ws:
        await ws.send_json({"t": "loc", "cseq": 1, **there, **reading})
        await ws.send_str('{"t": "ping", "id": "after"}')
        assert await ws.receive_json(timeout=5) == {"t": "pong", "id": "after"}
    seen = await server.send("GET", "/api/v2/drivers/me", role="driver")
    assert {key: seen.json["location"][key] for key in there} == there


async def test_phone_that_does_not_know_where_it_is_is_never_closed_for_it(server: RunningServer) -> None:
    async with server.feed("driver") as ws:
        for _ in range(60):
            await ws.send_str('{"t": "loc", "cseq": 1, "lat": null, "lon": null}')
            assert (await ws.receive_json(timeout=5))["code"] == "bad_frame"
        await ws.send_str('{"t": "ping", "id": "alive"}')
        assert await ws.receive_json(timeout=5) == {"t": "pong", "id": "alive"}


async def test_frames_beyond_the_rate_wait_in_order_and_none_is_refused(server: RunningServer) -> None:
    async with server.feed("driver") as ws:
        numbers = list(range(150))
        for number in numbers:
            await ws.send_str(PING % number)
        heard = [await ws.receive_json(timeout=10) for _ in numbers]
        assert heard == [{"t": "pong", "id": number} for number in numbers]


async def test_phone_that_empties_its_outbox_is_answered_to_the_last_command(server: RunningServer) -> None:
    async with server.feed("driver") as ws:
        numbers = list(range(70))
        for number in numbers:
            command = {
                "t": "order.pickup",
                "id": number,
                "key": f"outbox-{number}",
                "order_id": "ord_999999999",
            }
            await ws.send_str(json.dumps(command))
        heard = [await ws.receive_json(timeout=10) for _ in numbers]
        assert {frame["code"] for frame in heard} == {"order_not_found"}
        assert sorted(frame["id"] for frame in heard) == numbers


# -- floods -----------------------------------------------------------------------------------------------

FLOODS = {
    "pings": b"\x89\x80\0\0\0\0",
    "pongs": b"\x8a\x80\0\0\0\0",
    "empty continuations": b"\0\x80\0\0\0\0",
    "pings without a mask": b"\x89\0",
}
# Begins a message, where that is needed for what follows.
BEGUN = {"empty continuations": b"\x01\x80\0\0\0\0"}
PONG = b"\x8a\0"


@pytest.mark.parametrize("kind", FLOODS)
@pytest.mark.parametrize("role", ["", "driver"], ids=["a stranger before hello", "a driver after it"])
async def test_flood_of_empty_frames_costs_its_place_in_the_bucket_and_nobody_waits_for_it(
    server: RunningServer, kind: str, role: str
) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", server.process.port)
    try:
        lines = [
            f"GET {FEED} HTTP/1.1",
            "Host: mall",
            *(f"{name}: {value!s}" for name, value in UPGRADE.items()),
        ]
        lines += [f"Authorization: Bearer {server.tokens[role]}"] if role else []
        writer.write("\r\n".join([*lines, "", ""]).encode())
        assert b" 101 " in await reader.readuntil(b"\r\n\r\n")
        if role:
            writer.write(frame_bytes(b'{"t": "hello"}'))
            await reader.readuntil(b'"welcome"')
        writer.write(BEGUN.get(kind, b"") + FLOODS[kind] * (1_000_000 // len(FLOODS[kind])))
        for _ in range(20):
            assert (await server.send("GET", "/api/v2/me", role="customer")).status == 200
        heard = await reader.read(1_000_000) if kind.startswith("pings") else b""
        assert heard.count(PONG) < 2000  # of 166,666, at 50 a second
    finally:
        writer.transport.abort()
