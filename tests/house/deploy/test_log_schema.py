"""`config/deploy/logs.schema.json`, the contract of a log line: it has every event of the program, and no other."""

from __future__ import annotations

import io
import json
from typing import Any

import jsonschema
import pytest
import structlog

from config.logs import open_logs
from loadtests.kit.server import ROOT
from tests.house.deploy.log_events import TRANSLATED, events_in, sources

SCHEMA: dict[str, Any] = json.loads((ROOT / "config" / "deploy" / "logs.schema.json").read_text())
EVENTS = set(SCHEMA["properties"]["event"]["enum"])
VALID = {"ts": "2026-11-30T12:00:00.000001Z", "level": "info", "event": "serves", "instance": "mall-1"}


def faults(line: dict[str, Any]) -> list[str]:
    return [error.message for error in jsonschema.Draft202012Validator(SCHEMA).iter_errors(line)]


def test_schema_has_every_event_of_the_program_and_no_other() -> None:
    logged = {event for path in sources() for event in events_in(path.read_text())} - TRANSLATED
    assert sorted(logged - EVENTS) == [], "add them to config/deploy/logs.schema.json, with their meaning"
    assert sorted(EVENTS - logged) == [], "the program does not log them any more"


def test_schema_says_what_every_event_means() -> None:
    assert set(SCHEMA["x-meaning"]) == EVENTS
    assert all(text and text == text.strip() for text in SCHEMA["x-meaning"].values())


def test_schema_is_one() -> None:
    jsonschema.Draft202012Validator.check_schema(SCHEMA)


@pytest.mark.parametrize(
    ("source", "events"),
    [
        ('log.info("one", count=1)', {"one"}),
        ('self._log("one", shard=3)', {"one"}),
        ('self.runtime.log("one")', {"one"}),
        ('log.warning("one" if alone else "two")', {"one", "two"}),
        ('keep(partial(log.warning, "one", reason=reason))', {"one"}),
        ('getattr(log, LEVELS[kind])("one", kind=kind)', {"one"}),
        ('say(text, settings.log_format, "one", to=sys.stderr)', {"one"}),
        ('line += b\'{"event":"one","count":1}\'', {"one"}),
        ('LEVELS: Mapping[str, str] = {"one": "info"}', {"one"}),
        ('print("one")', set()),
    ],
)
def test_collector_finds_an_event_however_it_is_logged(source: str, events: set[str]) -> None:
    assert events_in(source) == events


@pytest.mark.parametrize("instance", ["mall-1", ""])
def test_line_of_the_program_is_valid(instance: str) -> None:
    out = io.BytesIO()
    with open_logs("json", "info", out, instance=instance):
        log = structlog.get_logger()
        log.info("answered_request", trace_id="ab" * 16, order_id="ord_1", status=201, duration_s=0.001)
        try:
            raise ValueError("x" * 40_000)
        except ValueError as error:
            log.error("failed_request", exc_info=error)
    lines = [json.loads(line) for line in out.getvalue().splitlines()]
    assert [faults(line) for line in lines] == [[], []]


@pytest.mark.parametrize(
    "wrong",
    [
        {"event": "unheard_of"}, {"level": "fatal"}, {"ts": "yesterday"}, {"trace_id": "ab"}, {"order_id": "501"},
        {"duration_s": "0.1"}, {"instance": None},
    ],
)  # fmt: skip
def test_line_that_breaks_the_contract_is_found(wrong: dict[str, Any]) -> None:
    assert faults(VALID) == []
    assert faults(VALID | wrong) != []
    assert all(faults({k: v for k, v in VALID.items() if k != name}) for name in VALID)
