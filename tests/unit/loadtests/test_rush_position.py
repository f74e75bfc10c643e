"""A driver's feed under watch: gaps, repeats, resumes, and reading it all again."""

from __future__ import annotations

from typing import Any

import pytest

from loadtests.rush.position import Position


def event(seq: int, order: str = "ord_1", kind: str = "offer") -> dict[str, Any]:
    return {"t": "event", "seq": seq, "type": kind, "data": {"order_id": order}}


def welcome(seq: int, *, resumed: bool, epoch: str = "e1") -> dict[str, Any]:
    return {"t": "welcome", "epoch": epoch, "seq": seq, "resumed": resumed}


@pytest.fixture
def position() -> Position:
    """Of a driver that was welcomed at 7 and has seen 8 and 9."""
    made = Position()
    assert made.resume() is None
    assert made.welcome(welcome(7, resumed=False))
    assert [made.take(event(seq)) for seq in (8, 9)] == [True, True]
    return made


def test_entries_in_order_are_news_and_no_fault(position: Position) -> None:
    assert position.resume() == {"epoch": "e1", "seq": 9}
    assert position.faults == []


def test_gap_is_a_fault_and_the_entry_is_news_all_the_same(position: Position) -> None:
    assert position.take(event(11))
    assert position.faults == ["gap: 9 then 11"]


def test_repeat_is_a_fault_and_no_news(position: Position) -> None:
    assert not position.take(event(9))
    assert position.faults == ["repeat: 9 then 9"]
    assert position.take(event(10))


def test_resume_goes_on_where_it_was(position: Position) -> None:
    assert not position.welcome(welcome(9, resumed=True))
    assert position.take(event(10))
    assert position.faults == []


def test_resume_elsewhere_is_a_fault(position: Position) -> None:
    position.welcome(welcome(8, resumed=True))
    assert position.faults == ["resumed at 8, asked for 9"]


def test_snapshot_of_the_past_is_a_fault_and_of_another_epoch_is_not(position: Position) -> None:
    assert position.welcome(welcome(1, resumed=False, epoch="e2"))
    assert position.faults == []
    position.take(event(2))
    assert position.welcome(welcome(1, resumed=False, epoch="e2"))
    assert position.faults == ["a snapshot of 1, older than 2"]


def test_log_that_reads_the_same_again_is_no_fault_and_no_news(position: Position) -> None:
    position.rewind()
    assert position.resume() == {"epoch": "e1", "seq": 7}
    position.welcome(welcome(7, resumed=True))
    assert [position.take(event(seq)) for seq in (8, 9, 10)] == [False, False, True]
    position.finish()
    assert position.reread
    assert position.faults == []


def test_log_that_reads_differently_is_a_fault(position: Position) -> None:
    position.rewind()
    position.take(event(8, "ord_2"))
    assert position.faults == ["read again: (8, 'offer', 'ord_2'), it was (8, 'offer', 'ord_1')"]


def test_log_that_ends_too_early_is_a_fault(position: Position) -> None:
    position.rewind()
    position.take(event(8))
    position.finish()
    assert not position.reread
    assert position.faults == ["read again up to 8 only, not to 9"]


def test_line_cut_while_reading_again_goes_on_with_the_rest(position: Position) -> None:
    position.rewind()
    position.take(event(8))
    position.welcome(welcome(8, resumed=True))
    position.take(event(9))
    position.finish()
    assert position.reread
    assert position.faults == []
