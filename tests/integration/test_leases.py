"""The thread that renews leases, on a real Valkey that lives, dies, hangs, and forgets."""

from __future__ import annotations

import asyncio
import itertools
import os
import signal
import tempfile
import threading
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from redis import Redis

from actors.clock import SystemRandomness
from actors.cluster.leases import ACTIVE, Holding, LeasesAway, Member, Tick
from storage.embedded import EmbeddedValkey
from storage.redis.keys import Keyspace
from storage.redis.lease_heartbeat import Timing
from storage.redis.leases import RedisLeases
from tests.support.waiting import LIMIT_S, turn, until

# Six renewals in a lease: a busy machine may miss most of them.
QUICK = Timing(lease_s=0.6, renew_s=0.1, loop_dead_s=2.0)
_numbers = itertools.count(1)


class Watched:
    """A store whose ticks are kept, and a direct view of what the server holds."""

    def __init__(self, url: str, timing: Timing, name: str = "ann", prefix: str | None = None) -> None:
        self.prefix = prefix or f"thread-{next(_numbers)}"
        self.store = RedisLeases(url, SystemRandomness(), keys=Keyspace(self.prefix), timing=timing)
        self.server = Redis.from_url(url)
        self.member = Member(name, f"{name}.1", f"{name}:7000", ACTIVE, "1.0")
        self.held: tuple[int, ...] = ()
        self.told: list[Tick | None] = []
        self.asked = 0

    def holding(self) -> Holding:
        self.asked += 1
        return Holding(self.member, self.held)

    def good(self) -> list[Tick]:
        return [tick for tick in self.told if tick is not None]

    def holder(self, shard: int) -> bytes | None:
        """Asked without the loop."""
        found = self.server.get(f"{{mall-{self.prefix}}}:lease:{shard}")
        assert found is None or isinstance(found, bytes)
        return found

    @asynccontextmanager
    async def ticking(self) -> AsyncIterator[None]:
        async with self.store.ticking(self.holding, self.told.append):
            yield

    async def close(self) -> None:
        self.server.close()
        await self.store.close()


def block_loop(until_s: float, ends: Callable[[], object] = lambda: False) -> None:
    """Keep the loop busy for so long, or until something ends it."""
    end = time.monotonic() + until_s
    while time.monotonic() < end and not ends():
        pass


def tickers() -> list[str]:
    return [thread.name for thread in threading.enumerate() if thread.name == "lease ticker"]


@asynccontextmanager
async def watched(
    url: str, timing: Timing, name: str = "ann", prefix: str | None = None
) -> AsyncIterator[Watched]:
    one = Watched(url, timing, name, prefix)
    try:
        yield one
    finally:
        await one.close()


async def test_leases_outlive_a_loop_that_is_blocked_for_longer_than_they_last(redis_url: str) -> None:
    async with watched(redis_url, QUICK) as ann:
        ann.held = (1, 255)
        async with ann.ticking():
            await until(ann.good)
            told, asked = len(ann.told), ann.asked
            block_loop(0.7)
            assert (ann.holder(1), ann.holder(255)) == (b"ann.1", b"ann.1")
            assert len(ann.told) == told, "the loop was blocked"
            assert ann.asked >= asked + 2, "the thread was not"
            await until(lambda: len(ann.told) > told)


async def test_blocked_loop_loses_its_leases_and_gets_them_back_when_it_moves_on(redis_url: str) -> None:
    async with watched(redis_url, Timing(lease_s=0.6, renew_s=0.1, loop_dead_s=0.3)) as ann:
        ann.held = (1,)
        async with ann.ticking():
            await until(ann.good)
            told = len(ann.told)
            block_loop(LIMIT_S, lambda: ann.holder(1) is None)
            assert ann.holder(1) is None, "somebody else may serve"
            assert len(ann.told) == told
            await until(lambda: None in ann.told[told:])
            after = len(ann.good())
            await until(lambda: len(ann.good()) > after)
            assert ann.good()[-1].holders[1] == "ann.1"
            assert ann.store.trouble == ""


async def test_server_that_died_and_came_back_is_found_again_with_another_gen(
    valkey: EmbeddedValkey,
) -> None:
    async with watched(valkey.redis_url, Timing(lease_s=60.0, renew_s=0.1, loop_dead_s=60.0)) as ann:
        ann.held = (1, 2)
        async with ann.ticking():
            await until(ann.good)
            first = ann.good()[-1]
            valkey.kill()
            await until(lambda: ann.told[-1] is None)
            assert "ConnectionError" in ann.store.trouble
            with pytest.raises(LeasesAway):
                await ann.store.acquire("ann.1", [3], proven=True)
            valkey.start()
            await until(lambda: ann.told[-1] is not None)
            last = ann.good()[-1]
            assert (last.gen != first.gen, last.young) == (True, True)
            assert last.holders[1:4] == ("ann.1", "ann.1", "")
            assert await ann.store.acquire("ann.1", [1, 3], proven=True) == [3]


