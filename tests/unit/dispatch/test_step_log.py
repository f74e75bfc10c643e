"""Steps are stored behind the zones' backs: whatever happens to them, nobody waits."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any

import pytest

from dispatch import step_log
from dispatch.domain.planning import PlanDriver, PlanState, Spot
from dispatch.step_inputs import StepInput, planner_version, unpack
from dispatch.step_log import ROWS_MAX, WAITING_MAX, StepLog
from dispatch.zone_plan import ZonePlanSettings
from storage.errors import Unreachable
from storage.memory.plan_steps import MemoryPlanSteps


def step(number: int, zone_id: int = 1) -> StepInput:
    state = PlanState((), (PlanDriver(number, Spot(0.5, 1.5), 0.0, 9.0),), number=number)
    return StepInput(zone_id, 1000 * number, state, float(number), number, ZonePlanSettings())


class Rows(MemoryPlanSteps):
    """A database that can be away, or hang."""

    def __init__(self) -> None:
        super().__init__(lambda: 0.0)
        self.statements: list[int] = []
        self.away = False
        self.hangs = asyncio.Event()
        self.hangs.set()

    async def rows(self, name: str, *args: Any) -> list[Any]:
        self.statements.append(len(args[0]))
        await self.hangs.wait()
        if self.away:
            raise Unreachable("away")
        return await super().rows(name, *args)


class World:
    def __init__(self) -> None:
        self.rows = Rows()
        self.sizes: list[int] = []
        self.drops: list[tuple[str, int]] = []
        self.log = StepLog(self.rows, self.sizes.extend, lambda *drop: self.drops.append(drop))

    @property
    def stored(self) -> list[int]:
        return sorted(number for _, _, number in self.rows.steps)


async def test_noted_steps_are_stored_together_with_the_version_of_the_planner() -> None:
    world = World()
    world.log.note(step(1))
    world.log.note(step(2, zone_id=7))
    await world.log.save()
    assert world.rows.statements == [2]
    row = world.rows.steps[7, 2000, 2]
    assert row.planner == planner_version()
    assert unpack(7, 2000, row.input) == step(2, zone_id=7)
    assert world.sizes == [len(each.input) for each in world.rows.steps.values()]


async def test_statement_has_a_bounded_number_of_rows() -> None:
    world = World()
    for number in range(ROWS_MAX + 3):
        world.log.note(step(number))
    await world.log.save()
    assert world.rows.statements == [ROWS_MAX, 3]


async def test_steps_beyond_the_room_are_dropped_and_counted() -> None:
    world = World()
    for number in range(WAITING_MAX + 2):
        world.log.note(step(number))
    assert world.drops == [("full", 1)] * 2
    await world.log.save()
    assert world.stored == list(range(WAITING_MAX))
    world.log.note(step(900))
    await world.log.save()
    assert 900 in world.stored


async def test_step_that_is_too_large_is_dropped_and_the_others_are_stored(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    world = World()
    drivers = tuple(PlanDriver(n, Spot(n / 7, n / 3), 0.0, 9.0) for n in range(100))
    monkeypatch.setattr(step_log, "PACKED_BYTES_MAX", 500)
    world.log.note(replace(step(1), state=PlanState((), drivers, number=1)))
    world.log.note(step(2))
    await world.log.save()
    assert (world.stored, world.drops) == ([2], [("large", 1)])


async def test_database_that_is_away_costs_the_steps_of_one_statement() -> None:
    world = World()
    for number in range(ROWS_MAX + 1):
        world.log.note(step(number))
    world.rows.away = True
    with pytest.raises(Unreachable):
        await world.log.save()
    assert world.drops == [("failed", ROWS_MAX)]
    world.rows.away = False
    await world.log.save()
    assert world.stored == [ROWS_MAX]


async def test_steps_are_noted_while_the_database_hangs_and_the_end_does_not_wait_for_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    world = World()
    world.rows.hangs.clear()
    world.log.note(step(1))
    monkeypatch.setattr(step_log, "LAST_SAVE_S", 0.01)
    await world.log.close()
    world.log.note(step(2))
    world.rows.hangs.set()
    await world.log.close()
    assert world.stored == [2]
