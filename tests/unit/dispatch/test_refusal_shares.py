"""Learned chances that a driver declines an offer or lets it lapse."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from dispatch.domain.refusal_shares import DRIVERS_MAX, FIRST_SHARE, RefusalShares


def test_driver_who_refuses_is_told_apart_from_one_who_accepts() -> None:
    shares = RefusalShares()
    for _ in range(20):
        shares.answered(7, refused=True)
        shares.answered(8, refused=False)
    refuses, accepts = shares.own(7), shares.own(8)
    assert refuses is not None
    assert accepts is not None
    assert refuses > 0.9
    assert accepts < 0.02
    assert shares.own(9) is None
    assert shares.everybody == FIRST_SHARE


def test_first_answer_of_a_driver_builds_on_what_all_of_them_do() -> None:
    shares = RefusalShares()
    for _ in range(100):
        shares.offered(refused=True)
    shares.answered(7, refused=False)
    own = shares.own(7)
    assert own is not None
    assert FIRST_SHARE < own < shares.everybody


def test_who_answered_longest_ago_is_forgotten_first() -> None:
    shares = RefusalShares()
    for number in range(DRIVERS_MAX):
        shares.answered(number, refused=True)
    shares.answered(0, refused=True)
    shares.answered(-1, refused=True)
    assert len(shares) == DRIVERS_MAX
    assert shares.own(0) is not None
    assert shares.own(1) is None


@given(st.lists(st.tuples(st.integers(1, 5), st.booleans())))
def test_share_is_a_share_whatever_is_answered(answers: list[tuple[int, bool]]) -> None:
    shares = RefusalShares()
    for driver, refused in answers:
        shares.answered(driver, refused=refused)
        shares.offered(refused=refused)
    found = [shares.everybody, *(own for n in range(1, 6) if (own := shares.own(n)) is not None)]
    assert all(0 <= share <= 1 for share in found)
