"""Rate limits over one real Valkey: exact across instances, truthful, and unharmed by an outage."""

from __future__ import annotations

import asyncio
import os
import signal
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from itertools import count, pairwise
from typing import Any

from actors.clock import LoopClock
from storage.embedded import EmbeddedValkey
from storage.redis.client import open_redis
from storage.redis.keys import Keyspace
from storage.redis.limits import BUDGET_S, Allowance, Claim, Policy, RateLimits
from tests.support.waiting import turn, until

FIVE = Policy("five", 5, 60)
_names = count(1)


@asynccontextmanager
async def opened(url: str, number: int, **options: object) -> AsyncIterator[list[RateLimits]]:
    """So many instances of a cluster of its own, each with its own connections."""
    clock, prefix = LoopClock(asyncio.get_running_loop()), f"test-{next(_names)}"
    async with AsyncExitStack() as stack:
        clients = [await stack.enter_async_context(open_redis(url)) for _ in range(number)]
        # Exact is only who waits for the answer, however busy the machine is.
        told: Any = {"budget_s": 5.0, **options}
        found = [RateLimits(client, clock, keys=Keyspace(prefix), **told) for client in clients]
        for limits in found:
            await stack.enter_async_context(limits.running())
        yield found


async def at_once(limits: list[RateLimits], number: int, *claims: Claim) -> list[Allowance]:
    """So many requests at the same moment, over all instances in turn."""
    async with asyncio.TaskGroup() as tasks:
        hits = [tasks.create_task(limits[i % len(limits)].hit(*claims)) for i in range(number)]
    return [task.result() for task in hits]


async def passed(wait_s: float) -> None:
    """When so many seconds have passed."""
    over = asyncio.Event()
    asyncio.get_running_loop().call_later(wait_s, over.set)
    await over.wait()


def allowed(verdicts: list[Allowance]) -> int:
    return sum(verdict.allowed for verdict in verdicts)


async def test_exactly_as_many_as_allowed_pass_at_once(redis_url: str) -> None:
    policy = Policy("hundred", 100, 60)
    async with opened(redis_url, 3) as three:
        assert allowed(await at_once(three, 1000, (policy, "ann"))) == 100
        assert allowed(await at_once(three, 100, (policy, "ann"))) == 0
        assert allowed(await at_once(three, 300, (policy, "bob"))) == 100


async def test_greedy_sender_never_gets_more_than_the_limit_in_any_window(redis_url: str) -> None:
    policy, times = Policy("short", 20, 1), []
    loop = asyncio.get_running_loop()
    async with opened(redis_url, 3) as three:
        ends_at = loop.time() + 3.5
        while loop.time() < ends_at:
            for verdict in await at_once(three, 6, (policy, "ann")):
                if verdict.receipt is not None:
                    times.append(int(verdict.receipt.stamp))
            await turn()
    times.sort()
    spans = [later - earlier for earlier, later in zip(times, times[policy.limit :], strict=False)]
    assert min(spans) >= 1_000_000, "of any twenty-one the first and the last are a window apart"
    assert len(times) >= 3 * policy.limit, "and whoever may is let in"


async def test_refusals_do_not_put_off_the_time_to_come_back(redis_url: str) -> None:
    policy = Policy("short", 2, 1)
    async with opened(redis_url, 2) as (one, two):
        assert allowed(await at_once([one, two], 3, (policy, "ann"))) == 2
        first = await one.hit((policy, "ann"))
        later = [(await limits.hit((policy, "ann"))).wait_s for limits in (one, two) * 10]
        assert not first.allowed
        assert 0 < max(later) <= first.wait_s + 0.05
        await passed((await two.hit((policy, "ann"))).wait_s)
        assert (await two.hit((policy, "ann"))).allowed


async def test_what_remains_falls_one_by_one(redis_url: str) -> None:
    async with opened(redis_url, 3) as three:
        verdicts = [await three[i % 3].hit((FIVE, "ann")) for i in range(7)]
    assert [verdict.remaining for verdict in verdicts] == [4, 3, 2, 1, 0, 0, 0]
    assert [verdict.violated for verdict in verdicts[4:]] == [(), ("five",), ("five",)]
    waits = [verdict.wait_s for verdict in verdicts]
    assert all(later <= earlier for earlier, later in pairwise(waits))


async def test_request_that_one_claim_refuses_counts_under_none(redis_url: str) -> None:
    address = Policy("address", 7, 60)
    async with opened(redis_url, 2) as both:
        assert allowed(await at_once(both, 20, (FIVE, 1), (address, "a"))) == 5
        assert allowed(await at_once(both, 20, (FIVE, 2), (address, "a"))) == 2
        refused = await both[0].hit((FIVE, 2), (address, "a"))
        assert (refused.policy, refused.violated) == (address, ("address",))
        assert allowed(await at_once(both, 20, (FIVE, 2), (address, "b"))) == 3


async def test_hit_that_was_moved_is_free_where_it_was_and_counts_where_it_is(redis_url: str) -> None:
    reads = Policy("reads", 2, 60)
    async with opened(redis_url, 2) as both:
        hits = [await both[0].hit((FIVE, 1)) for _ in range(5)]
        receipts = [hit.receipt for hit in hits if hit.receipt is not None]
        moved = [await both[0].move(receipt, (reads, 1)) for receipt in receipts[:3]]
        assert [verdict.allowed for verdict in moved] == [True, True, False]
        assert allowed(await at_once(both, 10, (FIVE, 1))) == 2, "the third stayed where it was"


async def test_redis_that_hangs_costs_few_and_those_little(valkey: EmbeddedValkey) -> None:
    assert valkey.pid is not None
    changes: list[bool] = []
    failures = Counter[str]()
    policy = Policy("many", 9000, 60)
    options: dict[str, object] = {
        "budget_s": BUDGET_S,
        "changed": changes.append,
        "failed": lambda: failures.update(["calls"]),
        "instances": lambda: 3,
    }
    async with opened(valkey.redis_url, 1, **options) as [limits]:
        await limits.hit((policy, "ann"))
        os.kill(valkey.pid, signal.SIGSTOP)
        assert allowed(await at_once([limits], 100, (policy, "ann"))) == 100
        assert changes == [True]
        calls = failures["calls"]
        assert allowed(await at_once([limits], 1000, (policy, "ann"))) == 1000
        assert failures["calls"] == calls, "nobody asks any more"
        assert allowed(await at_once([limits], 9, (FIVE, "bob"))) == 1, "a third of five"
        os.kill(valkey.pid, signal.SIGCONT)
        await until(lambda: not limits.alone)
        assert changes == [True, False]
        assert allowed(await at_once([limits], 9, (FIVE, "bob"))) == 4, "never more than five here in all"


async def test_redis_that_dies_and_comes_back_empty_lets_nobody_through_twice(valkey: EmbeddedValkey) -> None:
    async with opened(valkey.redis_url, 1) as [limits]:
        assert allowed(await at_once([limits], 9, (FIVE, "ann"))) == 5
        valkey.kill()
        assert allowed(await at_once([limits], 9, (FIVE, "ann"), (Policy("a", 99), "x"))) == 0
        assert allowed(await at_once([limits], 9, (FIVE, "bob"))) == 5
        assert limits.alone
        valkey.start()
        await until(lambda: not limits.alone)
        assert allowed(await at_once([limits], 9, (FIVE, "ann"))) == 0
        assert allowed(await at_once([limits], 9, (FIVE, "cid"))) == 5
