"""Tickets on a real Valkey, and what becomes of tickets and limits without one."""

from __future__ import annotations

import asyncio
from collections import Counter

import pytest

from actors.clock import LoopClock, SystemRandomness
from storage.errors import Unreachable
from storage.redis.client import open_redis, ping
from storage.redis.keys import Keyspace
from storage.redis.limits import Policy, RateLimits
from storage.redis.tickets import Tickets

KEYS = Keyspace("one")
NOWHERE = "unix:///nonexistent/valkey.sock"
FIVE = Policy("five", 5, 60)


async def test_without_redis_each_instance_counts_for_itself() -> None:
    failures = Counter[str]()
    async with open_redis(NOWHERE) as client:
        with pytest.raises(Unreachable):
            await ping(client)
        clock = LoopClock(asyncio.get_running_loop())
        limits = RateLimits(client, clock, keys=KEYS, failed=lambda: failures.update(["limits"]))
        async with limits.running():
            assert sum([(await limits.hit((FIVE, "ann"))).allowed for _ in range(8)]) == 5
            assert limits.alone
        assert failures["limits"] == 1, "one has found it out for all"


async def test_ticket_opens_once(redis_url: str) -> None:
    async with open_redis(redis_url) as client:
        tickets = Tickets(client, SystemRandomness(), KEYS)
        ticket = await tickets.issue({"role": "driver", "number": 7})
        assert await tickets.redeem(ticket) == {"role": "driver", "number": 7}
        assert await tickets.redeem(ticket) is None
        assert await tickets.redeem("tkt_guessed") is None


async def test_ticket_of_another_cluster_on_the_same_server_opens_nothing(redis_url: str) -> None:
    async with open_redis(redis_url) as client:
        here, there = (Tickets(client, SystemRandomness(), Keyspace(name)) for name in ("here", "there"))
        ticket = await there.issue({"role": "driver", "number": 7})
        assert await here.redeem(ticket) is None
        # Even under our own name: what it says of itself counts, too.
        await client.copy(f"{{mall-there}}:ticket:{ticket}", f"{{mall-here}}:ticket:{ticket}")
        assert await here.redeem(ticket) is None
        assert await there.redeem(ticket) == {"role": "driver", "number": 7}


async def test_no_ticket_without_redis() -> None:
    async with open_redis(NOWHERE) as client:
        with pytest.raises(Unreachable):
            await Tickets(client, SystemRandomness(), KEYS).issue({})