async def test_server_restarted_from_disk_gives_nothing_to_the_unproven_although_it_remembers() -> None:
    with tempfile.TemporaryDirectory(prefix="mall-lease-") as name:
        server = EmbeddedValkey(Path(name), durable=True)
        server.start()
        try:
            async with watched(server.redis_url, QUICK) as ann:
                async with ann.ticking():
                    await until(lambda: ann.good() and not ann.good()[-1].young)
                gen = ann.good()[-1].gen
                server.stop()
                server.start()
                kept = ann.server.get(f"{{mall-{ann.prefix}}}:gen")
                assert kept == gen.encode(), "it remembers the generation"
                assert await ann.store.acquire("ann.1", [7], proven=False) == []
                async with ann.ticking():
                    await until(lambda: ann.good()[-1].gen != gen)
                    assert ann.good()[-1].young
        finally:
            server.stop()


async def test_scripts_that_the_server_forgot_are_sent_again(redis_url: str) -> None:
    async with watched(redis_url, QUICK) as ann, ann.ticking():
        await until(ann.good)
        assert await ann.store.acquire("ann.1", [3], proven=True) == [3]
        ann.server.script_flush()
        count = len(ann.told)
        await until(lambda: len(ann.told) > count + 1)
        assert None not in ann.told
        await ann.store.release("ann.1", [3])
        assert await ann.store.acquire("ann.1", [3], proven=True) == [3]


async def test_hanging_server_fails_ticks_and_calls_and_the_block_still_ends_in_time(
    valkey: EmbeddedValkey,
) -> None:
    async with watched(valkey.redis_url, Timing(lease_s=60.0, renew_s=0.05)) as ann:
        async with ann.ticking():
            await until(ann.good)
            assert valkey.pid is not None
            os.kill(valkey.pid, signal.SIGSTOP)
            await until(lambda: ann.told[-1] is None)
            with pytest.raises(LeasesAway):
                await ann.store.acquire("ann.1", [3], proven=True)
            asked = ann.asked
            await until(lambda: ann.asked > asked)
            told = len(ann.told)
        assert tickers() == []
        await turn()
        assert len(ann.told) == told, "the tick under way failed, and nobody listens any more"
        os.kill(valkey.pid, signal.SIGCONT)
        # What was sent before may have been done late; answers must not be mixed up by it.
        await ann.store.release("ann.1", [3])
        assert await ann.store.acquire("ann.1", [4], proven=True) == [4]
        assert await ann.store.transfer([4], "ann.1", "bob.1") == [4]


async def test_loop_goes_on_while_the_thread_is_waited_for(valkey: EmbeddedValkey) -> None:
    async with watched(valkey.redis_url, Timing(lease_s=60.0, renew_s=0.05)) as ann:
        turns = 0

        def count() -> None:
            nonlocal turns
            turns += 1
            asyncio.get_running_loop().call_later(0.01, count)

        async with ann.ticking():
            await until(ann.good)
            assert valkey.pid is not None
            os.kill(valkey.pid, signal.SIGSTOP)
            asked = ann.asked
            await until(lambda: ann.asked > asked)
            asyncio.get_running_loop().call_soon(count)
        assert turns > 3


async def test_error_in_what_the_owner_brings_costs_one_tick_not_the_thread(redis_url: str) -> None:
    async with watched(redis_url, QUICK) as ann:
        member, ann.member = ann.member, None  # type: ignore[assignment]
        async with ann.ticking():
            await until(lambda: ann.told)
            assert ann.told[0] is None
            assert "AttributeError" in ann.store.trouble
            ann.member = member
            await until(ann.good)


async def test_record_that_cannot_be_read_hides_one_member_not_all(redis_url: str) -> None:
    async with watched(redis_url, QUICK) as ann:
        ann.server.set(f"{{mall-{ann.prefix}}}:inst:old", "from another world")
        ann.server.set(f"{{mall-{ann.prefix}}}:inst:odd", '{"instance": "odd"}')
        ann.server.sadd(f"{{mall-{ann.prefix}}}:members", "old", "odd", "gone")
        async with ann.ticking():
            await until(lambda: ann.told)
        assert [member.instance for member in ann.good()[0].members] == ["ann"]
        assert ann.server.smembers(f"{{mall-{ann.prefix}}}:members") == {b"ann", b"old", b"odd"}
        # Nobody's record is removed on the word of one that could not be read.
        assert await ann.store.suspect("old.1", "old", 0.1)
        await ann.store.leave("odd.1", "odd")
        assert ann.server.exists(f"{{mall-{ann.prefix}}}:inst:old", f"{{mall-{ann.prefix}}}:inst:odd") == 2


async def test_two_clusters_on_one_server_do_not_meet(redis_url: str) -> None:
    async with (
        watched(redis_url, QUICK, "ann", "north") as ann,
        watched(redis_url, QUICK, "ann", "south") as other,
    ):
        assert await ann.store.acquire("ann.1", [1], proven=True) == [1]
        assert await other.store.acquire("other.1", [1], proven=True) == [1]
        ann.held = other.held = (2,)
        async with ann.ticking(), other.ticking():
            await until(lambda: ann.good() and other.good())
        north, south = ann.good()[0], other.good()[0]
        assert north.gen != south.gen
        assert north.holders[1:3] == ("ann.1", "ann.1")
        assert south.holders[1:3] == ("other.1", "ann.1")
        await other.store.leave("ann.1", "ann")
        assert ann.holder(2) == b"ann.1"


async def test_block_can_be_opened_again(redis_url: str) -> None:
    async with watched(redis_url, QUICK) as ann:
        for _ in range(2):
            async with ann.ticking():
                count = len(ann.told)
                await until(lambda count=count: len(ann.told) > count)  # type: ignore[misc]
            assert tickers() == []
