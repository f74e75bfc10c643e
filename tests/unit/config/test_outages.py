"""One line when something is lost, one when it is back, and none meanwhile."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any

import pytest
from structlog.testing import capture_logs

from config.outages import HELD_MAX, HOLD_S, Outages
from tests.support.clocks import Hands


@pytest.fixture
def lines() -> Iterator[list[Any]]:
    with capture_logs() as lines:
        yield lines


@pytest.fixture
def hands() -> Hands:
    return Hands()


@pytest.fixture
def outages(hands: Hands) -> Outages:
    return Outages(hands.monotonic)


def _look(outages: Outages, hands: Hands, *reasons: str | None) -> None:
    for reason in reasons:
        outages.look("postgres", reason)
        hands.now += 1


def test_store_that_is_away_for_long_is_two_lines_with_the_time_between(
    outages: Outages, hands: Hands, lines: list[Any]
) -> None:
    _look(outages, hands, None, *["refused"] * 60, None, None, None)
    lost, back = lines
    assert (lost["event"], lost["what"], lost["reason"], lost["log_level"]) == (
        "lost",
        "postgres",
        "refused",
        "error",
    )
    assert (back["event"], back["what"], back["away_s"], back["log_level"]) == (
        "back",
        "postgres",
        60.0,
        "warning",
    )


def test_one_failed_look_is_no_loss_and_one_good_look_no_return(
    outages: Outages, hands: Hands, lines: list[Any]
) -> None:
    _look(outages, hands, "slow", None, "slow", None)
    assert lines == []
    _look(outages, hands, "gone", "gone", None, "gone", None, "gone")
    assert [line["event"] for line in lines] == ["lost"]


def test_what_fails_because_a_store_is_away_is_counted_in_its_line(
    outages: Outages, hands: Hands, lines: list[Any]
) -> None:
    written: list[int] = []
    outages.absorb("postgres", lambda: written.append(1))
    _look(outages, hands, "gone", "gone")
    outages.absorb("postgres", lambda: written.append(2))
    hands.now += HOLD_S
    _look(outages, hands, None, None)
    assert written == []
    assert lines[-1]["absorbed"] == 2


def test_failure_while_the_store_is_there_is_written_a_moment_later(
    outages: Outages, hands: Hands, lines: list[Any]
) -> None:
    written: list[int] = []
    outages.absorb("postgres", lambda: written.append(1))
    _look(outages, hands, None)
    assert written == []
    hands.now += HOLD_S
    _look(outages, hands, None)
    assert (written, lines) == ([1], [])


def test_no_more_is_held_back_than_a_bound_and_nothing_at_the_end(outages: Outages) -> None:
    written: list[int] = []
    for number in range(HELD_MAX + 3):
        outages.absorb("redis", partial(written.append, number))
    assert written == [HELD_MAX, HELD_MAX + 1, HELD_MAX + 2]
    outages.release()
    assert len(written) == HELD_MAX + 3


def test_peer_is_lost_once_and_found_once(outages: Outages, hands: Hands, lines: list[Any]) -> None:
    outages.find("peer mall-2", peer="mall-2.a")
    for _ in range(5):
        outages.lose("peer mall-2", "the line has ended", peer="mall-2.a")
        hands.now += 1
    outages.find("peer mall-2", peer="mall-2.b")
    outages.find("peer mall-2", peer="mall-2.b")
    assert [(line["event"], line["peer"], line.get("away_s")) for line in lines] == [
        ("lost", "mall-2.a", None), ("back", "mall-2.b", 5.0),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("what", "level"), [("redis", "error"), ("disk", "error"), ("peer mall-2", "warning")]
)
def test_loss_is_an_error_only_where_nobody_takes_over(
    outages: Outages, lines: list[Any], what: str, level: str
) -> None:
    outages.look(what, "gone")
    outages.look(what, "gone")
    assert [line["log_level"] for line in lines] == [level]
