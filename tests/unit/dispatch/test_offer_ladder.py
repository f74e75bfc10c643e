"""The offer ladder: where an order stands, and what settings of the older form mean."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dispatch.domain.offer_ladder import (
    BOARD,
    DIRECT,
    NEAREST,
    PLANNED,
    PLANNED_OFFERS,
    UNPLANNED_S,
    OfferLadder,
    Rung,
    ladder_from,
)

ROW: dict[str, Any] = {"mode": "waves", "wave_size": 3, "offer_ttl_s": 25, "offer_distance_max_m": 7000}
NEAREST_AS_BEFORE = Rung(NEAREST, 3, 25, 7000)


@pytest.mark.parametrize(
    "planning", [None, {}, {"planned_offers": 3}, {"ladder": None}, {"speed_m_per_s": 5}]
)
def test_zone_of_waves_asks_the_nearest_drivers_for_ever(planning: Any) -> None:
    assert ladder_from(ROW | {"plan": None, "planning": planning}) == OfferLadder((NEAREST_AS_BEFORE,))
    assert ladder_from(ROW) == OfferLadder((NEAREST_AS_BEFORE,))


@pytest.mark.parametrize("mode", [PLANNED, DIRECT])
@pytest.mark.parametrize("planning", [None, {"planned_offers": 7}])
def test_planned_zone_that_says_nothing_plans_some_offers_and_then_asks_the_nearest(
    mode: str, planning: dict[str, Any] | None
) -> None:
    ladder = ladder_from(ROW | {"plan": mode, "planning": planning})
    times = 7 if planning else PLANNED_OFFERS
    assert ladder.rungs == (Rung(mode, 1, 25, 7000, times, UNPLANNED_S), NEAREST_AS_BEFORE)
    assert not ladder.ends
    assert not ladder.has_board


OWN: list[dict[str, Any]] = [
    {"mode": "planned", "drivers": 1, "offer_s": 15, "reach_m": 3000, "times": 2, "unplanned_s": 5},
    {"mode": "nearest", "drivers": 4, "offer_s": 30, "reach_m": 9000, "times": 3, "of_tomorrow": 1},
    {"mode": "teleport", "times": 2},
    {"mode": "board"},
]


def test_ladder_of_a_zone_is_read_as_far_as_it_is_known() -> None:
    ladder = ladder_from(ROW | {"plan": "planned", "planning": {"ladder": OWN}})
    assert ladder.rungs == (
        Rung(PLANNED, 1, 15, 3000, 2, 5),
        Rung(NEAREST, 4, 30, 9000, 3),
        Rung(BOARD),
    )
    assert ladder.has_board
    only_unknown = ROW | {"plan": "planned", "planning": {"ladder": OWN[2:3]}}
    assert ladder_from(only_unknown) == ladder_from(ROW | {"plan": "planned"})


def test_ladder_goes_where_there_is_a_planner() -> None:
    assert ladder_from(ROW | {"planning": {"ladder": OWN}}) == OfferLadder((NEAREST_AS_BEFORE,))


def test_order_stands_where_the_number_of_its_offers_puts_it() -> None:
    ladder = OfferLadder((Rung(PLANNED, times=2), Rung(NEAREST, times=1), Rung(BOARD)))
    places = [ladder.at(wave) for wave in range(5)]
    assert [place and place.number for place in places] == [1, 1, 2, 3, 3]


def test_last_rung_with_times_has_an_end_behind_it() -> None:
    ladder = OfferLadder((Rung(PLANNED, times=1), Rung(NEAREST, times=2)))
    assert ladder.ends
    assert [ladder.at(wave) is None for wave in range(5)] == [False, False, False, True, True]


def test_order_that_no_plan_places_goes_by_the_next_rung_that_makes_offers() -> None:
    ladder = OfferLadder((Rung(PLANNED, times=2), Rung(DIRECT, times=1), Rung(NEAREST, times=1), Rung(BOARD)))
    first, last = ladder.at(0), ladder.at(4)
    assert first is not None
    assert last is not None
    found = ladder.unplanned(first)
    assert found is not None
    assert found.number == 3
    assert ladder.unplanned(last) is None


rungs = st.builds(
    Rung, st.sampled_from([PLANNED, NEAREST, DIRECT]), st.integers(1, 5), st.integers(1, 60),
    st.integers(1, 9000), st.integers(1, 9),
)  # fmt: skip


@given(st.lists(rungs, min_size=1, max_size=8).map(tuple))
def test_each_rung_is_stood_on_as_often_as_it_says(made: tuple[Rung, ...]) -> None:
    ladder = OfferLadder(made)
    numbers: list[int] = []
    while (place := ladder.at(len(numbers))) is not None:
        numbers.append(place.number)
    assert numbers == [n for n, rung in enumerate(made, 1) for _ in range(rung.times or 0)]
