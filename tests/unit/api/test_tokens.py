"""Access tokens: keys that come and go, and what holds when the revocations cannot be seen."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from multidict import CIMultiDict

from actors.clock import SystemEntropy
from api.access import Access
from api.call import Call
from api.edge import Route, admit
from api.problems import Problem
from api.tokens import (
    ACCESS_S,
    BLIND_S,
    LEEWAY_S,
    BadToken,
    SigningKey,
    Tokens,
    load_signing_key,
    make_signing_key,
)
from tests.support.clocks import Hands

NOW = 1_700_000_000.0


@pytest.fixture
def clock() -> Hands:
    return Hands(NOW)


def key(signs_at: float = 0.0) -> SigningKey:
    kid, pem = make_signing_key()
    return load_signing_key(kid, pem, signs_at)


def kids(tokens: Tokens) -> set[str]:
    return {published["kid"] for published in tokens.jwks()["keys"]}


def test_new_key_is_published_at_once_and_signs_when_it_is_time(clock: Hands) -> None:
    old, new = key(NOW - 9000), key(NOW + 600)
    tokens = Tokens([new, old], clock, SystemEntropy())
    only_old, only_new = Tokens([old], clock, SystemEntropy()), Tokens([new], clock, SystemEntropy())
    assert kids(tokens) == {old.kid, new.kid}
    only_old.verify(tokens.issue("customer", 1, "ses_1"))
    only_new.verify(tokens.issue("customer", 1, "mnt_1", newest=True))
    clock.now += 600
    only_new.verify(tokens.issue("customer", 1, "ses_1"))


def test_token_outlives_the_rotation_and_dies_with_its_key(clock: Hands) -> None:
    old, new = key(), key(NOW + 1)
    tokens = Tokens([old], clock, SystemEntropy())
    token = tokens.issue("customer", 1, "ses_1")
    tokens.use_keys([new, old])
    clock.now += 2
    assert tokens.verify(token).number == 1
    tokens.use_keys([new])
    with pytest.raises(BadToken):
        tokens.verify(token)
    assert kids(tokens) == {new.kid}


def test_first_key_signs_though_the_clock_is_a_moment_behind(clock: Hands) -> None:
    tokens = Tokens([key(NOW + 0.5)], clock, SystemEntropy())
    tokens.verify(tokens.issue("customer", 1, "ses_1"))


def test_token_ends_with_its_ten_minutes_and_the_leeway(clock: Hands) -> None:
    tokens = Tokens([key()], clock, SystemEntropy())
    token = tokens.issue("customer", 1, "ses_1")
    clock.now += ACCESS_S + LEEWAY_S - 1
    tokens.verify(token)
    clock.now += 1
    with pytest.raises(BadToken):
        tokens.verify(token)


def test_nobody_but_a_minted_session_has_a_token_of_more_than_ten_minutes(clock: Hands) -> None:
    tokens = Tokens([key()], clock, SystemEntropy())
    tokens.verify(tokens.issue("customer", 1, "mnt_1", 3600))
    with pytest.raises(BadToken):
        tokens.verify(tokens.issue("customer", 1, "ses_1", ACCESS_S + 1))


def test_limits_are_within_the_bounds_that_are_promised() -> None:
    assert ACCESS_S <= 600
    assert LEEWAY_S <= 30


async def _unused(call: Any) -> Any:
    del call


async def _admitted(tokens: Tokens, role: str) -> str:
    """How the door answers somebody of this role: ok, or the problem's code."""
    headers = CIMultiDict({"Authorization": f"Bearer {tokens.issue(role, 1, 'ses_1')}"})
    office: Any = SimpleNamespace(tokens=tokens, gate=SimpleNamespace(on=False))
    request: Any = SimpleNamespace(headers=headers)
    call = Call(request, office, "trace")
    try:
        await admit(Route("auth.me", "GET", "/", _unused), Access("account:read:own"), call)
    except Problem as problem:
        return problem.code
    return "ok"


async def test_admin_is_not_let_in_when_revocations_cannot_be_seen(clock: Hands) -> None:
    tokens = Tokens([key()], clock, SystemEntropy())
    for _ in range(3):
        clock.now += BLIND_S
        assert [await _admitted(tokens, role) for role in ("admin", "customer", "driver")] == ["ok"] * 3
        tokens.shut_out([], [])
    clock.now += BLIND_S + 0.1
    assert await _admitted(tokens, "admin") == "unavailable"
    assert [await _admitted(tokens, role) for role in ("customer", "driver")] == ["ok"] * 2
    tokens.shut_out([], [])
    assert await _admitted(tokens, "admin") == "ok"
