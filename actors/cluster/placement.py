"""Placement: which instance should serve which shard.

Rendezvous hashing with an exact bound (a member of the consistent-hashing family; "consistent hashing with
bounded loads", Mirrokni, Thorup and Zadimoghaddam 2016, is the idea of the bound). Each pair of instance and shard has
a weight that depends on nothing else. Pairs are taken in falling order of weight, and an instance that has its share is
skipped. So shares differ by one shard at most, a join or a leave moves little more than necessary, and all instances
compute the same from the same names, without a coordinator.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from functools import lru_cache
from hashlib import blake2b

from actors.shards import SHARD_COUNT

# Share of a newer version, relative to the average, while older ones run: 5/4, the bound of the paper.
NEWER_MOST = (5, 4)


def weight(instance: str, shard: int) -> int:
    """Weight of a pair: 64 bits that depend on the two names only."""
    return int.from_bytes(blake2b(f"{instance}/{shard}".encode(), digest_size=8).digest())


def _shares(ages: tuple[int, ...], count: int) -> tuple[dict[int, int], int]:
    """Number of shards for an instance of each age, and the age whose first instances take one more.

    The newest (age 0) are filled to the bound before the next age gets any.
    """
    bound = -(-count * NEWER_MOST[0] // (NEWER_MOST[1] * len(ages)))
    shares, left, last = dict.fromkeys(ages, 0), count, max(ages)
    for age in sorted(shares):
        size = ages.count(age)
        if age == last or bound * size >= left:
            shares[age] = left // size
            return shares, age
        shares[age] = bound
        left -= bound * size
    raise AssertionError("the last age takes what is left")


# Cache: few views are in use at a time, and computing one takes milliseconds.
@lru_cache(maxsize=32)
def _desired(instances: tuple[str, ...], ages: tuple[int, ...], count: int) -> tuple[str, ...]:
    pairs = sorted(((weight(i, s), i, s) for i in instances for s in range(count)), reverse=True)
    of_age, uneven = _shares(ages, count)
    shares = {instance: of_age[age] for instance, age in zip(instances, ages, strict=True)}
    # The bound is exact: the remainder goes to the first instances of this age, one shard each.
    takers = {instance for instance, age in zip(instances, ages, strict=True) if age == uneven}
    extra = count - sum(shares.values())
    load = dict.fromkeys(instances, 0)
    placed: list[str | None] = [None] * count
    for _, instance, shard in pairs:
        has, share = load[instance], shares[instance]
        full = has >= share and not (has == share and extra > 0 and instance in takers)
        if placed[shard] is None and not full:
            extra -= has == share
            load[instance] += 1
            placed[shard] = instance
    return tuple(instance or "" for instance in placed)


def _order(version: str) -> tuple[int, ...]:
    """Version as a comparable tuple: three numbers, and 0 for a pre-release (`2.0.0rc1`)."""
    found = re.match(r"[0-9]+(\.[0-9]+)*", version)
    numbers = [int(part) for part in found[0].split(".")] if found else []
    rest = version[found.end() :] if found else ""
    released = not rest or rest.startswith(("+", ".post"))
    return (*[*numbers, 0, 0, 0][:3], int(released))


def _age(versions: Mapping[str, str], names: tuple[str, ...]) -> tuple[int, ...]:
    """Age of each instance: the number of versions that are newer than its own."""
    orders = {name: _order(versions.get(name, "")) for name in names}
    newest_first = sorted(set(orders.values()), reverse=True)
    return tuple(newest_first.index(orders[name]) for name in names)


def desired(
    instances: Iterable[str], count: int = SHARD_COUNT, versions: Mapping[str, str] | None = None
) -> tuple[str, ...]:
    """The instance that should serve each shard, by number of shard; all "" without instances.

    Args:
        instances: names, in any order.
        count: number of shards.
        versions: program versions by instance ("1.10.2"). While they differ, newer ones get up to a quarter more than
            the average. So a rolling restart moves fewer shards to instances that are about to stop, and an old version
            seldom reads a state that only the new one writes.
    """
    names = tuple(sorted(set(instances)))
    return _desired(names, _age(versions or {}, names), count) if names else ("",) * count
