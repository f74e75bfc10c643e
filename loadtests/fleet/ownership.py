"""Who serves which shard, read from the instances' status pages."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import aiohttp

from actors.shards import SHARD_COUNT

# Nobody answers at the port of a supervisor's spare slot, nor at that of an instance that is dying.
ASK_S = 1.0


@dataclass(frozen=True, slots=True)
class HeldShards:
    """What one instance said: its name, this life of it, and the epoch of each shard that it serves."""

    instance: str
    incarnation: str
    epochs: Mapping[int, int]


def held_shards_of(status: Mapping[str, Any]) -> HeldShards:
    """The part of a status page that is about shards."""
    epochs = {int(shard): int(epoch) for shard, epoch in status["shards"]["epochs"].items()}
    return HeldShards(status["instance"], status["incarnation"], epochs)


def owners(holdings: Iterable[HeldShards]) -> dict[int, str]:
    """The instance that serves each shard; where two say so (the pages were read one after the other), the
    one with the higher epoch.
    """
    best: dict[int, tuple[int, str]] = {}
    for holding in holdings:
        for shard, epoch in holding.epochs.items():
            best[shard] = max(best.get(shard, (0, "")), (epoch, holding.instance))
    return {shard: instance for shard, (_, instance) in best.items()}


def is_balanced(holdings: Sequence[HeldShards], instances: int, shards: int = SHARD_COUNT) -> bool:
    """True when `instances` instances serve every shard exactly once, and all the same number but for one."""
    sizes = [len(holding.epochs) for holding in holdings]
    whole = sum(sizes) == shards == len(owners(holdings))
    return len(sizes) == instances and whole and max(sizes) - min(sizes) <= 1


def moved(before: Mapping[int, str], after: Mapping[int, str]) -> list[int]:
    """Shards that another instance serves than before."""
    return sorted(shard for shard, owner in after.items() if before.get(shard) != owner)


def ideal_moves(fewer: int, more: int, shards: int = SHARD_COUNT) -> int:
    """The least number of shards that must move when `fewer` instances become `more`, or the other way round.

    Those who are in both keep at most their smaller share each.
    """
    share, extra = divmod(shards, more)
    return shards - fewer * share - min(extra, fewer)


async def read_statuses(http: aiohttp.ClientSession, ops_urls: Iterable[str]) -> list[dict[str, Any]]:
    """The own status page of every instance that answers, all asked at once."""
    async with asyncio.TaskGroup() as tasks:
        asked = [tasks.create_task(_read_status(http, url)) for url in ops_urls]
    return [status for task in asked if (status := task.result()) is not None]


async def _read_status(http: aiohttp.ClientSession, ops_url: str) -> dict[str, Any] | None:
    try:
        async with asyncio.timeout(ASK_S), http.get(ops_url + "/status?local=1") as response:
            found: dict[str, Any] = await response.json()
            return found
    except (aiohttp.ClientError, OSError, TimeoutError):
        return None
