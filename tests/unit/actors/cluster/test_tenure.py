"""How long leases are believed."""

from __future__ import annotations

from actors.cluster.leases import LEASE_S, VALID_S
from actors.cluster.tenure import LEASED, UNSURE, Tenure
from tests.support.clocks import Hands


def test_nothing_is_believed_before_the_first_renewal() -> None:
    tenure = Tenure(Hands())
    assert not tenure.sure()
    assert tenure.state == UNSURE


def test_lease_counts_from_the_sending_not_from_the_answer() -> None:
    clock = Hands()
    tenure = Tenure(clock)
    sent_at, clock.now = clock.now, clock.now + 1.0
    tenure.renewed(sent_at)
    assert tenure.state == LEASED
    clock.now = sent_at + VALID_S
    assert not tenure.sure()
    assert VALID_S < LEASE_S, "we doubt before the store forgets"


def test_answer_to_an_older_renewal_shortens_nothing() -> None:
    clock = Hands()
    tenure = Tenure(clock)
    tenure.renewed(clock.now)
    tenure.renewed(clock.now - 1.0)
    clock.now += VALID_S - 0.01
    assert tenure.sure()


def test_after_a_gap_the_epochs_are_compared_first() -> None:
    clock = Hands()
    tenure = Tenure(clock)
    tenure.renewed(clock.now)
    clock.now += LEASE_S
    tenure.renewed(clock.now)
    assert tenure.must_check
    assert not tenure.sure(), "somebody may have come and gone"
    tenure.checked()
    assert tenure.sure()


def test_margin_says_how_long_the_leases_are_good() -> None:
    clock = Hands()
    tenure = Tenure(clock)
    assert tenure.margin_s < 0
    tenure.renewed(clock.now)
    clock.now += 1.0
    assert round(tenure.margin_s, 6) == round(VALID_S - 1.0, 6)
