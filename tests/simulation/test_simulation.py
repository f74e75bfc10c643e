"""Seeded storms over three instances: no promise is broken, and a seed repeats exactly."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.simulation.run import run_seed

KEPT = [int(line) for line in (Path(__file__).parent / "seeds.txt").read_text().split() if line.isdigit()]


@pytest.mark.parametrize("first", range(0, 60, 10))
def test_storm_breaks_no_promise(first: int) -> None:
    for seed in range(first, first + 10):
        assert run_seed(seed).orders > 10


@pytest.mark.parametrize("seed", KEPT)
def test_seed_that_once_failed_holds(seed: int) -> None:
    assert run_seed(seed).orders > 10


@pytest.mark.long
@pytest.mark.parametrize("first", range(1_000, 2_000, 50))
def test_thousand_storms_break_no_promise(first: int) -> None:
    for seed in range(first, first + 50):
        assert run_seed(seed).orders > 10


def test_same_seed_is_the_same_run() -> None:
    first, again, other = run_seed(7), run_seed(7), run_seed(8)
    assert first == again
    assert first.trace != other.trace
