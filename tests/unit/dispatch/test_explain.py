"""Why a driver was chosen: the terms add up, and the sentences say them."""

from __future__ import annotations

from dataclasses import replace

import pytest

from dispatch.domain.planning import DemandPoint, PlanState, Spot, explain, plan
from tests.unit.dispatch.planning_worlds import NOW_S, SETTINGS, driver, order, world


def test_sentences_name_the_driver_the_next_best_and_the_plan() -> None:
    orders = (order(1, (1000, 0), (2000, 0), ready_s=NOW_S),)
    drivers = (driver(1, (0, 0)), driver(2, (4000, 0)), driver(3, (6000, 0)), driver(4, (9000, 0)))
    (proposal,) = plan(PlanState(orders, drivers, number=12), NOW_S, 7, SETTINGS).proposals
    assert explain(proposal) == [
        "Driver 1 gets order 1 with the last pick-up at 01:43.",
        "It costs 9.3 min to the doors.",
        "Next best: driver 2, pick-up at 01:47, 3.3 min more: 12.7 min to the doors.",
        "After that: driver 3, pick-up at 01:50, 6.7 min more: 16.0 min to the doors.",
        "Plan 12, seed 7: the same state gives the same plan.",
    ]


def test_reason_against_the_nearer_driver_is_told() -> None:
    """Driver 2 is nearer, but driver 1 has nothing else to do and 2 is the only one near the second order."""
    orders = (
        order(1, (1000, 0), (900, 0), ready_s=NOW_S),
        order(2, (3000, 0), (3100, 0), site_id=2, store_id=2, ready_s=NOW_S),
    )
    state = PlanState(orders, (driver(1, (0, 0)), driver(2, (1900, 0))))
    proposals = {each.driver_id: each for each in plan(state, NOW_S, 1, SETTINGS).proposals}
    assert proposals[1].order_ids == (1,)
    assert proposals[2].order_ids == (2,)


def test_only_driver_is_said_to_be_the_only_one() -> None:
    state = PlanState((order(1, (0, 0), (100, 0), ready_s=NOW_S),), (driver(1, (0, 0)),))
    (proposal,) = plan(state, NOW_S, 1, SETTINGS).proposals
    assert "No other driver could do it." in explain(proposal)


def test_all_terms_are_told_when_they_count() -> None:
    settings = replace(SETTINGS, driving_weight=0.5, late_weight=2.0)
    orders = (order(1, (1000, 0), (5000, 0), ready_s=NOW_S, promise_s=NOW_S + 60),)
    demand = (DemandPoint(Spot(1000, 0), 1.0),)
    state = PlanState(orders, (driver(1, (0, 0)), driver(2, (500, 500))), demand=demand)
    (proposal,) = plan(state, NOW_S, 1, settings).proposals
    cost = explain(proposal)[1]
    for words in ("to the doors", "for driving", "for broken promises", "for leaving a better place", " = "):
        assert words in cost


@pytest.mark.parametrize("seed", range(6))
def test_terms_of_the_chosen_add_up_to_what_the_plan_pays_for_the_trip(seed: int) -> None:
    state = replace(world(seed, 6, 4), orders=world(seed, 6, 4).orders[:1])
    result = plan(state, NOW_S, seed, SETTINGS)
    for proposal in result.proposals:
        assert proposal.chosen.terms.total_s == pytest.approx(result.cost_s)
        others = [each.terms.total_s for each in proposal.next_best]
        assert others == sorted(others)
        assert all(other >= proposal.chosen.terms.total_s - 1e-6 for other in others)
