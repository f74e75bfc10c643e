"""A driver's log that is read again, and the position that it is read from."""

from __future__ import annotations

from typing import Any

import pytest

from loadtests.rush.reread_check import RereadCheck


def event(seq: int, order: str = "ord_1", kind: str = "offer") -> dict[str, Any]:
    return {"t": "event", "seq": seq, "type": kind, "data": {"order_id": order}}


def welcome(seq: int, *, resumed: bool, epoch: str = "e1") -> dict[str, Any]:
    return {"t": "welcome", "epoch": epoch, "seq": seq, "resumed": resumed}


@pytest.fixture
def log() -> RereadCheck:
    """Of a driver that was welcomed at 7 and has seen 8 and 9."""
    made = RereadCheck()
    assert made.position.resume() is None
    assert made.welcome(welcome(7, resumed=False))
    assert [made.entry(event(seq)) for seq in (8, 9)] == [True, True]
    return made


def test_entries_in_order_are_news_and_no_fault(log: RereadCheck) -> None:
    assert log.position.resume() == {"epoch": "e1", "seq": 9}
    assert log.position.faults == []


def test_gap_is_a_fault_and_the_entry_is_news_all_the_same(log: RereadCheck) -> None:
    assert log.entry(event(11))
    assert log.position.faults == ["gap: 9 then 11"]


def test_repeat_is_a_fault_and_no_news(log: RereadCheck) -> None:
    assert not log.entry(event(9))
    assert log.position.faults == ["repeated: 9 then 9"]
    assert log.entry(event(10))


def test_resume_goes_on_where_it_was(log: RereadCheck) -> None:
    assert not log.welcome(welcome(9, resumed=True))
    assert log.entry(event(10))
    assert log.position.faults == []


def test_resume_elsewhere_is_a_fault(log: RereadCheck) -> None:
    log.welcome(welcome(8, resumed=True))
    assert log.position.faults == ["resumed elsewhere: 9 then 8"]


def test_snapshot_of_the_past_is_a_fault_and_of_another_epoch_is_not(log: RereadCheck) -> None:
    assert log.welcome(welcome(1, resumed=False, epoch="e2"))
    assert log.position.faults == []
    log.entry(event(2))
    assert log.welcome(welcome(1, resumed=False, epoch="e2"))
    assert log.position.faults == ["snapshot of the past: 2 then 1"]


def test_log_that_reads_the_same_again_is_no_fault_and_no_news(log: RereadCheck) -> None:
    log.rewind()
    assert log.position.resume() == {"epoch": "e1", "seq": 7}
    log.welcome(welcome(7, resumed=True))
    assert [log.entry(event(seq)) for seq in (8, 9, 10)] == [False, False, True]
    log.finish()
    assert log.reread
    assert log.position.faults == []


def test_log_that_reads_differently_is_a_fault(log: RereadCheck) -> None:
    log.rewind()
    log.entry(event(8, "ord_2"))
    assert log.position.faults == ["read again: (8, 'offer', 'ord_2'), it was (8, 'offer', 'ord_1')"]


def test_log_that_ends_too_early_is_a_fault(log: RereadCheck) -> None:
    log.rewind()
    log.entry(event(8))
    log.finish()
    assert not log.reread
    assert log.position.faults == ["read again up to 8 only, not to 9"]


def test_line_cut_while_reading_again_goes_on_with_the_rest(log: RereadCheck) -> None:
    log.rewind()
    log.entry(event(8))
    log.welcome(welcome(8, resumed=True))
    log.entry(event(9))
    log.finish()
    assert log.reread
    assert log.position.faults == []
