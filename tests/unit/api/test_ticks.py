"""Ticks of one socket: one under way, one waiting, and the whole where something is missing."""

from __future__ import annotations

from api.live.ticks import TickLane
from api.subscriptions.live_zones import ZoneTick


def tick(number: int, run: int = 1, *, whole: bool = False) -> ZoneTick:
    return ZoneTick({"run": run, "n": number} | ({"whole": True} if whole else {}))


def begun() -> TickLane:
    """A lane whose page has drawn the whole."""
    lane = TickLane()
    lane.take(tick(1, whole=True))
    assert lane.next() is not None
    lane.drawn(1)
    return lane


def numbers(lane: TickLane) -> int | None:
    found = lane.next()
    return None if found is None else found.number


def test_whole_comes_first() -> None:
    lane = TickLane()
    lane.take(tick(4))
    assert numbers(lane) is None
    lane.take(tick(4, whole=True))
    assert numbers(lane) == 4


def test_next_tick_waits_until_the_one_before_is_drawn() -> None:
    lane = begun()
    lane.take(tick(2))
    assert numbers(lane) == 2
    lane.take(tick(3))
    assert numbers(lane) is None
    lane.drawn(2)
    assert numbers(lane) == 3


def test_page_that_is_two_behind_gets_the_whole_instead() -> None:
    lane = begun()
    for number in (2, 3, 4):
        lane.take(tick(number))
        lane.next()
    assert lane.needs_whole
    lane.take(tick(5))
    lane.drawn(2)
    assert numbers(lane) is None
    lane.take(tick(5, whole=True))
    assert (numbers(lane), lane.needs_whole) == (5, False)


def test_gap_and_another_run_need_the_whole() -> None:
    lane = begun()
    lane.take(tick(3))
    assert lane.needs_whole
    lane = begun()
    lane.take(tick(2, run=2))
    assert lane.needs_whole


def test_whole_for_somebody_else_is_passed_over() -> None:
    lane = begun()
    lane.take(tick(1, whole=True))
    assert numbers(lane) is None
    lane.take(tick(2))
    assert numbers(lane) == 2


def test_word_about_another_tick_does_not_free_the_lane() -> None:
    lane = begun()
    lane.take(tick(2))
    lane.next()
    lane.take(tick(3))
    lane.drawn(1)
    assert numbers(lane) is None


def test_page_that_begins_again_forgets_what_waits() -> None:
    lane = begun()
    lane.take(tick(2))
    lane.restart()
    assert numbers(lane) is None
    assert lane.needs_whole


def test_page_that_misses_a_tick_need_not_acknowledge_what_it_could_not_draw() -> None:
    lane = begun()
    lane.take(tick(2))
    lane.next()
    lane.restart()
    assert lane.is_idle
    lane.take(tick(3, whole=True))
    assert numbers(lane) == 3
