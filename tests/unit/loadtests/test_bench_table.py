"""The bench's promises can be broken."""

from __future__ import annotations

from loadtests.bench import table
from loadtests.bench.cells import BenchCase, BenchMeasure
from loadtests.kit.process_usage import Usage

ALONE, CONTESTED = BenchCase("accept", 1, 64), BenchCase("accept", 100, 64)


def measured(peer: str, won_per_s: float, p99_ms: float = 10.0, cell: BenchCase = ALONE) -> BenchMeasure:
    won = int(won_per_s)
    return BenchMeasure(peer, cell, won, won, 0, 1.0, 5.0, p99_ms, Usage(0.5, 0.2, 0.1))


def kept(*measures: BenchMeasure) -> dict[str, bool]:
    return {limit.name.partition(",")[0]: limit.kept for limit in table.limits(measures)}


def test_ratio_below_the_promise_is_a_failure() -> None:
    found = kept(measured("a", 100), measured("b", 999), measured("e", 600))
    assert found["accept: (b) against (a)"] is False
    assert found["accept: (b) against (e)"] is True


def test_worst_cell_counts() -> None:
    wide = BenchCase("accept", 1, 256)
    good = (measured("a", 100), measured("b", 2_000))
    bad = (measured("a", 100, cell=wide), measured("b", 500, cell=wide))
    assert kept(*good)["accept: (b) against (a)"] is True
    assert kept(*good, *bad)["accept: (b) against (a)"] is False


def test_longer_p99_than_the_simple_designs_is_a_failure() -> None:
    [patience] = [x for x in table.limits([measured("b", 1, 11.0), measured("e", 1)]) if "p99" in x.name]
    assert not patience.kept


def test_orders_that_a_hundred_want_are_shown_but_not_promised() -> None:
    crowd = [measured("a", 100, cell=CONTESTED), measured("b", 100, cell=CONTESTED)]
    assert table.limits(crowd) == []
    assert any("100 drivers" in line for line in table.ratios(crowd))
