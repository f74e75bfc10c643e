"""Access tokens: keys that come and go, and what holds when the revocations cannot be seen."""

from __future__ import annotations

import asyncio
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from multidict import CIMultiDict

from actors.clock import LoopClock, SystemRandomness
from api.auth.access_tokens import (
    ACCESS_S,
    BLIND_S,
    LEEWAY_S,
    PUSHED_BLIND_S,
    BadToken,
    SigningKey,
    Tokens,
    load_signing_key,
    make_signing_key,
)
from api.auth.permissions import Access
from api.contract.problems import Problem
from api.http.pipeline import admit, identify
from api.http.request import RequestContext
from tests.support.clocks import Hands

NOW = 1_700_000_000.0


@pytest.fixture
def clock() -> Hands:
    return Hands(NOW)


def key(signs_at: float = 0.0) -> SigningKey:
    kid, pem = make_signing_key()
    return load_signing_key(kid, pem, signs_at)


def made(keys: list[SigningKey], clock: Hands) -> Tokens:
    """A verifier that sees the revocations: there are none."""
    tokens = Tokens(keys, clock, SystemRandomness())
    tokens.shut_out([], [], float("inf"))
    return tokens


def kids(tokens: Tokens) -> set[str]:
    return {published["kid"] for published in tokens.jwks()["keys"]}


def test_new_key_is_published_at_once_and_signs_when_it_is_time(clock: Hands) -> None:
    old, new = key(NOW - 9000), key(NOW + 600)
    tokens = made([new, old], clock)
    only_old, only_new = made([old], clock), made([new], clock)
    assert kids(tokens) == {old.kid, new.kid}
    only_old.verify(tokens.issue("customer", 1, "ses_1"))
    only_new.verify(tokens.issue("customer", 1, "mnt_1", newest=True))
    clock.now += 600
    only_new.verify(tokens.issue("customer", 1, "ses_1"))


def test_token_outlives_the_rotation_and_dies_with_its_key(clock: Hands) -> None:
    old, new = key(), key(NOW + 1)
    tokens = made([old], clock)
    token = tokens.issue("customer", 1, "ses_1")
    tokens.use_keys([new, old])
    clock.now += 2
    assert tokens.verify(token).number == 1
    tokens.use_keys([new])
    with pytest.raises(BadToken):
        tokens.verify(token)
    assert kids(tokens) == {new.kid}


def test_first_key_signs_though_the_clock_is_a_moment_behind(clock: Hands) -> None:
    tokens = made([key(NOW + 0.5)], clock)
    tokens.verify(tokens.issue("customer", 1, "ses_1"))


def test_token_ends_with_its_ten_minutes_and_the_leeway(clock: Hands) -> None:
    tokens = made([key()], clock)
    token = tokens.issue("customer", 1, "ses_1")
    clock.now += ACCESS_S + LEEWAY_S - 1
    tokens.verify(token)
    clock.now += 1
    with pytest.raises(BadToken):
        tokens.verify(token)


def test_nobody_but_a_minted_session_has_a_token_of_more_than_ten_minutes(clock: Hands) -> None:
    tokens = made([key()], clock)
    tokens.verify(tokens.issue("customer", 1, "mnt_1", 3600))
    with pytest.raises(BadToken):
        tokens.verify(tokens.issue("customer", 1, "ses_1", ACCESS_S + 1))


def test_limits_are_within_the_bounds_that_are_promised() -> None:
    assert ACCESS_S <= 600
    assert LEEWAY_S <= 30


async def _admitted(tokens: Tokens, role: str) -> str:
    """How the door answers somebody of this role: ok, or the problem's code."""
    headers = CIMultiDict({"Authorization": f"Bearer {tokens.issue(role, 1, 'ses_1')}"})
    services: Any = SimpleNamespace(tokens=tokens, admission=SimpleNamespace(on=False))
    request: Any = SimpleNamespace(headers=headers)
    context, access = RequestContext(request, services, "trace"), Access("account:read:own")
    try:
        identify(access, context)
        await admit(access, context)
    except Problem as problem:
        return problem.code
    return "ok"


ROLES = ("admin", "customer", "driver")


async def test_nobody_is_let_in_before_the_first_look_at_the_revocations(clock: Hands) -> None:
    tokens = Tokens([key()], clock, SystemRandomness())
    assert [await _admitted(tokens, role) for role in ROLES] == ["unavailable"] * 3
    tokens.shut_out([], [])
    assert [await _admitted(tokens, role) for role in ROLES] == ["ok"] * 3


async def test_nobody_is_let_in_when_revocations_cannot_be_seen_for_longer_than_the_bound(
    clock: Hands,
) -> None:
    tokens = Tokens([key()], clock, SystemRandomness())
    tokens.shut_out([], [])
    for _ in range(3):
        clock.now += BLIND_S
        assert [await _admitted(tokens, role) for role in ROLES] == ["ok"] * 3
        tokens.shut_out([], [])
    clock.now += BLIND_S + 0.1
    assert [await _admitted(tokens, role) for role in ROLES] == ["unavailable"] * 3
    tokens.shut_out([], [])
    assert [await _admitted(tokens, role) for role in ROLES] == ["ok"] * 3


