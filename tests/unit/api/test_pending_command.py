"""Commands of a socket, from the question to the answer."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
import structlog

from actors.errors import NoSuchActor, Unavailable
from api.feed.frames import decode_frame
from api.feed.pending_command import PendingCommand

ACCEPT = b'{"t": "offer.accept", "id": 1, "key": "a-key-of-sixteen-or-more", "orders": ["ord_1"]}'
PICK_UP = b'{"t": "order.pickup", "id": 2, "key": "a-key-of-sixteen-or-more", "order_id": "ord_1"}'
QUESTION: Any = "the question"


class Ear:
    """A session that has one command under way."""

    driver_id = "drv_3"

    def __init__(self) -> None:
        self.said: list[dict[str, Any]] = []
        self.forgotten: list[object] = []
        self.commands = 1
        self.services = SimpleNamespace(
            log=structlog.get_logger(),
            commands=SimpleNamespace(forget=self.forgotten.append),
            sampling=None,
        )

    def push(self, frame: dict[str, Any]) -> None:
        self.said.append(frame)

    def answered(self) -> None:
        self.commands -= 1

    def ask(self, frame: bytes) -> PendingCommand:
        return PendingCommand(self, decode_frame(frame), "0" * 32)  # type: ignore[arg-type]


@pytest.fixture
def ear() -> Ear:
    return Ear()


def test_answer_to_an_acceptance_is_a_result_for_its_order(ear: Ear) -> None:
    ear.ask(ACCEPT).set_result(["won", "assigned", 2])
    result = {"order_id": "ord_1", "result": "won", "status": "assigned", "version": 2}
    assert ear.said == [{"t": "reply", "id": 1, "ok": True, "trace_id": "0" * 32, "results": [result]}]


def test_refusal_of_a_carried_order_is_an_answer_that_is_not_ok(ear: Ear) -> None:
    ear.ask(PICK_UP).set_result(["invalid_transition", "confirmed", 1])
    assert ear.said[0]["ok"] is False
    assert ear.said[0]["result"] == "invalid_transition"


def test_order_of_somebody_else_looks_like_none(ear: Ear) -> None:
    ear.ask(PICK_UP).set_result(["not_yours", "assigned", 2])
    ear.ask(PICK_UP).set_exception(NoSuchActor())
    assert ear.said[0] == ear.said[1]
    assert ear.said[0]["code"] == "order_not_found"


def test_what_was_certainly_not_done_is_told_so(ear: Ear) -> None:
    ear.ask(PICK_UP).set_exception(Unavailable("moving"))
    told = {name: ear.said[0][name] for name in ("not_processed", "temporary", "retry_after_ms")}
    assert told == {"not_processed": True, "temporary": True, "retry_after_ms": 1000}


def test_time_that_ended_is_an_unknown_outcome(ear: Ear) -> None:
    ear.ask(PICK_UP).set_exception(TimeoutError())
    assert ear.said[0]["code"] == "outcome_unknown"


@pytest.mark.parametrize("first", ["question", "answer"])
def test_question_is_forgotten_whether_it_is_answered_at_once_or_later(ear: Ear, first: str) -> None:
    asked = ear.ask(ACCEPT)
    if first == "question":
        asked.asks(QUESTION)
    assert ear.forgotten == []
    asked.set_result(["won", "assigned", 2])
    if first == "answer":
        asked.asks(QUESTION)
    assert ear.forgotten == [QUESTION]


def test_command_ends_once(ear: Ear) -> None:
    asked = ear.ask(ACCEPT)
    assert not asked.done()
    asked.set_result(["won", "assigned", 2])
    assert asked.done()
    asked.set_exception(Unavailable("late"))
    assert ear.commands == 0


def test_socket_that_cannot_speak_harms_nobody_who_answers_it(
    ear: Ear, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(frame: dict[str, Any]) -> None:
        raise RuntimeError(frame["t"])

    monkeypatch.setattr(ear, "push", fail)
    ear.ask(ACCEPT).set_result(["won", "assigned", 2])
    ear.ask(PICK_UP).set_exception(NoSuchActor())
    ear.ask(ACCEPT).set_results([])
    ear.ask(ACCEPT).set_result("no triple")
    assert ear.commands == -3  # all four have ended; the fixture counts one
