"""Fairness: shares of drivers, how unequal they are, and what the planner gives those who had less."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dispatch.domain.planning import PlanState, explain, plan
from dispatch.domain.planning.fairness import WorkRow, advantages_s, gini, zone_fairness
from tests.unit.dispatch.planning_worlds import NOW_S, PLAIN, driver, order

AMOUNTS = st.lists(st.integers(0, 10**6).map(float), min_size=1, max_size=50)


@given(st.integers(1, 60), st.integers(1, 10**6))
def test_gini_is_nothing_when_all_have_the_same(count: int, amount: int) -> None:
    assert gini([float(amount)] * count) == pytest.approx(0.0, abs=1e-9)


@given(st.integers(1, 60), st.integers(1, 10**6))
def test_gini_when_one_takes_all_is_the_share_of_the_others(count: int, amount: int) -> None:
    assert gini([0.0] * (count - 1) + [float(amount)]) == pytest.approx((count - 1) / count)


@given(AMOUNTS)
def test_gini_is_half_of_the_mean_difference_over_the_mean(values: list[float]) -> None:
    count, total = len(values), sum(values)
    apart = sum(abs(a - b) for a in values for b in values)
    assert gini(values) == pytest.approx(apart / (2 * count * total) if total else 0.0, abs=1e-9)


def test_gini_of_nobody_and_of_nothing_is_nothing() -> None:
    assert gini([]) == gini([0.0, 0.0]) == 0.0


def test_gini_of_a_debt_is_refused() -> None:
    with pytest.raises(ValueError, match="not negative"):
        gini([1.0, -1.0])


def test_zone_tells_idle_share_and_income_per_hour_of_each_driver_online() -> None:
    rows = (WorkRow(2, 7200, 1800, 30), WorkRow(1, 3600, 3600, 30), WorkRow(3, 0, 0, 0))
    found = zone_fairness(rows)
    assert [(each.driver_id, each.idle_share, each.income_per_h) for each in found.drivers] == [
        (1, 0.0, 30.0),
        (2, 0.75, 15.0),
    ]
    assert found.gini_income == pytest.approx(15 / (2 * 2 * 45) * 2)
    assert found.gini_idle == pytest.approx(0.5)


def test_driver_busy_for_longer_than_online_is_not_idle_at_all() -> None:
    assert zone_fairness([WorkRow(1, 100, 140, 1)]).drivers[0].idle_share == 0.0


def test_who_had_less_gets_an_advantage_within_bounds() -> None:
    rows = [WorkRow(1, 3600, 0, 0), WorkRow(2, 3600, 0, 10), WorkRow(3, 3600, 0, 50)]
    assert advantages_s(rows, 60.0) == pytest.approx({1: 60.0, 2: 30.0, 3: -60.0})


def test_shift_that_has_just_begun_counts_little() -> None:
    rows = [WorkRow(1, 360, 0, 0), WorkRow(2, 36_000, 0, 100)]
    found = advantages_s(rows, 60.0)
    assert found[1] == pytest.approx(6.0)


def test_without_income_nobody_has_an_advantage() -> None:
    assert advantages_s([WorkRow(1, 100, 0, 0), WorkRow(2, 0, 0, 0)], 60.0) == {1: 0.0}


# -- in the plan -----------------------------------------------------------------------------------------

ONE_ORDER = (order(1, (0, 0), (500, 0), ready_s=NOW_S),)
NEARER, POORER = driver(1, (100, 0)), driver(2, (600, 0), fair_s=120.0)


def chosen(weight: float, *drivers: object) -> int:
    state = PlanState(ONE_ORDER, drivers)  # type: ignore[arg-type]
    return plan(state, NOW_S, 1, replace(PLAIN, fair_weight=weight)).proposals[0].driver_id


def test_advantage_outweighs_a_little_way() -> None:
    assert chosen(0.0, NEARER, POORER) == 1
    assert chosen(1.0, NEARER, POORER) == 2


def test_advantage_is_bounded() -> None:
    """Any advantage counts as `fair_max_s`, and so not more than that much of a way."""
    far = driver(2, (100 + PLAIN.fair_max_s * 10 + 100, 0), fair_s=1e9)
    assert chosen(1.0, NEARER, far) == 1


def test_reason_names_the_fair_share() -> None:
    state = PlanState(ONE_ORDER, (NEARER, POORER))
    (proposal,) = plan(state, NOW_S, 1, replace(PLAIN, fair_weight=1.0)).proposals
    assert proposal.chosen.terms.fair_s == -120.0
    assert any("less than a fair share" in sentence for sentence in explain(proposal))