async def test_look_is_as_old_as_its_question_however_late_the_answer(clock: Hands) -> None:
    tokens = Tokens([key()], clock, SystemRandomness())
    asked_at = tokens.now()
    clock.now += BLIND_S + 0.1
    tokens.shut_out([], [], asked_at)
    assert await _admitted(tokens, "driver") == "unavailable"


async def test_who_is_known_to_be_cut_off_is_told_so_though_nothing_is_seen(clock: Hands) -> None:
    tokens = Tokens([key()], clock, SystemRandomness())
    tokens.shut_out(["ses_1"], [])
    clock.now += BLIND_S + 0.1
    assert await _admitted(tokens, "driver") == "unauthenticated"


async def test_session_stays_cut_off_when_the_database_forgets_it_too_soon(clock: Hands) -> None:
    """Its clock was an hour ahead for a moment, and what ended a minute ago was an hour old."""
    tokens = made([key()], clock)
    tokens.shut_out(["ses_1"], [], float("inf"))
    for _ in range(3):
        tokens.shut_out([], [], float("inf"))
        clock.now += 60
        assert await _admitted(tokens, "customer") == "unauthenticated"
    clock.now += ACCESS_S
    tokens.shut_out([], [], float("inf"))
    assert await _admitted(tokens, "customer") == "ok", "no token of it can be alive"


def test_bound_is_the_one_that_is_documented() -> None:
    root = Path(__file__).parents[3]
    for name in ("api/THREAT_MODEL.md", "README.md", "api/feed/PROTOCOL.md"):
        text = " ".join((root / name).read_text().split())
        assert f"cannot be seen for {BLIND_S:.0f} s" in text, name
        assert f"{PUSHED_BLIND_S:.0f} s" in text, name


# -- a clock that somebody sets ---------------------------------------------------------------------------


class _Loop:
    """A loop whose time is set by hand."""

    now = 100.0

    def time(self) -> float:
        return self.now


def _set_clock() -> tuple[_Loop, LoopClock]:
    loop = _Loop()
    return loop, LoopClock(cast("asyncio.AbstractEventLoop", loop), NOW)


@pytest.mark.parametrize("step_s", [-3600.0, 3600.0])
@pytest.mark.parametrize("known", [True, False], ids=["seen before", "seen afterwards"])
def test_token_survives_a_step_of_the_clock_and_still_ends_in_time(step_s: float, known: bool) -> None:
    loop, clock = _set_clock()
    tokens = made([key()], clock)  # type: ignore[arg-type]
    token = tokens.issue("driver", 1, "ses_1")
    if known:
        tokens.verify(token)
    loop.now += 60
    clock.anchor(clock.wall() + step_s)
    principal = tokens.verify(token)
    assert not tokens.is_over(principal)
    loop.now += ACCESS_S - 60 + LEEWAY_S + 1
    assert tokens.is_over(principal)
    with pytest.raises(BadToken, match="over"):
        tokens.verify(token)


@pytest.mark.parametrize("step_s", [-3600.0, 3600.0])
def test_token_that_had_expired_before_a_step_is_not_good_again(step_s: float) -> None:
    loop, clock = _set_clock()
    tokens = made([key()], clock)  # type: ignore[arg-type]
    token = tokens.issue("driver", 1, "ses_1")
    loop.now += ACCESS_S + LEEWAY_S + 1
    clock.anchor(clock.wall() + step_s)
    with pytest.raises(BadToken, match="over"):
        tokens.verify(token)


@pytest.mark.parametrize("step_s", [-3600.0, 3600.0])
def test_token_made_after_a_step_is_an_ordinary_one(step_s: float) -> None:
    loop, clock = _set_clock()
    tokens = made([key()], clock)  # type: ignore[arg-type]
    clock.anchor(clock.wall() + step_s)
    token = tokens.issue("driver", 1, "ses_1")
    tokens.verify(token)
    loop.now += ACCESS_S + LEEWAY_S + 1
    with pytest.raises(BadToken, match="over"):
        tokens.verify(token)


def test_place_of_a_ticket_on_an_instance_that_has_seen_other_steps_is_the_same_moment() -> None:
    (_, one), (_, two) = _set_clock(), _set_clock()
    first, second = (made([key()], clock) for clock in (one, two))  # type: ignore[arg-type]
    one.anchor(one.wall() + 3600)
    two.anchor(one.wall() - 7200)
    two.anchor(one.wall())
    expires = first.steady(one.wall() + 300)
    assert second.steady(first.dated(expires)) - two.steady() == pytest.approx(300)


def test_revocation_that_a_step_of_the_clock_makes_the_database_forget_is_remembered(clock: Hands) -> None:
    tokens = made([key()], clock)
    token = tokens.issue("driver", 1, "ses_1")
    tokens.shut_out(["ses_1"], [])
    tokens.shut_out([], [])  # by the database's clock it was more than 15 minutes ago
    with pytest.raises(BadToken, match="over"):
        tokens.verify(token)
