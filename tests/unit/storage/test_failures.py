"""A Redis whose connection was reset a moment ago: uvloop says RuntimeError, and that is an outage, too."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from actors.clock import LoopClock, SystemRandomness
from actors.cluster.leases import LeasesAway
from storage.errors import Unreachable
from storage.redis.client import open_redis, ping
from storage.redis.keys import Keyspace
from storage.redis.leases import RedisLeases
from storage.redis.limits import Policy, RateLimits
from storage.redis.tickets import Tickets

NOWHERE = "unix:///nonexistent/valkey.sock"


async def _closed(*_: Any, **__: Any) -> Any:
    raise RuntimeError("unable to perform operation on <TCPTransport closed=True>; the handler is closed")


async def test_closed_handler_is_an_outage_of_the_leases(monkeypatch: pytest.MonkeyPatch) -> None:
    leases = RedisLeases(NOWHERE, SystemRandomness(), keys=Keyspace("one"))
    monkeypatch.setattr(leases._client, "execute_command", _closed)
    with pytest.raises(LeasesAway):
        await leases.release("me.1", [3])
    await leases.close()


async def test_closed_handler_is_an_outage_of_everything_else(monkeypatch: pytest.MonkeyPatch) -> None:
    failures = []
    async with open_redis(NOWHERE) as client:
        monkeypatch.setattr(client, "execute_command", _closed)
        with pytest.raises(Unreachable):
            await ping(client)
        with pytest.raises(Unreachable):
            await Tickets(client, SystemRandomness(), Keyspace("one")).redeem("ticket")
        clock = LoopClock(asyncio.get_running_loop())
        limits = RateLimits(client, clock, keys=Keyspace("one"), failed=lambda: failures.append(1))
        async with limits.running():
            verdict = await limits.hit((Policy("five", 5), "ann"))
        assert verdict.allowed, "each instance counts for itself"
    assert failures == [1]
