"""The compact form of a step's input: what is read back is what was written."""

from __future__ import annotations

import zlib
from dataclasses import fields
from random import Random
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dispatch.domain.planning import (
    AssignedOrder,
    DemandPoint,
    PlanDriver,
    PlannedRoute,
    PlanOrder,
    PlanState,
    RecentDoor,
    SiteDemand,
    Spot,
)
from dispatch.step_inputs import (
    UNPACKED_BYTES_MAX,
    StepInput,
    UnreadableStep,
    pack,
    planner_version,
    unpack,
)
from dispatch.zone_plan import ZonePlanSettings
from tests.unit.dispatch.planning_worlds import world

numbers = st.integers(1, 2**52)
reals = st.floats(-1e13, 1e13, allow_nan=False)
spots = st.builds(Spot, reals, reals)


def whole(kind: type, **members: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """Values with all members drawn: one that is added later must be named here, or it could be lost unseen."""
    assert members.keys() == {each.name for each in fields(kind)}
    return st.builds(kind, **members)


orders = whole(
    PlanOrder, id=numbers, site_id=numbers, store_id=numbers, pickup=spots, dropoff=spots, placed_s=reals,
    ready_s=reals, promise_s=st.none() | reals, units=st.integers(1, 100),
    declined_by=st.frozensets(numbers, max_size=4),
    ready_spread_s=reals,
)  # fmt: skip
drivers = whole(
    PlanDriver, id=numbers, spot=spots, free_s=reals, shift_end_s=reals, slots=st.integers(0, 20),
    capacity_units=st.integers(0, 1000), lead_s=st.none() | reals, rank=st.integers(0, 1 << 62), asked_from_s=reals,
    fair_s=reals,
)  # fmt: skip
assigned = whole(AssignedOrder, order=orders, driver_id=numbers, door_s=reals, picked_up=st.booleans())
routes = st.builds(
    PlannedRoute, numbers, st.lists(st.lists(numbers, max_size=3).map(tuple), max_size=3).map(tuple)
)


def several(each: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.lists(each, max_size=5).map(tuple)


points = st.builds(DemandPoint, spots, reals)
sites = st.builds(SiteDemand, numbers, reals, several(st.builds(RecentDoor, numbers, spots, reals)))
states = whole(
    PlanState, orders=several(orders), drivers=several(drivers), before=several(routes), demand=several(points),
    number=numbers, assigned=several(assigned), recent=several(sites),
)  # fmt: skip
settings = st.builds(
    ZonePlanSettings,
    speed_m_per_s=st.floats(0.1, 50),
    travel_round_s=st.sampled_from([0, 60]),
    lead_s=st.floats(0, 60),
    pooling=st.booleans(),
    site_radius_m=st.integers(0, 5000),
)


@given(states, reals, numbers, settings)
def test_input_that_is_read_back_is_the_one_that_was_written(
    state: PlanState, now_s: float, seed: int, chosen: ZonePlanSettings
) -> None:
    told = StepInput(1, 1_790_000_000_000, state, now_s, seed, chosen)
    assert unpack(1, told.asked_ms, pack(told)) == told


def town() -> StepInput:
    return StepInput(1, 5000, world(3, 6, 4), 6000.0, 9, ZonePlanSettings())


def again(**changes: Any) -> bytes:
    return zlib.compress(orjson.dumps(orjson.loads(zlib.decompress(pack(town()))) | changes))


@pytest.mark.parametrize(
    "packed",
    [
        b"", b"no", pack(town())[:-7], zlib.compress(b"[]"), zlib.compress(b"nothing"), again(form=0), again(form=2),
        again(orders=[[1]]), again(drivers=None), again(settings=7),
        zlib.compress(b" " * (UNPACKED_BYTES_MAX + 1)),
    ],
)  # fmt: skip
def test_damaged_or_foreign_input_is_refused(packed: bytes) -> None:
    with pytest.raises(UnreadableStep):
        unpack(1, 5000, packed)


def test_settings_of_another_version_are_read_as_far_as_they_are_known() -> None:
    told = unpack(1, 5000, again(settings={"speed_m_per_s": 3.5, "of_tomorrow": 1}))
    assert told.settings == ZonePlanSettings(speed_m_per_s=3.5)


def test_input_that_does_not_shrink_is_still_read() -> None:
    chance = Random(5)
    driver = PlanDriver(7, Spot(chance.random(), chance.random()), chance.random(), chance.random())
    told = StepInput(1, 5000, PlanState((), (driver,)), 1.5, 2, ZonePlanSettings())
    assert unpack(1, 5000, pack(told)) == told


def test_version_of_the_planner_is_short_and_stays_within_a_process() -> None:
    assert len(planner_version()) == 16
    assert planner_version() == planner_version()
