"""Whether what arrives on a feed continues it."""

from __future__ import annotations

from typing import Any

import pytest

from loadtests.swarm.position import Position


def welcome(epoch: str, seq: int, *, resumed: bool) -> dict[str, Any]:
    return {"t": "welcome", "epoch": epoch, "seq": seq, "resumed": resumed}


def at(epoch: str, seq: int) -> Position:
    position = Position()
    position.welcome(welcome(epoch, seq, resumed=False))
    return position


def test_phone_that_was_never_welcome_has_nothing_to_resume() -> None:
    assert Position().resume is None
    assert at("e", 4).resume == {"epoch": "e", "seq": 4}


def test_entries_in_order_are_no_fault() -> None:
    position = at("e", 4)
    assert [position.entry(seq) for seq in (5, 6, 7)] == ["", "", ""]
    assert position.seq == 7


def test_gap_is_said_once() -> None:
    position = at("e", 4)
    assert [position.entry(seq) for seq in (6, 7)] == ["gap", ""]


@pytest.mark.parametrize("seq", [1, 3, 4])
def test_entry_that_was_there_is_repeated_and_moves_nothing(seq: int) -> None:
    position = at("e", 4)
    assert position.entry(seq) == "repeated"
    assert position.seq == 4


def test_resume_at_the_position_is_no_fault() -> None:
    assert at("e", 4).welcome(welcome("e", 4, resumed=True)) == ""


@pytest.mark.parametrize(("epoch", "seq"), [("e", 3), ("e", 5), ("f", 4)])
def test_resume_elsewhere_is_a_fault(epoch: str, seq: int) -> None:
    assert at("e", 4).welcome(welcome(epoch, seq, resumed=True)) == "resumed elsewhere"


@pytest.mark.parametrize(
    ("epoch", "seq", "fault"), [("e", 3, "snapshot of the past"), ("e", 4, ""), ("e", 9, ""), ("f", 0, "")]
)
def test_snapshot_may_be_ahead_but_not_behind(epoch: str, seq: int, fault: str) -> None:
    position = at("e", 4)
    assert position.welcome(welcome(epoch, seq, resumed=False)) == fault
    assert (position.epoch, position.seq) == (epoch, seq)
