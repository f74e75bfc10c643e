"""Logs never block whoever writes them."""

from __future__ import annotations

import io
import threading

import orjson
import structlog

from config.logs import BUFFER_LINES, LineWriter, open_logs


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
