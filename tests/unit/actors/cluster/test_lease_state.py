"""How long leases are believed."""

from __future__ import annotations

from actors.cluster.lease_state import LEASED, UNSURE, LeaseState
from actors.cluster.leases import LEASE_S, VALID_S
from tests.support.clocks import Hands


def test_nothing_is_believed_before_the_first_renewal() -> None:
    lease_state = LeaseState(Hands())
    assert not lease_state.sure()
    assert lease_state.state == UNSURE


def test_lease_counts_from_the_sending_not_from_the_answer() -> None:
    clock = Hands()
    lease_state = LeaseState(clock)
    sent_at, clock.now = clock.now, clock.now + 1.0
    lease_state.renewed(sent_at)
    assert lease_state.state == LEASED
    clock.now = sent_at + VALID_S
    assert not lease_state.sure()
    assert VALID_S < LEASE_S, "we doubt before the store forgets"


def test_answer_to_an_older_renewal_shortens_nothing() -> None:
    clock = Hands()
    lease_state = LeaseState(clock)
    lease_state.renewed(clock.now)
    lease_state.renewed(clock.now - 1.0)
    clock.now += VALID_S - 0.01
    assert lease_state.sure()


def test_after_a_gap_the_epochs_are_compared_first() -> None:
    clock = Hands()
    lease_state = LeaseState(clock)
    lease_state.renewed(clock.now)
    clock.now += LEASE_S
    lease_state.renewed(clock.now)
    assert lease_state.must_check
    assert not lease_state.sure(), "somebody may have come and gone"
    lease_state.checked()
    assert lease_state.sure()


def test_margin_says_how_long_the_leases_are_good() -> None:
    clock = Hands()
    lease_state = LeaseState(clock)
    assert lease_state.margin_s < 0
    lease_state.renewed(clock.now)
    clock.now += 1.0
    assert round(lease_state.margin_s, 6) == round(VALID_S - 1.0, 6)
