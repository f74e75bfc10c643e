"""Broken bodies: every operation that takes one refuses it, says where the fault is, and does nothing."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import pytest

from tests.acceptance.raw_http import JSON, RunningServer, faults, grafted, refusal
from tests.acceptance.write_operations import BODILESS, WITH_BODY, WRITES

pytestmark = pytest.mark.usefixtures("database_unchanged")

# Where no body at all is the same as an empty object.
OPTIONAL = {
    "orders.accept", "orders.decline", "orders.pickup", "orders.delivery", "orders.return", "orders.cancel",
    "orders.release", "payments.refund", "webhooks.enable", "webhooks.replay",
}  # fmt: skip

# -- texts that are not JSON, or not the JSON that anybody may send ---------------------------------------

TEXTS: dict[str, bytes] = {
    "spaces only": b" \r\n\t ",
    "bad UTF-8": b'{"name": "\xff\xfe"}',
    "UTF-8 cut short": b'{"name": "\xe2\x82"}',
    "overlong UTF-8": b'{"name": "\xc0\xaf"}',
    "a surrogate in UTF-8": b'{"name": "\xed\xa0\x80"}',
    "UTF-16": '{"name": "x"}'.encode("utf-16"),
    "byte order mark": b'\xef\xbb\xbf{"name": "x"}',
    "cut short": b'{"name": "x"',
    "something behind": b'{"name": "x"} x',
    "two objects": b"{}{}",
    "a word": b"hello",
    "single quotes": b"{'name': 'x'}",
    "name without quotes": b'{name: "x"}',
    "comment": b'{"name": "x" /* y */}',
    "comma at the end": b'{"name": "x",}',
    "no comma": b'{"name": "x" "mode": "y"}',
    "same name twice": b'{"name": "x", "name": "x"}',
    "same name twice by escape": b'{"name": "x", "\\u006eame": "x"}',
    "same name twice inside": b'{"name": [{"a": 1, "a": 2}]}',
    "NaN": b'{"lat": NaN}',
    "Infinity": b'{"lat": Infinity}',
    "minus Infinity": b'{"lat": -Infinity}',
    "1e999": b'{"lat": 1e999}',
    "minus 1e999": b'{"lat": -1e999}',
    "integer of 5000 digits": b'{"stock": %s}' % (b"9" * 5000),
    "integer of 21 digits": b'{"stock": %s}' % (b"9" * 21),
    "leading zero": b'{"stock": 01}',
    "leading plus": b'{"stock": +1}',
    "hexadecimal": b'{"stock": 0x1}',
    "bare fraction": b'{"stock": .5}',
    "control character": b'{"name": "a\x07b"}',
    "NUL byte": b'{"name": "a\x00b"}',
    "line break in a text": b'{"name": "a\nb"}',
    "unknown escape": b'{"name": "\\x41"}',
    "first half of a surrogate pair": b'{"name": "\\ud800"}',
    "second half of a surrogate pair": b'{"name": "\\uDC00"}',
    "surrogate pair the wrong way round": b'{"name": "\\udc00\\ud800"}',
    "half a surrogate pair in a name": b'{"\\ud800": 1}',
    "nesting of 17": b'{"area": %s%s}' % (b"[" * 16, b"]" * 16),
    "nesting of 30,000": b"[" * 30_000 + b"]" * 30_000,
    "nesting of objects": b'{"a":' * 10_000 + b"1" + b"}" * 10_000,
}


@pytest.mark.parametrize("text", TEXTS.values(), ids=TEXTS)
async def test_no_operation_takes_a_text_that_is_not_proper_json(server: RunningServer, text: bytes) -> None:
    for name in WITH_BODY:
        refusal(await server.write(name, text), 400, "malformed_json")


async def test_an_empty_body_is_refused_where_one_is_needed(server: RunningServer) -> None:
    for name in WITH_BODY.keys() - OPTIONAL:
        refusal(await server.write(name, b""), 400, "malformed_json")


SHAPES = {"null": b"null", "a list": b"[]", "a text": b'"x"', "a number": b"1", "true": b"true"}


@pytest.mark.parametrize("text", SHAPES.values(), ids=SHAPES)
async def test_no_operation_takes_json_that_is_not_an_object(server: RunningServer, text: bytes) -> None:
    for name in WITH_BODY:
        assert faults(refusal(await server.write(name, text), 422, "invalid")) == {("body", "#")}


TOO_LARGE = {"64 KiB and 1": 64 * 1024 + 1, "nesting of 100,000": 100_000}


@pytest.mark.parametrize("size", TOO_LARGE.values(), ids=TOO_LARGE)
async def test_a_body_over_64_kib_is_refused_whatever_is_in_it(server: RunningServer, size: int) -> None:
    for name in WRITES:
        refusal(await server.write(name, b"[" * size), 413, "body_too_large")


async def test_a_body_in_chunks_is_counted_too(server: RunningServer) -> None:
    chunk = b"10001\r\n" + b"[" * 0x10001 + b"\r\n0\r\n\r\n"
    headers = (JSON, ("Transfer-Encoding", "chunked"))
    for name in WRITES:
        refusal(await server.write(name, chunk, headers), 413, "body_too_large")


async def test_a_body_of_exactly_64_kib_is_read(server: RunningServer) -> None:
    refusal(await server.write("zones.create", b"{}".rjust(64 * 1024)), 422, "invalid")


@pytest.mark.parametrize("body", [b"{}", b"x", b" "])
async def test_operations_without_a_body_refuse_one(server: RunningServer, body: bytes) -> None:
    for name in BODILESS:
        refusal(await server.write(name, body), 400, "malformed_request")


# -- fields -----------------------------------------------------------------------------------------------

SURPRISES = ("surprise", "status ", "Name", "__proto__", "id", "customer_id", "total", "price", "version")


@pytest.mark.parametrize("field", SURPRISES)
async def test_no_operation_takes_a_field_that_it_does_not_know(server: RunningServer, field: str) -> None:
    for name, operation in WITH_BODY.items():
        answer = await server.write(name, grafted(operation.body, f"/{field}", "1"))
        assert faults(refusal(answer, 422, "invalid")) == {("body", f"#/{field}")}


NOT_TEXTS = {"a number": "5", "true": "true", "a list": '["x"]', "an object": "{}"}
NOT_INTEGERS = {
    "a fraction": "1.5", "a small fraction": "1e-1", "a huge exponent": "1e300", "a text": '"1"', "true": "true",
    "a list": "[1]", "int64 and 1": "9223372036854775808", "under int64": "-9223372036854775809",
}  # fmt: skip
NOT_NUMBERS = {"a text": '"1.5"', "true": "true", "a list": "[1]", "1e308": "1e308", "null": "null"}
NOT_FLAGS = {"1": "1", "0.0": "0.0", "a text": '"true"', "a list": "[true]"}
INVISIBLE = {
    "NUL": r'"a\u0000b"', "bell": r'"a\u0007b"', "tab": r'"a\tb"', "DEL": r'"a\u007fb"',
    "C1 control": r'"a\u0085b"', "right-to-left override": r'"a\u202eb"', "isolate": r'"a\u2066b"',
    "zero-width space": r'"a\u200bb"', "left-to-right mark": r'"a\u200eb"', "word joiner": r'"a\u2060b"',
    "inner byte order mark": r'"a\ufeffb"', "line separator": r'"a\u2028b"', "soft hyphen": r'"a\u00adb"',
    "filler": r'"\u3164"', "tag": r'"a\udb40\udc41b"', "noncharacter": r'"a\uffff"',
}  # fmt: skip

# What a text of one line does not hold either.
BROKEN = {"line break": r'"a\nb"', "carriage return": r'"a\rb"'}


def _text(longest: int) -> dict[str, str | None]:
    """What is wrong for a text of at most so many characters."""
    return {
        **NOT_TEXTS, **INVISIBLE, "empty": '""', "blank": '"   "', "too long": json.dumps("x" * (longest + 1)),
        "too long once composed": json.dumps("\ufb2c" * (longest // 2)),
    }  # fmt: skip


def _id(prefix: str) -> dict[str, str | None]:
    """What is no id of this kind."""
    wrong = {
        "another kind": "usr_1", "no prefix": "1", "zero": f"{prefix}_0", "negative": f"{prefix}_-1",
        "leading zero": f"{prefix}_01", "past 2^53": f"{prefix}_9007199254740992", "plus": f"{prefix}_+1",
        "past int64": f"{prefix}_9223372036854775808", "foreign digit": f"{prefix}_\uff11",
        "space": f"{prefix}_1 ", "capitals": f"{prefix.upper()}_1", "no number": f"{prefix}_", "empty": "",
        "quote": f"{prefix}_1'--",
    }  # fmt: skip
    return {**NOT_TEXTS, **{label: json.dumps(text) for label, text in wrong.items()}}


def _integer(least: int, most: int) -> dict[str, str | None]:
    return {**NOT_INTEGERS, "too small": str(least - 1), "too large": str(most + 1)}


def _degrees(most: float) -> dict[str, str | None]:
    return {**NOT_NUMBERS, "too large": str(most + 1e-9), "too small": str(-most - 1e-9)}


def _choice(*wrong: str) -> dict[str, str | None]:
    return {**NOT_TEXTS, **{text or "empty": json.dumps(text) for text in wrong}}


GONE: dict[str, str | None] = {"absent": None, "null": "null"}
RUNG = {"mode": "nearest", "times": 2}
EMAILS = (
    "nobody",
    "a@",
    "@b",
    "a b@c.example",
    "a@b@c",
    "a@.b",
    "a\u0000@b.c",
    "a" * 65 + "@b.c",
    "a@" + "b" * 253,
)
TIMES = (
    "yesterday", "2030-01-01T00:00:00", "2030-01-01", "2030-13-01T00:00:00Z", "2030-01-01T25:00:00Z", "-1",
    "1795967293", "1795967293000", "2030-01-01 00:00:00Z", "2030-01-01T00:00Z", "20300101T000000Z", "2030-1-1T0:0:0Z",
    "2030-01-01T00:00:00+0100", "2030-01-01T00:00:00,5Z", "2030-01-01T00:00:00Z ", "+2030-01-01T00:00:00Z",
    "2030-02-29T00:00:00Z", "2030-01-01T00:00:61Z", "2030-01-01T24:00:00Z", "\u0662030-01-01T00:00:00Z",
    "0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00", "2030-01-01T00:00:00+99:00", "1790000000",
)  # fmt: skip
LINE = '{"product_id": "prd_%d", "quantity": 1}'

FIELDS: Mapping[str, Mapping[str, Mapping[str, str | None]]] = {
    "auth.register": {
        "/email": {**GONE, **_choice(*EMAILS), **INVISIBLE, **BROKEN, "joiner": r'"a\u200d@b.example"'},
        "/password": {**GONE, **NOT_TEXTS, "7 characters": '"1234567"', "too long": json.dumps("x" * 129)},
        "/name": {**GONE, **_text(80), **BROKEN},
    },
    "auth.login": {"/email": {**GONE, "no address": '"x"'}, "/password": {**GONE, **NOT_TEXTS}},
    "auth.refresh": {
        "/refresh_token": {**GONE, **NOT_TEXTS, "short": json.dumps("r" * 39), "long": json.dumps("r" * 101)}
    },
    "users.create": {
        "/role": {**GONE, **_choice("root", "Admin", "")},
        "/capacity": _integer(1, 20),
        "/zone_id": {**_id("zon"), "unknown": '"zon_999999"'},
    },
    "users.update": {
        "/status": _choice("deleted", "Banned"),
        "/zone_id": {**_id("zon"), "unknown": '"zon_999999"'},
        "/capacity": _integer(1, 20),
        "/role": _choice("root", "Admin", ""),
    },
    "zones.create": {
        "/name": {**GONE, **_text(80), **BROKEN},
        "/mode": _choice("closed", " waves", ""),
        "/wave_size": _integer(1, 50),
        "/offer_ttl_s": _integer(1, 600),
        "/offer_distance_max_m": _integer(1, 1_000_000),
        "/release_pause_s": _integer(0, 86_400),
        "/give_up_after_s": _integer(1, 604_800),
        "/driver_pay_minor": _integer(0, 1_000_000_000),
        "/unassigned_after_s": _integer(1, 604_800),
        "/planning": {"a text": '"x"', "a list": "[]"},
        "/planning/speed_m_per_s": {**NOT_NUMBERS, "too small": "0.49", "too large": "2000.1"},
        "/planning/street_factor": {**NOT_NUMBERS, "too small": "0.99", "too large": "3.01"},
        "/planning/pickup_s": _integer(0, 3600),
        "/planning/dropoff_s": _integer(0, 3600),
        "/planning/trip_orders_max": _integer(1, 10),
        "/planning/detour_max_s": _integer(0, 7200),
        "/planning/rest_s": _integer(0, 3600),
        "/planning/planned_offers": _integer(1, 20),
        "/planning/site_radius_m": _integer(0, 5000),
        "/planning/pooling": NOT_FLAGS,
        "/planning/pooling_wait_max_s": _integer(0, 3600),
        "/planning/travel_round_s": _integer(0, 600),
        "/planning/time_scale": {**NOT_NUMBERS, "too small": "0.5", "too large": "1001"},
        "/planning/ladder": {"empty": "[]", "an object": "{}", "9 rungs": json.dumps([RUNG] * 9),
                             "no way on": json.dumps([RUNG | {"times": None}, RUNG]),
                             "a board in between": json.dumps([{"mode": "board"}, RUNG]),
                             "a board that ends": json.dumps([RUNG | {"mode": "board"}]),
                             "a plan for two": json.dumps([RUNG | {"mode": "planned", "drivers": 2}])},
        "/planning/ladder/0": {"null": "null", "a text": '"nearest"'},
        "/planning/ladder/0/mode": {**_choice("waves"), "absent": None},
        "/planning/ladder/0/drivers": _integer(1, 50),
        "/planning/ladder/0/offer_s": _integer(1, 600),
        "/planning/ladder/0/reach_m": _integer(1, 1_000_000),
        "/planning/ladder/0/times": _integer(1, 100),
        "/planning/ladder/0/unplanned_s": _integer(0, 3600),
        "/planning/ladder/1/then": {"unknown": "1"},
        "/planning/kernel": {"unknown": "1"},
        "/planning/speed_learned": NOT_FLAGS,
        "/queue_radius_m": _integer(10, 10_000),
        "/area": {"two corners": '[{"lat":0,"lon":0},{"lat":0,"lon":1}]', "a text": '"x"', "empty": "[]",
                  "101 corners": json.dumps([{"lat": 0, "lon": 0}] * 101)},
        "/area/1": {"null": "null", "a pair": "[0, 0]"},
        "/area/1/lat": {**_degrees(90), "absent": None},
        "/area/2/height": {"unknown": "1"},
    },
    "zones.update": {"/name": _text(80), "/offer_ttl_s": _integer(1, 600), "/mode": _choice("closed")},
    "stores.create": {
        "/zone_id": {**GONE, **_id("zon"), "unknown": '"zon_999999"'},
        "/name": {**GONE, **_text(80), **BROKEN},
        "/lat": {**_degrees(90), "absent": None},
        "/lon": {**_degrees(180), "absent": None},
        "/preparation_s": _integer(0, 86_400),
        "/preparation_learned": NOT_FLAGS,
        "/delivery_radius_m": _integer(1, 1_000_000),
    },
    "stores.update": {"/active": NOT_FLAGS, "/lat": {"too large": "90.5"}, "/zone_id": {"fixed": '"zon_1"'}},
    "products.create": {
        "/store_id": {**GONE, **_id("sto"), "unknown": '"sto_999999"'},
        "/name": {**GONE, **_text(120)},
        "/price": {**GONE, "a number": "4.50", "a text": '"4.50 EUR"'},
        "/price/amount_minor": {**_integer(0, 1_000_000_000), **GONE},
        "/price/currency": {**GONE, **_choice("eur", "EURO", "EU", "\u20acUR", "EU\u0000", "")},
        "/stock": _integer(0, 1_000_000_000),
        "/low_stock": _integer(0, 1_000_000_000),
    },
    "products.update": {"/stock": _integer(0, 1_000_000_000), "/active": NOT_FLAGS, "/name": _text(120)},
    "orders.create": {
        "/items": {**GONE, "empty": "[]", "an object": "{}", "a product twice": f"[{LINE % 1}, {LINE % 1}]",
                   "51 lines": "[" + ",".join(LINE % n for n in range(1, 52)) + "]"},
        "/items/0": {"null": "null", "a text": '"prd_1"', "a list": "[]"},
        "/items/0/product_id": {**GONE, **_id("prd")},
        "/items/0/quantity": {**GONE, **_integer(1, 99), "negative": "-1"},
        "/items/0/price": {"not the customer's": "1"},
        "/dropoff": {**GONE, "a pair": "[52.5, 13.4]"},
        "/dropoff/lat": {**_degrees(90), "absent": None},
        "/dropoff/lon": {**_degrees(180), "absent": None},
        "/dropoff/address": {**GONE, **_text(200)},
        "/payment": {**GONE, **_choice("bitcoin", "CASH", "")},
        "/notes": _text(500),
        "/status": {"not the customer's": '"delivered"'},
        "/driver_id": {"not the customer's": '"drv_3"'},
    },
    "orders.ready_time": {"/ready_at": {**GONE, **_choice(*TIMES)}},
    "orders.accept": {"/offer_id": _choice("ofr_1", "ofr_0_1", "xxx_1_1", "ofr_1_1_1", "ofr_1_9999999999", "")},
    "orders.decline": {"/reason": {**_text(200), "null": "null"}, "/offer_id": {"a number": "1"}},
    "orders.failure": {"/reason": {**GONE, **_text(200)}, "/returning": {"text": '"yes"', "number": "1"}},
    "orders.delivery": {"/pin": {**_choice("041", "04170", "041a", " 417", ""), "a number": "417"}},
    "orders.cancel": {"/reason": {**_text(200), "null": "null"}},
    "orders.release": {"/reason": _text(200)},
    "orders.assign": {"/driver_id": {**GONE, **_id("drv")}},
    "orders.reassign": {"/driver_id": {**GONE, **_id("drv")}, "/reason": {**GONE, **_text(200)}},
    "orders.conclude": {
        "/outcome": {**GONE, **_choice("cancelled", "Delivered", "")}, "/reason": {**GONE, **_text(200)},
    },
    "drivers.availability": {
        "/status": {**GONE, **_choice("busy", "Online", "")},
        "/shift_ends_at": {"a number": "1790000000", "no time": '"tomorrow"', "long over": '"2020-01-01T00:00:00Z"',
                           "far away": '"9999-12-31T23:59:59Z"'},
    },
    "drivers.take_offline": {"/status": {**GONE, **_choice("online", "Offline", "")}},
    "drivers.location": {
        "/lat": {**_degrees(90), "absent": None},
        "/lon": {**_degrees(180), "absent": None},
        "/cseq": _integer(0, 2**53 - 1),
    },
}  # fmt: skip


PLACES = [
    pytest.param(name, pointer, wrong, id=f"{name} {pointer[1:].replace('/', '.')}")
    for name, places in FIELDS.items()
    for pointer, wrong in places.items()
]


@pytest.mark.parametrize(("name", "pointer", "wrong"), PLACES)
async def test_a_wrong_field_is_refused_by_name(
    server: RunningServer, name: str, pointer: str, wrong: Mapping[str, str | None]
) -> None:
    found = {}
    for label, raw in wrong.items():
        answer = await server.write(name, grafted(WRITES[name].body, pointer, raw))
        found[label] = faults(refusal(answer, 422, "invalid"))
    assert found == {label: {("body", f"#{pointer}")} for label in wrong}


# -- bodies that are wrong as a whole ---------------------------------------------------------------------

DRIVER = WRITES["users.create"].body
WHOLE = {
    "a driver without a zone": ("users.create", {k: v for k, v in DRIVER.items() if k != "zone_id"}),
    "a customer with a zone": ("users.create", {**DRIVER, "role": "customer", "capacity": None}),
    "an admin with a capacity": ("users.create", {**DRIVER, "role": "admin", "zone_id": None}),
}


@pytest.mark.parametrize(("name", "body"), WHOLE.values(), ids=WHOLE)
async def test_fields_that_contradict_each_other_are_refused(
    server: RunningServer, name: str, body: Any
) -> None:
    problem = refusal(await server.write(name, json.dumps(body).encode()), 422, "invalid")
    assert faults(problem) == {("body", "#")}


@pytest.mark.parametrize("field", ["zone_id", "capacity"])
async def test_who_becomes_an_admin_keeps_nothing_of_a_driver(server: RunningServer, field: str) -> None:
    body = {"role": "admin", field: WRITES["users.update"].body[field]}
    problem = refusal(await server.write("users.update", json.dumps(body).encode()), 422, "invalid")
    assert faults(problem) == {("body", f"#/{field}")}


async def test_every_fault_is_named_at_once(server: RunningServer) -> None:
    problem = refusal(await server.write("orders.create", b'{"payment": 1, "x/y~z": 2}'), 422, "invalid")
    assert faults(problem) == {
        ("body", "#/items"), ("body", "#/dropoff"), ("body", "#/payment"), ("body", "#/x~1y~0z"),
    }  # fmt: skip


async def test_no_more_than_fifty_faults_are_told(server: RunningServer) -> None:
    body = json.dumps({f"x{n}": n for n in range(500)}).encode()
    assert len(refusal(await server.write("zones.create", body), 422, "invalid")["errors"]) == 50


async def test_a_rejected_secret_is_not_sent_back(server: RunningServer) -> None:
    for raw in ('"hunter2"', '["hunter2hunter2"]', json.dumps("hunter2" * 30)):
        for name in ("auth.register", "auth.login", "users.create"):
            answer = await server.write(name, grafted(WRITES[name].body, "/password", raw))
            assert faults(refusal(answer, 422, "invalid")) == {("body", "#/password")}
            assert b"hunter2" not in answer.body
