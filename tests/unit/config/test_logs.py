"""Logs never block whoever writes them."""

from __future__ import annotations

import io
import logging
import os
import subprocess
import sys
import threading
import warnings
from pathlib import Path

import orjson
import pytest
import structlog

from config.logs import BUFFER_LINES, LINE_BYTES_MAX, LineWriter, open_logs, say

ROOT = Path(__file__).resolve().parents[3]


class Stuck(io.BytesIO):
    """A terminal that was paused."""

    def __init__(self) -> None:
        super().__init__()
        self.released = threading.Event()

    def write(self, data: object) -> int:
        self.released.wait(10)
        return super().write(data)  # type: ignore[arg-type]


def test_event_is_one_json_line() -> None:
    out = io.BytesIO()
    with open_logs("json", "info", out):
        structlog.get_logger().info("accepted_order", order_id="ord_1", text="two\nlines")
        structlog.get_logger().debug("not_shown")
    [line] = out.getvalue().splitlines()
    event = orjson.loads(line)
    assert (event["event"], event["order_id"], event["level"], event["text"]) == (
        "accepted_order", "ord_1", "info", "two\nlines",
    )  # fmt: skip


@pytest.mark.parametrize("log_format", ["json", "console"])
@pytest.mark.parametrize("merges", [True, False])
def test_line_of_a_recorded_trace_has_the_two_ids_apart(log_format: str, merges: bool) -> None:
    out, trace, span = io.BytesIO(), "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
    with open_logs(log_format, "info", out, merges=merges):
        log = structlog.get_logger()
        with structlog.contextvars.bound_contextvars(trace_id=f"{trace}-{span}"):
            log.info("one", **({} if merges else {"trace_id": f"{trace}-{span}"}))
        log.info("two", trace_id=trace)
        log.info("three", trace_id=None)
    one, two, three = (line.decode() for line in out.getvalue().splitlines())
    assert f"{trace}-{span}" not in one
    assert trace in one
    assert span in one
    assert trace in two
    assert "span_id" not in two + three


def test_stuck_terminal_drops_lines_and_counts_them() -> None:
    out = Stuck()
    writer = LineWriter(out)
    for number in range(BUFFER_LINES + 100):
        writer.write(b"line %d" % number)
    assert writer.dropped >= 99
    out.released.set()
    writer.close(10)


def test_stack_trace_stays_in_one_line() -> None:
    out = io.BytesIO()
    with open_logs("json", "info", out):
        try:
            raise ValueError("inner")
        except ValueError as error:
            structlog.get_logger().error("failed_request", exc_info=error)
    [line] = out.getvalue().splitlines()
    assert "ValueError: inner" in orjson.loads(line)["exception"]


def test_line_names_what_its_logger_is_bound_to_and_what_is_no_json() -> None:
    out = io.BytesIO()
    with open_logs("json", "warning", out):
        bound = structlog.get_logger().bind(instance="mall-1", port=1)
        bound.info("not_shown")
        bound.warning("lost_line", port=2, error=ValueError("odd"))
    [line] = out.getvalue().splitlines()
    event = orjson.loads(line)
    assert event.pop("ts").endswith("Z")
    assert event == {
        "instance": "mall-1", "port": 2, "error": "odd", "event": "lost_line", "level": "warning",
    }  # fmt: skip


def test_no_context_is_shared_by_two_lines() -> None:
    out = io.BytesIO()
    with open_logs("json", "info", out):
        bound = structlog.get_logger().bind(instance="mall-1")
        bound.info("first", order_id="ord_1")
        bound.info("second")
    second = orjson.loads(out.getvalue().splitlines()[1])
    assert "order_id" not in second


def test_every_line_says_which_instance_wrote_it_unless_it_is_about_another() -> None:
    out = io.BytesIO()
    with open_logs("json", "info", out, instance="mall-2"):
        structlog.get_logger().info("one")
        structlog.get_logger().info("two", instance="mall-3")
    assert [orjson.loads(line)["instance"] for line in out.getvalue().splitlines()] == ["mall-2", "mall-3"]


@pytest.mark.parametrize("text", ["x" * 100_000, "\N{SNOWMAN}" * 50_000, '"\\\n' * 20_000])
def test_line_that_is_too_long_is_cut_and_still_json(text: str) -> None:
    out = io.BytesIO()
    with open_logs("json", "info", out, instance="mall-1"):
        structlog.get_logger().error(
            "failed_request", trace_id="t" * 32, detail=text, **{f"n{n}": text for n in range(20)}
        )
    [line] = out.getvalue().splitlines()
    assert len(line) <= LINE_BYTES_MAX
    found = orjson.loads(line)
    assert (found["event"], found["trace_id"], found["shortened"]) == ("failed_request", "t" * 32, True)


_WRITERS = """
import sys
import structlog
from config.logs import open_logs
with open_logs("json", "info", instance=sys.argv[1]):
    for number in range(3000):
        structlog.get_logger().info("line", number=number, text="x" * (number % 900))
        if number % 100 == 0:
            structlog.get_logger().error("long", text="y" * 9000)
"""


def test_lines_of_processes_that_share_a_pipe_stay_whole() -> None:
    """A container's log is one pipe for the supervisor and all instances."""
    reading, writing = os.pipe()
    writers = [
        subprocess.Popen([sys.executable, "-c", _WRITERS, f"mall-{n}"], cwd=ROOT, stderr=writing)
        for n in range(3)
    ]
    os.close(writing)
    with open(reading, "rb") as pipe:
        lines = [orjson.loads(line) for line in pipe]
    assert [writer.wait() for writer in writers] == [0, 0, 0]
    for n in range(3):
        mine = [
            line["number"] for line in lines if line["instance"] == f"mall-{n}" and line["event"] == "line"
        ]
        assert mine == list(range(3000))


def test_what_libraries_warn_of_is_a_line_like_any_other() -> None:
    out = io.BytesIO()
    with open_logs("json", "info", out, instance="mall-1"), warnings.catch_warnings():
        warnings.simplefilter("always")
        logging.captureWarnings(True)
        warnings.warn("old ways", DeprecationWarning, stacklevel=1)
    [line] = out.getvalue().splitlines()
    assert "old ways" in orjson.loads(line)["said"]


def test_greeting_is_one_json_line_where_lines_are_for_programs() -> None:
    out = io.StringIO()
    say("open at\nhttp://x", "json", "opened_doors", instance="mall-1", to=out)
    found = orjson.loads(out.getvalue())
    assert (found["event"], found["said"], found["instance"]) == (
        "opened_doors",
        ["open at", "http://x"],
        "mall-1",
    )
    out = io.StringIO()
    say("open at\nhttp://x", "console", "opened_doors", to=out)
    assert out.getvalue() == "open at\nhttp://x\n"


@pytest.mark.parametrize("log_format", ["json", "console"])
def test_message_is_one_write_or_a_line_of_another_thread_would_stand_in_it(log_format: str) -> None:
    written: list[str] = []

    class Stream(io.StringIO):
        def write(self, text: str) -> int:
            written.append(text)
            return len(text)

    say("open at http://127.0.0.1:8080\n  the API", log_format, "opened_doors", to=Stream())
    [text] = written
    assert text.endswith("\n")
