"""What the runtime and the cluster say: with a level that means something, and the ids of what it is about."""

from __future__ import annotations

import ast
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from actors.cluster.leases import LeasesAway
from actors.errors import NotWritten
from api.http import observers
from api.http.observers import LEVELS, failed_chore, log_change, log_event
from config.outages import Outages
from dispatch.domain.commands import DISPATCH, Decision
from storage.errors import NotDone
from tests.support.clocks import Hands
from tests.unit.dispatch.test_order_decisions import order as make_order

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture
def outages(monkeypatch: pytest.MonkeyPatch) -> Outages:
    outages = Outages(Hands().monotonic)
    monkeypatch.setattr(observers, "OUTAGES", outages)
    return outages


def _said_in(room: str) -> set[str]:
    """The events that a room without a logger tells of."""
    found = set()
    for path in (ROOT / room).rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.args:
                event = node.args[0]
                if node.func.attr in ("log", "_log") and isinstance(event, ast.Constant):
                    found.add(str(event.value))
    return found


def test_every_level_is_of_an_event_that_is_said() -> None:
    said = _said_in("actors")
    assert len(said) > 20
    assert set(LEVELS) - said == set()


def test_steps_of_a_healthy_life_are_info() -> None:
    with capture_logs() as lines:
        for event in ("took_shards", "changed_state", "left_peer", "buried_peer", "reloaded_actor"):
            log_event(event)
    assert {line["log_level"] for line in lines} == {"info"}


@pytest.mark.parametrize(("actor", "name", "value"), [
    ("order:501", "order_id", "ord_501"), ("driver:7", "driver_id", "drv_7"), ("zone:1", "zone_id", "zon_1"),
])  # fmt: skip
def test_line_about_an_actor_has_the_id_that_people_know(actor: str, name: str, value: str) -> None:
    with capture_logs() as lines:
        log_event("crashed_turn", actor=actor)
    assert (lines[0][name], lines[0]["log_level"]) == (value, "error")


def test_failures_of_a_store_that_is_away_wait_for_its_line(outages: Outages) -> None:
    with capture_logs() as lines:
        log_event("failed_flush", exc_info=NotWritten("ConnectionError"))
        log_event("failed_look", exc_info=LeasesAway("TimeoutError"))
        log_event("gave_up_read", actor="order:5", query="x")
        failed_chore("revocations", NotDone("ConnectionRefusedError"))
        assert lines == []
        outages.release()
    assert sorted(line["event"] for line in lines) == [
        "failed_chore",
        "failed_flush",
        "failed_look",
        "gave_up_read",
    ]
    assert all("exc_info" not in line for line in lines)


def test_fault_of_ours_is_written_at_once_with_its_stack(outages: Outages) -> None:
    with capture_logs() as lines:
        log_event("failed_flush", exc_info=ValueError("odd"))
        failed_chore("sweep_feeds", KeyError("odd"))
    assert [line["event"] for line in lines] == ["failed_flush", "failed_chore"]
    assert all(isinstance(line["exc_info"], Exception) for line in lines)


def test_order_that_changes_by_itself_is_told_with_all_drivers_concerned() -> None:
    order = make_order()
    decision: Any = Decision(
        order=order, event="offer_expired", by=DISPATCH, answer="", revoked=((7, "ofr_1_1"), (8, "ofr_1_2"))
    )
    with capture_logs() as lines:
        log_change(order, decision, "t" * 32)
    [line] = lines
    assert (line["event"], line["change"], line["order_id"]) == (
        "changed_order",
        "offer_expired",
        f"ord_{order.id}",
    )
    assert (line["driver_ids"], line["trace_id"]) == (["drv_7", "drv_8"], "t" * 32)
