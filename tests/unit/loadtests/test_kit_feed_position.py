"""Whether what arrives on a feed continues it: gaps, repeats, reorders, welcomes."""

from __future__ import annotations

from typing import Any

import pytest

from loadtests.kit.feed_position import FeedPosition


def welcome(epoch: str, seq: int, *, resumed: bool) -> dict[str, Any]:
    return {"t": "welcome", "epoch": epoch, "seq": seq, "resumed": resumed}


def at(epoch: str, seq: int) -> FeedPosition:
    position = FeedPosition()
    assert position.welcome(welcome(epoch, seq, resumed=False)) == ""
    return position


def test_phone_that_was_never_welcome_has_nothing_to_resume() -> None:
    assert FeedPosition().resume() is None
    assert at("e", 4).resume() == {"epoch": "e", "seq": 4}


def test_entries_in_order_are_no_fault() -> None:
    position = at("e", 4)
    assert [position.entry(seq) for seq in (5, 6, 7)] == ["", "", ""]
    assert (position.seq, position.last, position.faults) == (7, 7, [])


def test_gap_is_a_fault_once_and_counts_what_was_passed_over() -> None:
    position = at("e", 4)
    assert [position.entry(seq) for seq in (8, 9)] == ["gap", ""]
    assert (position.gaps, position.repeats, position.seq) == (3, 0, 9)
    assert position.faults == ["gap: 4 then 8"]


@pytest.mark.parametrize("seq", [1, 3, 4])
def test_entry_that_was_there_is_repeated_and_moves_nothing(seq: int) -> None:
    position = at("e", 4)
    assert position.entry(seq) == "repeated"
    assert (position.seq, position.gaps, position.repeats) == (4, 0, 1)
    assert position.faults == [f"repeated: 4 then {seq}"]


def test_entries_that_changed_places_are_a_gap_and_a_repetition() -> None:
    position = at("e", 4)
    assert [position.entry(seq) for seq in (6, 5, 7)] == ["gap", "repeated", ""]
    assert (position.gaps, position.repeats) == (1, 1)


def test_entry_before_a_welcome_is_a_fault() -> None:
    assert FeedPosition().entry(1) == "gap"


def test_resume_at_the_position_is_no_fault() -> None:
    position = at("e", 4)
    assert position.welcome(welcome("e", 4, resumed=True)) == ""
    assert (position.resumed, position.snapshots) == (1, 1)


@pytest.mark.parametrize(("epoch", "seq"), [("e", 3), ("e", 5), ("f", 4)])
def test_resume_elsewhere_is_a_fault(epoch: str, seq: int) -> None:
    position = at("e", 4)
    assert position.welcome(welcome(epoch, seq, resumed=True)) == "resumed elsewhere"
    assert position.faults == [f"resumed elsewhere: 4 then {seq}"]


@pytest.mark.parametrize(
    ("epoch", "seq", "fault"), [("e", 3, "snapshot of the past"), ("e", 4, ""), ("e", 9, ""), ("f", 0, "")]
)
def test_snapshot_may_be_ahead_but_not_behind(epoch: str, seq: int, fault: str) -> None:
    position = at("e", 4)
    assert position.welcome(welcome(epoch, seq, resumed=False)) == fault
    assert (position.epoch, position.seq, position.snapshots) == (epoch, seq, 2)


def test_phone_that_has_forgotten_its_position_may_be_sent_any_snapshot() -> None:
    position = at("e", 4)
    position.forget()
    assert position.resume() is None
    assert position.welcome(welcome("e", 2, resumed=False)) == ""
    assert [position.entry(seq) for seq in (3, 4)] == ["", ""]
