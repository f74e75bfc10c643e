"""Placement: which instance should serve which shard.

Rendezvous hashing with an exact bound (a member of the consistent-hashing family; "consistent hashing with
bounded loads", Mirrokni, Thorup and Zadimoghaddam 2016, is the idea of the bound). Every pair of instance and
shard has a weight that depends on nothing else; pairs are served in falling order of weight, and an instance
that has its share is passed over. So the load is even to one shard, a join or a leave moves little more than it
must, and everybody computes the same from the same names: there is no coordinator.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from functools import lru_cache
from hashlib import blake2b

from actors.shards import SHARD_COUNT

# A newer version takes at most so much of the average while older ones are there: 5/4, the bound of the paper.
NEWER_MOST = (5, 4)


def weight(instance: str, shard: int) -> int:
    """64 bits that depend on the pair alone; the same in every process and for ever."""
    return int.from_bytes(blake2b(f"{instance}/{shard}".encode(), digest_size=8).digest())


def _shares(ages: tuple[int, ...], count: int) -> list[int]:
    """How many shards an instance of each age may take at least; those left over go one each to the first that
    come. The newest (age 0) are filled to the bound before anything is left for older ones.
    """
    bound = -(-count * NEWER_MOST[0] // (NEWER_MOST[1] * len(ages)))
    shares, left, others = {}, count, len(ages)
    for age in sorted(set(ages)):
        size = ages.count(age)
        others -= size
        # The oldest take what is left, which is never more than the average.
        shares[age] = left // size if not others else min(bound, left // size)
        left -= shares[age] * size if others else 0
    return [shares[age] for age in ages]


# A handful of views are in use at a time; computing one takes milliseconds.
@lru_cache(maxsize=32)
def _desired(instances: tuple[str, ...], ages: tuple[int, ...], count: int) -> tuple[str, ...]:
    pairs = sorted(((weight(i, s), i, s) for i in instances for s in range(count)), reverse=True)
    shares = dict(zip(instances, _shares(ages, count), strict=True))
    oldest = {instance for instance, age in zip(instances, ages, strict=True) if age == max(ages)}
    # The bound is exact: what does not divide goes to the first that come, one shard each.
    extra = count - sum(shares.values())
    load = dict.fromkeys(instances, 0)
    placed: list[str | None] = [None] * count
    for _, instance, shard in pairs:
        has, share = load[instance], shares[instance]
        full = has >= share and not (has == share and extra > 0 and instance in oldest)
        if placed[shard] is None and not full:
            extra -= has == share
            load[instance] += 1
            placed[shard] = instance
    return tuple(instance or "" for instance in placed)


def _age(versions: Mapping[str, str], names: tuple[str, ...]) -> tuple[int, ...]:
    """How many versions are newer than that of each instance."""
    numbers = {name: tuple(map(int, re.findall(r"\d+", versions.get(name, "")))) for name in names}
    newest_first = sorted(set(numbers.values()), reverse=True)
    return tuple(newest_first.index(numbers[name]) for name in names)


def desired(
    instances: Iterable[str], count: int = SHARD_COUNT, versions: Mapping[str, str] | None = None
) -> tuple[str, ...]:
    """The instance that should serve each shard, by number of shard; all "" when there is nobody.

    Args:
        instances: names, in any order.
        count: of shards.
        versions: of the program, by instance ("1.10.2"). While they differ the newer ones have up to a quarter
            more than the average, so that a roll hands less to those that are about to go, and a state that
            only the new version writes seldom comes to an old one.
    """
    names = tuple(sorted(set(instances)))
    return _desired(names, _age(versions or {}, names), count) if names else ("",) * count
