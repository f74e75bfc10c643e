"""The plan of faults: the same for the same seed, with every kind in it, and nothing that cannot be done."""

from __future__ import annotations

from itertools import islice, pairwise

import pytest

from loadtests.chaos import plan
from loadtests.chaos.plan import BLACK_HOLE, CUTS, RESET, SMALLEST, PlannedFault, draw_faults

KINDS = {
    plan.KILL, plan.KILL_ALL, plan.FREEZE, plan.RESTART, plan.SCALE, plan.FLUSH, plan.REDIS_RESTART,
    plan.REDIS_FREEZE, plan.POSTGRES_RESTART, plan.POSTGRES_FREEZE, *CUTS,
}  # fmt: skip


def drawn(seed: int, instances: int = 4, count: int = 200) -> list[PlannedFault]:
    """The first faults of a seed."""
    return list(islice(draw_faults(seed, instances), count))


def test_same_seed_is_the_same_plan_and_another_seed_another_one() -> None:
    assert drawn(7) == drawn(7)
    assert drawn(7) != drawn(8)


@pytest.mark.parametrize("seed", range(5))
def test_every_kind_and_every_length_of_a_freeze_comes_within_a_deck(seed: int) -> None:
    faults = drawn(seed, count=17)
    assert {fault.kind for fault in faults} == KINDS
    assert {fault.length_s for fault in faults if fault.kind == plan.FREEZE} == set(plan.FREEZES_S)


@pytest.mark.parametrize("instances", [2, 3, 4])
def test_faults_befall_instances_that_there_are(instances: int) -> None:
    for fault in drawn(1, instances):
        assert set(fault.victims) <= set(range(instances))
        assert bool(fault.victims) == any(need.startswith("instance") for need in fault.needs)


def test_scaling_down_leaves_a_cluster_and_needs_more_than_that() -> None:
    scaled = [fault for fault in drawn(3) if fault.kind == plan.SCALE]
    assert scaled
    assert all(4 - len(fault.victims) == SMALLEST for fault in scaled)
    assert plan.SCALE not in {fault.kind for fault in drawn(3, instances=SMALLEST)}


def test_cut_lines_go_deaf_or_are_reset_and_nothing_else_does() -> None:
    faults = drawn(1)
    assert {fault.mode for fault in faults if fault.kind in CUTS} == {BLACK_HOLE, RESET}
    assert {fault.mode for fault in faults if fault.kind not in CUTS} == {""}


def test_never_more_than_two_faults_at_once() -> None:
    faults = drawn(1)
    assert any(fault.overlaps for fault in faults)
    assert not any(first.overlaps and second.overlaps for first, second in pairwise(faults))


def test_faults_that_touch_the_same_thing_exclude_each_other() -> None:
    frozen, killed = PlannedFault(plan.FREEZE, (1,)), PlannedFault(plan.KILL_ALL, (0, 1, 2))
    assert frozen.needs & killed.needs
    assert PlannedFault(plan.FLUSH).needs & PlannedFault(plan.REDIS_FREEZE).needs
    assert not PlannedFault(plan.FLUSH).needs & PlannedFault(plan.POSTGRES_FREEZE).needs
    assert not frozen.needs & PlannedFault(plan.KILL, (0,)).needs
