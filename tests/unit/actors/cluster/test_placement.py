"""Placement: even, stable, and the same for everybody; a plain hash ring beside it."""

from __future__ import annotations

from bisect import bisect
from collections import Counter
from statistics import mean

import pytest

from actors.cluster.placement import desired, weight
from actors.shards import SHARD_COUNT

CLUSTERS = [tuple(f"host-{seed}-{n}" for n in range(8)) for seed in range(20)]
VNODES = 128


def _ring(instances: tuple[str, ...]) -> tuple[str, ...]:
    """The classic: points of each instance on a circle, a shard belongs to the next point."""
    points = sorted((weight(f"{i}#{v}", -1), i) for i in instances for v in range(VNODES))
    keys = [at for at, _ in points]
    return tuple(points[bisect(keys, weight("shard", s)) % len(points)][1] for s in range(SHARD_COUNT))


def _moved(before: tuple[str, ...], after: tuple[str, ...]) -> float:
    return sum(a != b for a, b in zip(before, after, strict=True)) / SHARD_COUNT


def _imbalance(placed: tuple[str, ...], count: int) -> float:
    return max(Counter(placed).values()) / (SHARD_COUNT / count)


@pytest.mark.parametrize("count", range(1, 9))
def test_no_instance_has_more_than_one_shard_above_another(count: int) -> None:
    for names in CLUSTERS:
        loads = Counter(desired(names[:count]))
        assert len(loads) == count
        assert max(loads.values()) - min(loads.values()) <= 1


def test_order_of_names_and_repetitions_do_not_matter() -> None:
    assert desired(["b", "a", "c"]) == desired(("c", "b", "a", "a"))


def test_nobody_serves_when_nobody_is_there() -> None:
    assert set(desired(())) == {""}


@pytest.mark.parametrize(("before", "after"), [(2, 4), (4, 5), (3, 2), (4, 3), (4, 2)])
def test_little_more_moves_than_must(before: int, after: int) -> None:
    least = abs(after - before) / max(before, after)
    moves = [_moved(desired(names[:before]), desired(names[:after])) for names in CLUSTERS]
    assert mean(moves) <= 1.1 * least
    assert max(moves) <= 1.25 * least


def test_load_is_more_even_than_on_a_ring_and_as_little_moves() -> None:
    ours = [_imbalance(desired(names[:4]), 4) for names in CLUSTERS]
    ring = [_imbalance(_ring(names[:4]), 4) for names in CLUSTERS]
    assert max(ours) == 1.0
    assert mean(ring) > 1.1, "a ring of 128 points gives somebody a tenth more than its share"
    moved = mean(_moved(desired(names[:2]), desired(names[:4])) for names in CLUSTERS)
    moved_ring = mean(_moved(_ring(names[:2]), _ring(names[:4])) for names in CLUSTERS)
    assert moved <= moved_ring * 1.1


def test_restart_under_the_same_name_brings_the_same_shards() -> None:
    names = CLUSTERS[0][:4]
    without = desired(names[1:])
    back = desired(names)
    assert desired(names) == back
    kept = sum(a == b for a, b in zip(without, back, strict=True))
    assert kept >= SHARD_COUNT * 0.7, "survivors keep nearly all of theirs"


def _roll(names: tuple[str, ...], *, versions_count: bool) -> int:
    """Shards that were handed to an old version while a new one was there, over a rolling restart."""
    versions, handed = dict.fromkeys(names, "1.9.0"), 0
    placed = desired(names)
    for name in names:
        for change in ("leaves", "comes back"):
            if change == "leaves":
                del versions[name]
            else:
                versions[name] = "1.10.0"
            now = desired(versions, versions=versions if versions_count else None)
            if "1.10.0" in versions.values():
                pairs = zip(placed, now, strict=True)
                handed += sum(was != to and versions[to] == "1.9.0" for was, to in pairs)
            placed = now
    return handed


def test_newer_version_is_filled_to_its_bound_before_an_older_one_gets_any() -> None:
    names = CLUSTERS[0][:4]
    for new in range(1, 4):
        versions = {name: "1.10.0" if number < new else "1.9.0" for number, name in enumerate(names)}
        loads = Counter(desired(names, versions=versions))
        assert [loads[name] for name in names[:new]] == [SHARD_COUNT // 4 * 5 // 4] * new
        assert max(loads[name] for name in names[new:]) <= SHARD_COUNT // 4
        assert loads.total() == SHARD_COUNT


@pytest.mark.parametrize("count", range(1, 9))
def test_three_versions_leave_no_shard_without_an_instance(count: int) -> None:
    for names in CLUSTERS:
        versions = {name: f"1.{number % 3}.0" for number, name in enumerate(names[:count])}
        placed = desired(versions, versions=versions)
        assert "" not in placed
        assert max(Counter(placed).values()) <= -(-SHARD_COUNT * 5 // (4 * count))


def test_one_version_everywhere_is_placed_as_if_there_were_none() -> None:
    names = CLUSTERS[0][:4]
    assert desired(names, versions=dict.fromkeys(names, "2.0.0")) == desired(names)


def test_rolling_upgrade_hands_fewer_shards_to_those_that_are_about_to_go() -> None:
    aware = [_roll(names[:4], versions_count=True) for names in CLUSTERS]
    blind = [_roll(names[:4], versions_count=False) for names in CLUSTERS]
    assert mean(aware) < 0.6 * mean(blind)


@pytest.mark.parametrize("count", [2, 5, 20, 21, 30, 100, 300])
def test_last_old_instance_of_a_roll_has_no_more_than_the_average(count: int) -> None:
    names = tuple(f"host-{n}" for n in range(count))
    versions = dict.fromkeys(names, "2.0.0") | {names[0]: "1.9.0"}
    loads = Counter(desired(names, versions=versions))
    assert loads.total() == SHARD_COUNT
    assert loads[names[0]] <= SHARD_COUNT / count
    assert max(loads.values()) <= -(-SHARD_COUNT * 5 // (4 * count))


@pytest.mark.parametrize(
    ("older", "newer"),
    [("1.9.0", "1.10.0"), ("2.0.0rc1", "2.0.0"), ("2.0.0.dev3", "2.0.0"), ("1.9", "2.0.0rc1"), ("", "0.0.1")],
)
def test_newer_version_comes_first(older: str, newer: str) -> None:
    loads = Counter(desired(("a", "b"), versions={"a": older, "b": newer}))
    assert loads["b"] > loads["a"]


@pytest.mark.parametrize(("one", "other"), [("1.2", "1.2.0"), ("1.2.0+ab12", "1.2.0+cd9"), ("odd", "")])
def test_other_ways_to_write_a_version_do_not_count(one: str, other: str) -> None:
    assert desired(("a", "b"), versions={"a": one, "b": other}) == desired(("a", "b"))
