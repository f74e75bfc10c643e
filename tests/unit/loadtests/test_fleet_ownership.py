"""What status pages say about shards, put together."""

from __future__ import annotations

from typing import Any

import pytest

from actors.cluster.placement import desired
from loadtests.fleet.ownership import HeldShards, held_shards_of, ideal_moves, is_balanced, moved, owners


def holding(instance: str, *shards: int, epoch: int = 1) -> HeldShards:
    return HeldShards(instance, f"{instance}.1", dict.fromkeys(shards, epoch))


def test_status_page_is_read() -> None:
    status: dict[str, Any] = {
        "instance": "mall-1",
        "incarnation": "mall-1.abc",
        "shards": {"owned": 2, "epochs": {"0": 3, "255": 9}},
    }
    assert held_shards_of(status) == HeldShards("mall-1", "mall-1.abc", {0: 3, 255: 9})


@pytest.mark.parametrize("turned", [False, True])
def test_of_two_that_claim_a_shard_the_higher_epoch_counts(turned: bool) -> None:
    both = [holding("mall-1", 0, 1, epoch=4), holding("mall-2", 1, epoch=5)]
    assert owners(reversed(both) if turned else both) == {0: "mall-1", 1: "mall-2"}


@pytest.mark.parametrize(
    ("holdings", "balanced"),
    [
        ([holding("mall-1", 0, 1), holding("mall-2", 2)], True),
        ([holding("mall-1", 0, 1, 2), holding("mall-2")], False),
        ([holding("mall-1", 0), holding("mall-2", 2)], False),
        ([holding("mall-1", 0, 1), holding("mall-2", 1)], False),
        ([holding("mall-1", 0, 1, 2)], False),
        ([], False),
    ],
    ids=["in parts", "one has all", "one is nobody's", "one is both's", "one is silent", "all are"],
)
def test_two_are_balanced_when_they_have_all_shards_in_parts(
    holdings: list[HeldShards], balanced: bool
) -> None:
    assert is_balanced(holdings, 2, shards=3) is balanced


def test_shard_has_moved_when_its_owner_is_another() -> None:
    assert moved({0: "mall-1", 1: "mall-1", 2: "mall-2"}, {0: "mall-1", 1: "mall-2", 2: "mall-2"}) == [1]


@pytest.mark.parametrize(("fewer", "more", "least"), [(2, 4, 128), (1, 2, 128), (3, 4, 64), (2, 3, 85)])
def test_least_number_that_must_move(fewer: int, more: int, least: int) -> None:
    assert ideal_moves(fewer, more) == least


@pytest.mark.parametrize(("fewer", "more"), [(2, 4), (1, 2), (3, 4), (2, 3)])
def test_placement_never_moves_less_than_the_least(fewer: int, more: int) -> None:
    names = [f"mall-{number}" for number in range(1, more + 1)]
    before = dict(enumerate(desired(names[:fewer])))
    assert len(moved(before, dict(enumerate(desired(names))))) >= ideal_moves(fewer, more)
