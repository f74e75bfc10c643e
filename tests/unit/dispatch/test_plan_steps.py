"""Steps of planners in a process of their own."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from concurrent.futures import BrokenExecutor
from contextlib import closing

import pytest

from dispatch.domain.planning import PlanDriver, PlanOrder, PlanState, Spot
from dispatch.plan_steps import ORDERS_AT_ONCE, PlanSteps, step
from dispatch.zone_plan import ZonePlanSettings

SETTINGS = ZonePlanSettings()


def state(orders: int) -> PlanState:
    store = Spot(0.0, 0.0)
    return PlanState(
        tuple(PlanOrder(n, 1, 1, store, Spot(100.0 * n, 500.0), 0.0, 0.0) for n in range(1, orders + 1)),
        tuple(PlanDriver(n, Spot(0.0, 10.0 * n), 0.0, 1e6) for n in range(1, 4)),
    )


@pytest.fixture
async def steps() -> AsyncIterator[PlanSteps]:
    with closing(PlanSteps()) as steps:
        yield steps


async def test_process_answers_as_the_function_does(steps: PlanSteps) -> None:
    large = state(ORDERS_AT_ONCE + 3)
    before = children()
    assert await steps.step(large, 10.0, 7, SETTINGS) == step(large, 10.0, 7, SETTINGS)
    assert len(set(children()) - set(before)) == 1


async def test_small_step_needs_no_process(steps: PlanSteps) -> None:
    small, before = state(ORDERS_AT_ONCE), children()
    assert await steps.step(small, 10.0, 7, SETTINGS) == step(small, 10.0, 7, SETTINGS)
    assert set(children()) <= set(before)


async def test_process_that_was_killed_fails_one_step_and_is_made_anew(steps: PlanSteps) -> None:
    large = state(ORDERS_AT_ONCE + 3)
    before = children()
    await steps.step(large, 10.0, 7, SETTINGS)
    [process] = set(children()) - set(before)
    os.kill(process, signal.SIGKILL)
    with pytest.raises(BrokenExecutor):
        await asyncio.gather(*(steps.step(large, 10.0, 7, SETTINGS) for _ in range(2)))
    assert await steps.step(large, 10.0, 7, SETTINGS) == step(large, 10.0, 7, SETTINGS)


async def test_steps_are_counted_with_their_time_and_those_that_gave_no_plan_with_the_reason() -> None:
    took_s: list[float] = []
    failed: list[str] = []
    large, small = state(ORDERS_AT_ONCE + 3), state(1)
    with closing(PlanSteps(took=took_s.append, failed=failed.append)) as steps:
        before = children()
        for of in (large, small):
            await steps.step(of, 10.0, 7, SETTINGS)
        assert (len(took_s), failed) == (2, [])
        assert min(took_s) > 0
        [process] = set(children()) - set(before)
        os.kill(process, signal.SIGKILL)
        with pytest.raises(BrokenExecutor):
            await steps.step(large, 10.0, 7, SETTINGS)
        with pytest.raises(AttributeError):
            await steps.step(small, 10.0, 7, None)  # type: ignore[arg-type]
    assert (len(took_s), failed) == (2, ["died", "error"])


async def test_process_does_not_import_the_program_that_started_it(steps: PlanSteps) -> None:
    before = children()
    await steps.step(state(ORDERS_AT_ONCE + 3), 10.0, 7, SETTINGS)
    [process] = set(children()) - set(before)
    with open(f"/proc/{process}/maps") as maps:  # noqa: ASYNC230 - a pseudo file
        assert "aiohttp" not in maps.read()


def children() -> list[int]:
    """Processes of the planner that this process has started."""
    found = []
    for name in os.listdir("/proc"):
        try:
            with open(f"/proc/{name}/stat") as stat, open(f"/proc/{name}/cmdline") as line:
                if (
                    int(stat.read().rpartition(") ")[2].split()[1]) == os.getpid()
                    and "spawn_main" in line.read()
                ):
                    found.append(int(name))
        except (OSError, ValueError):
            continue
    return found
