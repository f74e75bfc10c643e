"""Who takes part, and when somebody who is missing is believed to be gone."""

from __future__ import annotations

from dataclasses import replace

from actors.cluster.leases import ACTIVE, DRAINING, LEASE_S, Member, Tick
from actors.cluster.membership import Membership

ME, ANN, BOB = (Member(n, f"{n}.1", f"{n}:1", ACTIVE) for n in ("me", "ann", "bob"))


def _tick(at: float, *members: Member, gen: str = "g", young: bool = False) -> Tick:
    return Tick(at, gen, young, members, ("",) * 256)


def _membership(*members: Member) -> Membership:
    membership = Membership(ME.incarnation)
    membership.learn(_tick(100.0, *members))
    return membership


def test_newcomer_takes_part_at_once() -> None:
    assert set(_membership(ME, ANN).active) == {"me", "ann"}


def test_member_missing_from_one_tick_stays() -> None:
    membership = _membership(ME, ANN, BOB)
    membership.learn(_tick(101.0, ME, BOB))
    assert "ann" in membership.active
    assert membership.in_doubt


def test_member_missing_from_two_ticks_is_gone() -> None:
    membership = _membership(ME, ANN, BOB)
    membership.learn(_tick(101.0, ME, BOB))
    membership.learn(_tick(102.0, ME, BOB))
    assert set(membership.active) == {"me", "bob"}
    assert not membership.in_doubt


def test_being_alone_is_not_believed_before_a_lease_has_passed() -> None:
    membership = _membership(ME, ANN)
    for second in (101.0, 102.0, 103.0):
        membership.learn(_tick(second, ME))
        assert "ann" in membership.active
    membership.learn(_tick(101.0 + LEASE_S, ME))
    assert set(membership.active) == {"me"}


def test_store_without_memory_shrinks_no_view() -> None:
    membership = _membership(ME, ANN, BOB)
    for second in (101.0, 102.0):
        membership.learn(_tick(second, ME, BOB, gen="new", young=True))
    assert "ann" in membership.active


def test_found_dead_is_gone_at_once_and_old_news_do_not_revive_it() -> None:
    membership = _membership(ME, ANN)
    membership.defer_close(ANN.incarnation, certain=True)
    membership.learn(_tick(100.5, ME, ANN))
    assert set(membership.active) == {"me"}
    reborn = replace(ANN, incarnation="ann.2")
    membership.learn(_tick(101.0, ME, reborn))
    assert membership.active["ann"] == reborn


def test_draining_member_serves_nothing_and_leaves_without_doubt() -> None:
    membership = _membership(ME, ANN, BOB)
    leaving = replace(ANN, state=DRAINING)
    membership.learn(_tick(101.0, ME, leaving, BOB))
    assert set(membership.active) == {"me", "bob"}
    membership.learn(_tick(102.0, ME, BOB))
    assert membership.of(ANN.incarnation) is None


def test_nobody_comes_back_from_draining() -> None:
    membership = _membership(ME, ANN)
    membership.update(replace(ANN, state=DRAINING))
    membership.learn(_tick(101.0, ME, ANN))
    assert set(membership.active) == {"me"}


def test_new_life_replaces_the_old_one_at_once() -> None:
    membership = _membership(ME, ANN)
    reborn = replace(ANN, incarnation="ann.2")
    membership.learn(_tick(101.0, ME, reborn))
    assert membership.active["ann"] == reborn
    assert membership.of(ANN.incarnation) is None
