"""Who serves which shard, read from the instances' status pages."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import aiohttp

from actors.shards import SHARD_COUNT

# A status page that takes longer belongs to an instance that is busy dying.
ASK_S = 2.0


@dataclass(frozen=True, slots=True)
class Holding:
    """What one instance said: its name, this life of it, and the epoch of each shard that it serves."""

    instance: str
    incarnation: str
    epochs: Mapping[int, int]


def holding_of(status: Mapping[str, Any]) -> Holding:
    """The part of a status page that is about shards."""
    epochs = {int(shard): int(epoch) for shard, epoch in status["shards"]["epochs"].items()}
    return Holding(status["instance"], status["incarnation"], epochs)


def owners(holdings: Iterable[Holding]) -> dict[int, str]:
    """The instance that serves each shard; where two say so (the pages were read one after the other), the
    one with the higher epoch.
    """
    best: dict[int, tuple[int, str]] = {}
    for holding in holdings:
        for shard, epoch in holding.epochs.items():
            best[shard] = max(best.get(shard, (0, "")), (epoch, holding.instance))
    return {shard: instance for shard, (_, instance) in best.items()}


def is_balanced(holdings: Sequence[Holding], instances: int, shards: int = SHARD_COUNT) -> bool:
    """True when so many instances serve every shard exactly once, and all the same number but for one."""
    sizes = [len(holding.epochs) for holding in holdings]
    whole = sum(sizes) == shards == len(owners(holdings))
    return len(sizes) == instances and whole and max(sizes) - min(sizes) <= 1


def moved(before: Mapping[int, str], after: Mapping[int, str]) -> list[int]:
    """Shards that another instance serves than before."""
    return sorted(shard for shard, owner in after.items() if before.get(shard) != owner)


def ideal_moves(fewer: int, more: int, shards: int = SHARD_COUNT) -> int:
    """The least number of shards that must move when so many instances become more, or the other way round.

    Those who are in both keep at most their smaller share each.
    """
    share, extra = divmod(shards, more)
    return shards - fewer * share - min(extra, fewer)


async def read_holdings(http: aiohttp.ClientSession, ops_urls: Iterable[str]) -> list[Holding]:
    """What every instance that answers says."""
    found = []
    for url in ops_urls:
        try:
            async with http.get(url + "/status?local=1", timeout=aiohttp.ClientTimeout(total=ASK_S)) as response:
                found.append(holding_of(await response.json()))
        except (aiohttp.ClientError, OSError, TimeoutError):
            continue
    return found
