"""Rate limits and tickets on a real Valkey, and without one."""

from __future__ import annotations

import asyncio
from collections import Counter

import pytest

from actors.clock import LoopClock, SystemEntropy
from storage.errors import Unreachable
from storage.redis.client import open_redis, ping
from storage.redis.limits import Policy, RateLimits
from storage.redis.tickets import Tickets

NOWHERE = "unix:///nonexistent/valkey.sock"
FIVE = Policy("five", 5, 60)


async def _allowed(limits: RateLimits, policy: Policy, who: str, count: int) -> int:
    async with asyncio.TaskGroup() as tasks:
        hits = [tasks.create_task(limits.hit(policy, who)) for _ in range(count)]
    return sum(task.result().allowed for task in hits)


async def test_exactly_as_many_requests_as_allowed_pass_at_once(redis_url: str) -> None:
    async with open_redis(redis_url) as client:
        one, two = (
            RateLimits(client, LoopClock(asyncio.get_running_loop()), SystemEntropy(), lambda: None)
            for _ in "12"
        )
        first, second = await _allowed(one, FIVE, "ann", 20), await _allowed(two, FIVE, "ann", 20)
        assert (first, second) == (5, 0), "two instances share one count"
        assert await _allowed(one, FIVE, "bob", 20) == 5
        refused = await one.hit(FIVE, "ann")
        assert not refused.allowed
        assert 0 < refused.wait_s <= 60.1


async def test_request_after_the_stated_wait_is_allowed(redis_url: str) -> None:
    policy = Policy("short", 2, 1)
    async with open_redis(redis_url) as client:
        limits = RateLimits(client, LoopClock(asyncio.get_running_loop()), SystemEntropy(), lambda: None)
        assert await _allowed(limits, policy, "ann", 3) == 2
        wait_s = (await limits.hit(policy, "ann")).wait_s
        waited = asyncio.Event()
        asyncio.get_running_loop().call_later(wait_s, waited.set)
        await waited.wait()
        assert (await limits.hit(policy, "ann")).allowed


async def test_without_redis_each_instance_counts_for_itself() -> None:
    failures = Counter[str]()
    async with open_redis(NOWHERE) as client:
        with pytest.raises(Unreachable):
            await ping(client)
        clock = LoopClock(asyncio.get_running_loop())
        limits = RateLimits(client, clock, SystemEntropy(), lambda: failures.update(["limits"]))
        assert await _allowed(limits, FIVE, "ann", 8) == 5
        assert failures["limits"] == 8


async def test_ticket_opens_once(redis_url: str) -> None:
    async with open_redis(redis_url) as client:
        tickets = Tickets(client, SystemEntropy())
        ticket = await tickets.issue({"role": "driver", "number": 7})
        assert await tickets.redeem(ticket) == {"role": "driver", "number": 7}
        assert await tickets.redeem(ticket) is None
        assert await tickets.redeem("tkt_guessed") is None


async def test_no_ticket_without_redis() -> None:
    async with open_redis(NOWHERE) as client:
        with pytest.raises(Unreachable):
            await Tickets(client, SystemEntropy()).issue({})
