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


def _shares(ages: tuple[int, ...], count: int) -> tuple[dict[int, int], int]:
    """How many shards an instance of each age takes, and the age of which some take one more.

    The newest (age 0) are filled to the bound before the next get any.
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


# A handful of views are in use at a time; computing one takes milliseconds.
@lru_cache(maxsize=32)
def _desired(instances: tuple[str, ...], ages: tuple[int, ...], count: int) -> tuple[str, ...]:
    pairs = sorted(((weight(i, s), i, s) for i in instances for s in range(count)), reverse=True)
    of_age, uneven = _shares(ages, count)
    shares = {instance: of_age[age] for instance, age in zip(instances, ages, strict=True)}
    # The bound is exact: what does not divide goes to the first of this age that come, one shard each.
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
    """A version as something to compare: three numbers, and 0 for what comes before a release (`2.0.0rc1`)."""
    found = re.match(r"[0-9]+(\.[0-9]+)*", version)
    numbers = [int(part) for part in found[0].split(".")] if found else []
    rest = version[found.end() :] if found else ""
    released = not rest or rest.startswith(("+", ".post"))
    return (*[*numbers, 0, 0, 0][:3], int(released))


def _age(versions: Mapping[str, str], names: tuple[str, ...]) -> tuple[int, ...]:
    """How many versions are newer than that of each instance."""
    orders = {name: _order(versions.get(name, "")) for name in names}
    newest_first = sorted(set(orders.values()), reverse=True)
    return tuple(newest_first.index(orders[name]) for name in names)


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
