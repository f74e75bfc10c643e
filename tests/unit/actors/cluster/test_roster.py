"""Who takes part, and when somebody who is missing is believed to be gone."""

from __future__ import annotations

from dataclasses import replace

from actors.cluster.leases import ACTIVE, DRAINING, LEASE_S, Member, Tick
from actors.cluster.roster import Roster

ME, ANN, BOB = (Member(n, f"{n}.1", f"{n}:1", ACTIVE) for n in ("me", "ann", "bob"))


def _tick(at: float, *members: Member, gen: str = "g", young: bool = False) -> Tick:
    return Tick(at, gen, young, members, ("",) * 256)


def _roster(*members: Member) -> Roster:
    roster = Roster(ME.incarnation)
    roster.learn(_tick(100.0, *members))
    return roster


def test_newcomer_takes_part_at_once() -> None:
    assert set(_roster(ME, ANN).active) == {"me", "ann"}


def test_member_missing_from_one_tick_stays() -> None:
    roster = _roster(ME, ANN, BOB)
    roster.learn(_tick(101.0, ME, BOB))
    assert "ann" in roster.active
    assert roster.in_doubt


def test_member_missing_from_two_ticks_is_gone() -> None:
    roster = _roster(ME, ANN, BOB)
    roster.learn(_tick(101.0, ME, BOB))
    roster.learn(_tick(102.0, ME, BOB))
    assert set(roster.active) == {"me", "bob"}
    assert not roster.in_doubt


def test_being_alone_is_not_believed_before_a_lease_has_passed() -> None:
    roster = _roster(ME, ANN)
    for second in (101.0, 102.0, 103.0):
        roster.learn(_tick(second, ME))
        assert "ann" in roster.active
    roster.learn(_tick(101.0 + LEASE_S, ME))
    assert set(roster.active) == {"me"}


def test_store_without_memory_shrinks_no_view() -> None:
    roster = _roster(ME, ANN, BOB)
    for second in (101.0, 102.0):
        roster.learn(_tick(second, ME, BOB, gen="new", young=True))
    assert "ann" in roster.active


def test_found_dead_is_gone_at_once_and_old_news_do_not_revive_it() -> None:
    roster = _roster(ME, ANN)
    roster.bury(ANN.incarnation, certain=True)
    roster.learn(_tick(100.5, ME, ANN))
    assert set(roster.active) == {"me"}
    reborn = replace(ANN, incarnation="ann.2")
    roster.learn(_tick(101.0, ME, reborn))
    assert roster.active["ann"] == reborn


def test_draining_member_serves_nothing_and_leaves_without_doubt() -> None:
    roster = _roster(ME, ANN, BOB)
    leaving = replace(ANN, state=DRAINING)
    roster.learn(_tick(101.0, ME, leaving, BOB))
    assert set(roster.active) == {"me", "bob"}
    roster.learn(_tick(102.0, ME, BOB))
    assert roster.of(ANN.incarnation) is None


def test_nobody_comes_back_from_draining() -> None:
    roster = _roster(ME, ANN)
    roster.update(replace(ANN, state=DRAINING))
    roster.learn(_tick(101.0, ME, ANN))
    assert set(roster.active) == {"me"}


def test_new_life_replaces_the_old_one_at_once() -> None:
    roster = _roster(ME, ANN)
    reborn = replace(ANN, incarnation="ann.2")
    roster.learn(_tick(101.0, ME, reborn))
    assert roster.active["ann"] == reborn
    assert roster.of(ANN.incarnation) is None
