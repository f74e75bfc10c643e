"""The log of one instance: exact, and never larger than it may be."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from storage.redis.local_window import WINDOW_S_MAX, LocalWindow

ANN = ("reads", 7)


def test_hit_leaves_exactly_at_the_end_of_its_window() -> None:
    log = LocalWindow()
    log.add(ANN, 100.0)
    assert log.used(ANN, 60, 159.999) == 1
    assert log.used(ANN, 60, 160.0) == 0
    assert len(log) == 0


def test_wait_ends_when_one_more_is_free() -> None:
    log = LocalWindow()
    for at in (100.0, 110.0, 120.0):
        log.add(ANN, at)
    assert log.wait_s(ANN, 3, 60, 130.0) == 30.0
    # A limit that is lower than what was used waits for all but one less than it.
    assert log.wait_s(ANN, 1, 60, 130.0) == 50.0
    assert log.wait_s(("reads", 8), 3, 60, 130.0) == 60


def test_hit_that_is_given_back_is_free_again() -> None:
    log = LocalWindow()
    log.add(ANN, 100.0)
    log.add(ANN, 101.0)
    log.take_back(ANN, 100.0)
    log.take_back(ANN, 100.0)
    assert (log.used(ANN, 60, 102.0), len(log)) == (1, 1)
    log.take_back(ANN, 101.0)
    assert log.used(ANN, 60, 102.0) == 0


def test_those_who_were_quiet_the_longest_are_forgotten_first() -> None:
    log = LocalWindow(hits_max=10, keys_max=3)
    for number in (1, 2, 3, 1, 4):
        log.add(("reads", number), 100.0)
    assert [log.used(("reads", n), 60, 101.0) for n in (1, 2, 3, 4)] == [2, 0, 1, 1]
    for _ in range(20):
        log.add(ANN, 101.0)
    assert log.used(ANN, 60, 101.0) == len(log) == 20, "of whoever is loud nothing is forgotten"


def test_past_keys_go_as_new_ones_come() -> None:
    log = LocalWindow()
    for number in range(1000):
        log.add(("reads", number), 100.0)
    for number in range(1000, 1500):
        log.add(("reads", number), 100.0 + WINDOW_S_MAX)
    assert len(log) == 500


@given(st.lists(st.tuples(st.floats(0, 50), st.integers(0, 2)), max_size=80))
def test_log_counts_as_a_list_of_all_hits_would(steps: list[tuple[float, int]]) -> None:
    log, now = LocalWindow(), 0.0
    all_hits: list[tuple[float, int]] = []
    for gap, who in steps:
        now += gap
        alive = [at for at, other in all_hits if other == who and at > now - 60]
        assert log.used(("reads", who), 60, now) == len(alive)
        log.add(("reads", who), now)
        all_hits.append((now, who))
