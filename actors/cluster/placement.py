"""Placement: which instance should serve which shard.

Rendezvous hashing with an exact bound (a member of the consistent-hashing family; "consistent hashing with
bounded loads", Mirrokni, Thorup and Zadimoghaddam 2016, is the idea of the bound). Every pair of instance and
shard has a weight that depends on nothing else; pairs are served in falling order of weight, and an instance
that has its share is passed over. So the load is even to one shard, a join or a leave moves little more than it
must, and everybody computes the same from the same names: there is no coordinator.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from hashlib import blake2b

from actors.shards import SHARD_COUNT


def weight(instance: str, shard: int) -> int:
    """64 bits that depend on the pair alone; the same in every process and for ever."""
    return int.from_bytes(blake2b(f"{instance}/{shard}".encode(), digest_size=8).digest())


# A handful of views are in use at a time; computing one takes milliseconds.
@lru_cache(maxsize=32)
def _desired(instances: tuple[str, ...], count: int) -> tuple[str, ...]:
    pairs = sorted(((weight(i, s), i, s) for i in instances for s in range(count)), reverse=True)
    # The bound is exact: `count % n` instances have one shard more than the others, first come first served.
    share, extra = divmod(count, len(instances))
    load = dict.fromkeys(instances, 0)
    placed: list[str | None] = [None] * count
    for _, instance, shard in pairs:
        full = load[instance] >= share and not (load[instance] == share and extra > 0)
        if placed[shard] is None and not full:
            extra -= load[instance] == share
            load[instance] += 1
            placed[shard] = instance
    return tuple(instance or "" for instance in placed)


def desired(instances: Iterable[str], count: int = SHARD_COUNT) -> tuple[str, ...]:
    """The instance that should serve each shard, by number of shard; all "" when there is nobody."""
    names = tuple(sorted(set(instances)))
    return _desired(names, count) if names else ("",) * count
