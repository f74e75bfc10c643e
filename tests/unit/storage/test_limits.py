"""The limits of one instance without Redis, on a clock of our own: minutes pass in no time."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from storage.redis.client import open_redis
from storage.redis.keys import Keyspace
from storage.redis.limits import Policy, RateLimits

NOWHERE = "unix:///nonexistent/valkey.sock"
TEN = Policy("ten", 10, 60, shared=False)


class Hands:
    """A clock that stands still until somebody moves it."""

    def __init__(self) -> None:
        self.now = 1000.0

    def monotonic(self) -> float:
        return self.now

    boot = wall = steady = monotonic

    def shift_of(self, wall_s: float) -> float:
        raise NotImplementedError

    def anchor(self, wall_s: float, took_s: float = 0.0) -> float:
        raise NotImplementedError


@pytest.fixture
async def clock() -> Hands:
    return Hands()


@pytest.fixture
async def limits(clock: Hands) -> AsyncIterator[RateLimits]:
    async with open_redis(NOWHERE) as client:
        yield RateLimits(client, clock, keys=Keyspace("one"), instances=lambda: 4)


def most_in_a_window(times: Sequence[float], window_s: float) -> int:
    return max(sum(at <= other < at + window_s for other in times) for at in times)


async def test_burst_over_the_turn_of_a_minute_gets_no_second_helping(
    limits: RateLimits, clock: Hands
) -> None:
    clock.now = 1019.5  # half a second before a minute is full
    assert sum(limits.hit_here(TEN, 1).allowed for _ in range(30)) == 10
    clock.now = 1020.5
    assert sum(limits.hit_here(TEN, 1).allowed for _ in range(30)) == 0
    clock.now = 1079.5
    assert sum(limits.hit_here(TEN, 1).allowed for _ in range(30)) == 10


async def test_greedy_sender_gets_the_limit_in_five_minutes_of_trying(
    limits: RateLimits, clock: Hands
) -> None:
    times = []
    for _ in range(5 * 60 * 10):
        clock.now += 0.1
        if limits.hit_here(TEN, 1).allowed:
            times.append(clock.now)
    assert most_in_a_window(times, 60) == 10
    assert len(times) == 50


@given(st.lists(st.floats(0, 20), min_size=1, max_size=200))
async def test_no_pattern_of_requests_beats_the_window(gaps: list[float]) -> None:
    async with open_redis(NOWHERE) as client:
        clock, times = Hands(), []
        limits = RateLimits(client, clock, keys=Keyspace("one"))
        for gap in gaps:
            clock.now += gap
            verdict = limits.hit_here(TEN, 1)
            if verdict.allowed:
                times.append(clock.now)
            else:
                clock.now += verdict.wait_s + 1e-6
                assert limits.hit_here(TEN, 1).allowed, "the wait was true"
                times.append(clock.now)
        assert most_in_a_window(times, 60) <= 10


async def test_share_without_redis_is_the_limit_by_the_number_of_instances(limits: RateLimits) -> None:
    policy, small = Policy("orders", 20), Policy("auth", 3)
    verdicts = [await limits.hit((policy, 1)) for _ in range(30)]
    assert [v.remaining for v in verdicts if v.allowed] == [4, 3, 2, 1, 0]
    assert sum([(await limits.hit((small, "a"))).allowed for _ in range(9)]) == 1, "at least one"
