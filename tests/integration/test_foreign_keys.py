"""Keys of ours that somebody has made by hand, of another type or without an end: each is removed and told, and none
stops anything for longer than one tick.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable

import pytest
from redis import Redis

from actors.cluster.reconciler import Reconciler
from storage.health import LeasesStuck, look_at_leases
from storage.redis.client import open_redis
from tests.integration.test_cache import LASTING, CachingInstance, CatalogueRows
from tests.integration.test_leases import QUICK, watched
from tests.integration.test_limits import FIVE, allowed, at_once, opened
from tests.support.waiting import until

_numbers = itertools.count(1)
MAKE: dict[str, Callable[[Redis, str], object]] = {
    "string": lambda server, key: server.set(key, "by hand"),
    "list": lambda server, key: server.rpush(key, "by hand"),
    "set": lambda server, key: server.sadd(key, "by hand"),
    "hash": lambda server, key: server.hset(key, "by", "hand"),
    "zset": lambda server, key: server.zadd(key, {"by hand": 1.0}),
    "stream": lambda server, key: server.xadd(key, {"by": "hand"}),
}
KINDS = {
    "gen": "string",
    "young": "string",
    "members": "set",
    "inst:ann": "string",
    "inst:bob": "string",
    "lease:5": "string",
}


def wrong(name: str) -> list[str]:
    return [kind for kind in MAKE if kind != KINDS[name]]


@pytest.mark.parametrize(("name", "kind"), [(name, kind) for name in KINDS for kind in wrong(name)])
async def test_key_of_a_wrong_type_costs_no_more_than_a_tick_and_is_told(
    redis_url: str, name: str, kind: str
) -> None:
    async with watched(redis_url, QUICK, prefix=f"foreign-{next(_numbers)}") as ann:
        key = f"{{mall-{ann.prefix}}}:{name}"
        if name == "inst:bob":
            ann.server.sadd(f"{{mall-{ann.prefix}}}:members", "bob")
        MAKE[kind](ann.server, key)
        async with ann.ticking():
            await until(ann.good)
            [text] = next(tick.removed for tick in ann.good() if tick.removed)
            assert text == f"{key} was a {kind}"
            # Also in the middle of a life, and nobody else needs to look.
            before = len(ann.good())
            with ann.server.pipeline(transaction=True) as together:
                together.delete(key)
                if name == "inst:bob":
                    together.sadd(f"{{mall-{ann.prefix}}}:members", "bob")
                MAKE[kind](together, key)
                together.execute()
            await until(lambda: any(tick.removed for tick in ann.good()[before:]))
            assert ann.server.type(key) in (b"none", KINDS[name].encode())
            if name == "lease:5":
                assert await ann.store.acquire("ann.1", [5], proven=True) == [5]


@pytest.mark.parametrize("name", ["lease:5", "young"])
async def test_key_without_an_end_gets_one(redis_url: str, name: str) -> None:
    async with watched(redis_url, QUICK, prefix=f"foreign-{next(_numbers)}") as ann:
        key = f"{{mall-{ann.prefix}}}:{name}"
        ann.server.set(key, "nobody.1")
        async with ann.ticking():
            await until(lambda: any(tick.removed for tick in ann.good()))
            await until(lambda: not ann.server.exists(key))


async def test_lease_that_is_held_by_a_member_is_left_alone(redis_url: str) -> None:
    async with watched(redis_url, QUICK, prefix=f"foreign-{next(_numbers)}") as ann:
        ann.held = (5,)
        async with ann.ticking():
            await until(lambda: len(ann.good()) > 3)
            assert ann.holder(5) == b"ann.1"
            assert not any(tick.removed for tick in ann.good())


@pytest.mark.parametrize("kind", [kind for kind in MAKE if kind != "list"])
async def test_log_of_hits_that_is_none_limits_as_if_it_were_empty(redis_url: str, kind: str) -> None:
    bob, eve = f"bob-{next(_numbers)}", f"eve-{next(_numbers)}"
    async with opened(redis_url, 1) as one:
        with Redis.from_url(redis_url) as server:

            async def key_of(name: str) -> bytes:
                await at_once(one, 1, (FIVE, name))
                [key] = list(server.scan_iter(match=f"*{name}"))
                server.delete(key)
                return bytes(key)

            key = await key_of(bob)
            MAKE[kind](server, key.decode())
            both = await at_once(one, 4, (FIVE, "ann"), (FIVE, bob))
            assert allowed(both) == 4, "nobody who was counted in the same call is refused"
            assert server.type(key) == b"list"
            server.rpush(await key_of(eve), "by hand")
            assert allowed(await at_once(one, 9, (FIVE, eve))) == 4, "and one before"


async def test_place_of_the_cache_that_is_none_is_empty_and_harms_no_other(redis_url: str) -> None:
    async with open_redis(redis_url) as client:
        instance, rows = CachingInstance(client, f"foreign-{next(_numbers)}"), CatalogueRows({"id": 1})
        with Redis.from_url(redis_url) as server:
            for number in range(10):
                await instance.cache.get(LASTING, f"product:{number}", rows)
                [key] = list(server.scan_iter(match=f"*foreign-*cache*product:{number}"))
                server.delete(key)
                MAKE["hash"](server, key.decode())
                instance.later()
                assert await instance.cache.get(LASTING, f"product:{number}", rows) == {"id": 1}
        assert instance.failures == 0


class _Stuck:
    """A keeper whose ticks fail, for whatever reason."""

    def __init__(self, trouble: str, *, sure: bool) -> None:
        self.leases = type("Leases", (), {"trouble": trouble})()
        self.lease_state = type("LeaseState", (), {"sure": lambda _: sure})()


def test_redis_that_answers_and_renews_no_leases_is_down_with_its_words() -> None:
    def look(trouble: str, *, sure: bool) -> None:
        reconciler: Reconciler = _Stuck(trouble, sure=sure)  # type: ignore[assignment]
        look_at_leases(reconciler)

    look("", sure=False)
    look("one tick failed", sure=True)
    with pytest.raises(LeasesStuck, match="WRONGTYPE"):
        look("ResponseError: WRONGTYPE Operation against a key", sure=False)
