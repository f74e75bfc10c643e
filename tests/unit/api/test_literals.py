"""One grammar for numbers and one for times: what this server prints it reads, and what looks like one is none."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import orjson
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from pydantic import AwareDatetime, BaseModel

from api.contract import field_readers
from api.contract.fields import Lat, LatLon, Lon, Strict
from api.contract.json_body import parse_body, parse_value
from api.contract.literals import number_of, time_of, whole_of
from api.contract.problems import Problem
from api.feed.frames import FRAMES
from api.rest import serializers
from api.rest.order_commands import ReadyBody
from api.rest.orders import OrderPage
from api.routes import OPERATIONS, ROUTES


class Everything(Strict):
    """Every kind of number and time, in every position."""

    whole: int | None = None
    number: float | None = None
    at: AwareDatetime | None = None
    either: str | int | None = None
    wholes: tuple[int, ...] = ()
    named: dict[str, datetime] | None = None
    place: LatLon | None = None
    lat: Lat | None = None
    lon: Lon | None = None


def of_query(**given: str) -> Any:
    return parse_value(Everything, given, "query")


# -- numbers ----------------------------------------------------------------------------------------------


@settings(max_examples=200, deadline=None, database=None)
@given(lat=st.floats(-90, 90), lon=st.floats(-180, 180))
@example(lat=52.123456789012345, lon=6.5e-05)
@example(lat=-1e-9, lon=-0.0)
def test_a_place_is_read_as_it_was_printed(lat: float, lon: float) -> None:
    """Both printers of JSON, in a body and in a query."""
    for dumps in (json.dumps, lambda value: orjson.dumps(value).decode()):
        shown = [dumps(part) for part in (lat, lon)]
        body = parse_body(Everything, f'{{"lat": {shown[0]}, "lon": {shown[1]}}}'.encode())
        place = of_query(place=",".join(shown)).place
        assert place == (body.lat, body.lon)
        assert all(abs(read - sent) <= 1e-9 for read, sent in zip(place, (lat, lon), strict=True))


@pytest.mark.parametrize(
    ("text", "number"),
    [("6.5e-05", 6.5e-05), ("-0", 0.0), ("1E+2", 100.0), ("052.5", 52.5), ("0.1234567890123456", 0.1234567890123456)],
)  # fmt: skip
def test_a_number_is_what_json_calls_one(text: str, number: float) -> None:
    assert number_of(text) == number


NO_NUMBERS = (
    "", " ", "1 ", " 1", "+1", "1_0", ".5", "5.", "0x10", "nan", "inf", "-Infinity", "1e999", "1e", "--1", "1,5", "１",
    "1\n", "1" * 41,
)  # fmt: skip


@pytest.mark.parametrize("text", NO_NUMBERS)
def test_what_only_some_library_takes_for_a_number_is_none(text: str) -> None:
    for read in (number_of, whole_of):
        with pytest.raises(ValueError, match="must be a"):
            read(text)


@pytest.mark.parametrize(("text", "number"), [("50", 50), ("050", 50), ("50.0", 50), ("5e1", 50), ("-1", -1)])
def test_a_whole_number_in_a_query_is_one_however_it_is_written(text: str, number: int) -> None:
    assert repr(of_query(whole=text).whole) == repr(number)


@pytest.mark.parametrize("number", [2**53 - 1, 2**53 + 1, 10**18 + 1])
def test_whole_numbers_stay_exact(number: int) -> None:
    assert whole_of(str(number)) == of_query(whole=str(number)).whole == number
    assert parse_body(Everything, b'{"whole": %d}' % number).whole == number


def test_a_text_in_a_body_is_no_number() -> None:
    for body in (b'{"whole": "1"}', b'{"number": "1"}', b'{"wholes": ["1"]}', b'{"whole": true}'):
        with pytest.raises(Problem):
            parse_body(Everything, body)


# -- times ------------------------------------------------------------------------------------------------


@settings(max_examples=200, deadline=None, database=None)
@given(ms=st.integers(-(10**13), 10**14), zone=st.integers(-1439, 1439))
def test_a_time_is_read_as_it_was_printed(ms: int, zone: int) -> None:
    moment = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=ms)
    assert time_of(serializers.time_of(ms)) == time_of(serializers.timestamp(moment)) == moment
    elsewhere = moment.astimezone(timezone(timedelta(minutes=zone))).isoformat()
    assert time_of(elsewhere) == moment


@pytest.mark.parametrize(
    ("text", "micros"),
    [("12:00:00Z", 0), ("12:00:00.5z", 500_000), ("12:00:00.123456789Z", 123_456), ("11:59:60Z", 0)],
)
def test_fractions_and_leap_seconds_are_read(text: str, micros: int) -> None:
    assert time_of(f"2030-01-31t{text}") == datetime(2030, 1, 31, 12, 0, 0, micros, UTC)


NO_TIMES = (
    "1795967293", "1795967293000", "-1", "2030-01-31", "2030-01-31T12:00:00", "2030-01-31 12:00:00Z",
    "2030-01-31T12:00Z", "2030-01-31T12Z", "20300131T120000Z", "2030-1-31T12:00:00Z", "2030-01-31T12:00:00+01",
    "2030-01-31T12:00:00+0100", "2030-01-31T12:00:00,5Z", "2030-01-31T12:00:00.Z", "2030-01-31T12:00:00Z ",
    "2030-02-30T12:00:00Z", "2030-01-31T24:00:00Z", "2030-01-31T12:60:00Z", "2030-01-31T12:00:61Z",
    "2030-01-31T12:00:00+24:00", "0000-01-01T00:00:00Z", "0001-01-01T00:00:00+00:01", "9999-12-31T23:59:59-00:01",
    "２030-01-31T12:00:00Z", "", "2030-W05-4T12:00:00Z", "2030-01-31T12:00:00." + "0" * 30 + "Z",
)  # fmt: skip


@pytest.mark.parametrize("text", NO_TIMES)
def test_what_only_some_library_takes_for_a_time_is_none(text: str) -> None:
    with pytest.raises(ValueError, match="must be a time"):
        time_of(text)
    for read in (
        lambda: parse_body(ReadyBody, json.dumps({"ready_at": text}).encode()),
        lambda: parse_value(OrderPage, {"created_after": text}, "query"),
        lambda: parse_body(Everything, json.dumps({"named": {"a": text}}).encode()),
    ):
        with pytest.raises(Problem, match="invalid") as caught:
            read()
        assert [fault.detail[:14] for fault in caught.value.faults] == ["must be a time"]


@pytest.mark.parametrize("number", ["1795967293", "1795967293000", "1.5", "true", "null"])
def test_a_number_is_no_time(number: str) -> None:
    with pytest.raises(Problem):
        parse_body(ReadyBody, b'{"ready_at": %s}' % number.encode())


# -- no field reads by itself -----------------------------------------------------------------------------


def others(schema: Any) -> list[str]:
    """The numbers and times in a schema that pydantic would read by itself."""
    if isinstance(schema, list | tuple):
        return [found for part in schema for found in others(part)]
    if not isinstance(schema, dict):
        return []
    kind = schema.get("type")
    if kind == "json-or-python" or (
        kind == "function-before" and schema["schema"].get("type") in ("datetime", "date")
    ):
        return []
    own = [str(kind)] if kind in ("int", "float", "datetime", "date", "time", "decimal") else []
    return own + [
        found for name, part in schema.items() if name not in ("metadata", "cls") for found in others(part)
    ]


def models() -> list[type[BaseModel]]:
    """Everything that clients send."""
    pending: list[type[BaseModel]] = [Strict]
    found = []
    while pending:
        found.append(pending.pop())
        pending += found[-1].__subclasses__()
    return found


def test_every_number_and_time_that_a_client_sends_has_the_one_reader() -> None:
    known = models()
    assert {row.body for row in OPERATIONS.values() if row.body} <= set(known)
    assert {route.query for route in ROUTES} - {None} <= set(known)
    assert set(FRAMES.values()) <= set(known)
    for model in known:
        assert others(model.__pydantic_core_schema__) == [], model


def test_a_field_without_the_reader_would_be_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(field_readers, "_READERS", {})

    class Careless(Strict):
        at: datetime

    assert others(Careless.__pydantic_core_schema__) == ["datetime"]
