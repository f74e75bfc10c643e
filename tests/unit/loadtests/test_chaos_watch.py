"""The watch over ownership finds a second owner, an epoch that falls, and shards that nobody serves."""

from __future__ import annotations

from typing import Any

import aiohttp
import pytest

from loadtests.chaos.watch import SHARDS, OwnershipWatch

ANN, BOB, BOBS_NEXT = "mall-1.aa", "mall-2.bb", "mall-2.cc"


@pytest.fixture
async def watch() -> OwnershipWatch:
    """Of two instances that share all shards, each at epoch 5."""
    async with aiohttp.ClientSession() as http:
        made = OwnershipWatch([], http, "postgresql://nobody")
    for shard in range(SHARDS):
        made.recorded(shard, 5, "mall-1" if shard % 2 else "mall-2")
    made.heard("mall-1", says(ANN, dict.fromkeys(range(1, SHARDS, 2), 5)))
    made.heard("mall-2", says(BOB, dict.fromkeys(range(0, SHARDS, 2), 5)))
    return made


def says(life: str, epochs: dict[int, int]) -> dict[str, Any]:
    """A status page, as far as it matters."""
    return {
        "incarnation": life,
        "shards": {"epochs": {str(shard): epoch for shard, epoch in epochs.items()}},
    }


def test_a_shard_for_everybody_is_peace(watch: OwnershipWatch) -> None:
    assert watch.disputed() == []
    assert watch.violations == []


def test_two_owners_at_one_epoch_are_found(watch: OwnershipWatch) -> None:
    watch.heard("mall-2", says(BOB, {1: 5}))
    assert [violation.kind for violation in watch.violations] == ["two_owners"]
    assert 1 in watch.disputed()


def test_an_old_owner_that_does_not_know_yet_is_a_dispute_and_no_violation(watch: OwnershipWatch) -> None:
    watch.recorded(0, 6, "mall-1")
    watch.heard("mall-1", says(ANN, {0: 6, **dict.fromkeys(range(1, SHARDS, 2), 5)}))
    assert watch.violations == []
    assert watch.disputed() == [0]


def test_an_epoch_used_by_two_lives_of_one_instance_is_found(watch: OwnershipWatch) -> None:
    watch.heard("mall-2", says(BOBS_NEXT, {0: 5}))
    assert [violation.kind for violation in watch.violations] == ["two_owners"]


def test_an_epoch_that_falls_is_found(watch: OwnershipWatch) -> None:
    watch.recorded(3, 4, "mall-1")
    assert [violation.kind for violation in watch.violations] == ["epoch_fell"]


def test_a_shard_that_nobody_serves_is_disputed(watch: OwnershipWatch) -> None:
    watch.recorded(3, 6, None)
    assert watch.disputed() == [3]
