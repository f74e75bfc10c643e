"""What counts for a network whose people have proved nothing yet."""

from __future__ import annotations

import pytest

from api.auth.permissions import AUTH
from api.ratelimit.login_attempts import (
    ACCOUNTS_MAX,
    BELIEVED_S,
    NETWORKS_MAX,
    SOON_S,
    TURN_S,
    TURNS_S,
    LoginAttempts,
)
from storage.redis.limits import Allowance
from tests.support.clocks import Hands

V4, V6 = "192.0.2.1", "2001:db8:1:2::/64"


@pytest.fixture
def clock() -> Hands:
    return Hands()


@pytest.fixture
def attempts(clock: Hands) -> LoginAttempts:
    return LoginAttempts(clock)


def test_network_may_fail_once_more_for_each_account_that_has_logged_in_there(
    attempts: LoginAttempts, clock: Hands
) -> None:
    assert [policy.limit for policy, _ in attempts.claims(AUTH, V4)] == [5]
    attempts.learn(V4, 7)
    attempts.welcome(V4)
    assert [policy.limit for policy, _ in attempts.claims(AUTH, V4)] == [13]
    attempts.learn(V4, 10 * ACCOUNTS_MAX)
    attempts.welcome(V4)
    assert attempts.accounts(V4) == ACCOUNTS_MAX
    clock.now += BELIEVED_S + 1
    assert attempts.accounts(V4) is None, "it is looked up again"
    assert [policy.limit for policy, _ in attempts.claims(AUTH, V4)] == [5]


def test_networks_around_one_of_version_6_count_too(attempts: LoginAttempts) -> None:
    claims = [(policy.name, policy.limit, who) for policy, who in attempts.claims(AUTH, V6)]
    assert claims == [
        ("auth", 5, V6), ("auth-56", 20, "2001:db8:1::/56"), ("auth-48", 80, "2001:db8:1::/48"),
    ]  # fmt: skip


def test_who_is_refused_while_others_of_the_network_are_looked_at_comes_back_soon(
    attempts: LoginAttempts,
) -> None:
    refused = Allowance(False, AUTH, 0, 59.0)
    attempts.hasten(refused, V4)
    assert refused.wait_s == 59.0
    with attempts.trying(V4), attempts.trying(V4):
        pass
    attempts.hasten(refused, V4)
    assert refused.wait_s == 59.0
    with attempts.trying(V4):
        attempts.hasten(refused, V4)
    assert refused.wait_s == SOON_S


def test_turns_of_a_network_follow_each_other_and_none_is_later_than_an_attempt_counts(
    attempts: LoginAttempts, clock: Hands
) -> None:
    waits = [attempts.turn_s(V4) for _ in range(3)]
    assert waits == pytest.approx([SOON_S, SOON_S + TURN_S, SOON_S + 2 * TURN_S])
    assert attempts.turn_s(V6) == SOON_S, "another network waits for nobody here"
    assert max(attempts.turn_s(V4) for _ in range(5000)) == TURNS_S
    clock.now += TURNS_S
    assert attempts.turn_s(V4) == pytest.approx(SOON_S), "all have had theirs"


def test_networks_that_are_remembered_have_a_bound(attempts: LoginAttempts) -> None:
    for number in range(NETWORKS_MAX + 10):
        attempts.learn(f"network {number}", 1)
        attempts.turn_s(f"network {number}")
    assert len(attempts._accounts) == len(attempts._turns) == NETWORKS_MAX
