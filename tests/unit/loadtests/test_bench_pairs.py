"""Two versions are compared pair by pair."""

from __future__ import annotations

from loadtests.bench.pairs import TurnResult, compare


def turn(per_s: float, server_us: float) -> TurnResult:
    return TurnResult(per_s, server_us, 100.0, 10.0)


def test_machine_that_slows_down_for_both_changes_nothing() -> None:
    others = [turn(5000, 150), turn(2500, 300), turn(4000, 200)]
    ours = [turn(5500, 135), turn(2750, 270), turn(4400, 180)]
    found = compare(others, ours)
    assert round(found["per_s"], 6) == 1.1
    assert round(found["server_us"], 6) == 0.9
    assert found["postgres_us"] == found["generator_us"] == 1.0


def test_one_pair_that_was_disturbed_does_not_count() -> None:
    others = [turn(5000, 150)] * 5
    ours = [turn(5000, 150)] * 4 + [turn(500, 1500)]
    assert compare(others, ours)["server_us"] == 1.0


def test_nothing_used_by_both_is_the_same() -> None:
    nothing = TurnResult(5000, 150, 0.0, 10.0)
    assert compare([nothing], [nothing])["postgres_us"] == 1.0
