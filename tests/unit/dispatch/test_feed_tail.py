"""The end of a driver's log: what a window sees, and that nobody else's growth shows in it."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from dispatch.feed_tail import EMPTY, SLACK, TAIL_MAX, Tail, contiguous
from dispatch.messages import Entry


def entry(seq: int, told: str = "a") -> Entry:
    return Entry(seq, told, 0, "", {})


def entries(first: int, count: int, told: str = "a") -> list[Entry]:
    return [entry(seq, told) for seq in range(first, first + count)]


@given(st.lists(st.tuples(st.integers(0, 1000), st.integers(1, 100)), max_size=40))
def test_every_tail_stays_what_it_was_whichever_is_grown(steps: list[tuple[int, int]]) -> None:
    known: list[tuple[Tail, list[Entry]]] = [(EMPTY, [])]
    for at, count in steps:
        tail, log = known[at % len(known)]
        fresh = entries(len(log) + 1, count, str(len(known)))
        known.append((tail.grown(fresh), [*log, *fresh]))
    for tail, log in known:
        assert list(tail) == log[-TAIL_MAX:]
        assert len(tail) == min(len(log), TAIL_MAX)


def test_tail_knows_what_came_after_a_position_and_when_it_does_not() -> None:
    tail = Tail(entries(11, 5))
    assert tail.after(10) == tuple(entries(11, 5))
    assert tail.after(13) == tuple(entries(14, 2))
    assert tail.after(15) == ()
    assert tail.after(9) is None
    assert EMPTY.after(0) is None


def test_dropped_entries_are_let_go_of_in_time() -> None:
    tail = EMPTY
    for seq in range(1, 1000):
        tail = tail.grown((entry(seq),))
        assert len(tail._log) <= TAIL_MAX + SLACK


def test_growth_copies_nothing_while_there_is_room() -> None:
    before = Tail(entries(1, 3))
    after = before.grown([entry(4)])
    assert after._log is before._log
    assert before.grown([entry(4, "b")])._log is not before._log


def test_what_all_begin_with_keeps_nothing_of_anybody() -> None:
    assert list(EMPTY.grown([entry(1)])) == [entry(1)]
    assert EMPTY._log == []


def test_tails_are_equal_by_what_they_hold() -> None:
    assert Tail(entries(1, 3)) == Tail(entries(1, 2)).grown([entry(3)])
    assert hash(Tail(entries(1, 3))) == hash(Tail(entries(1, 2)).grown([entry(3)]))
    assert Tail(entries(1, 3)) != Tail(entries(2, 2))


def test_longest_run_up_to_a_position_is_kept() -> None:
    assert list(contiguous([*entries(1, 2), *entries(4, 3)], 5)) == entries(4, 2)
    assert list(contiguous(entries(1, 3), 5)) == []
    assert len(contiguous(entries(1, 200), 200)) == TAIL_MAX
