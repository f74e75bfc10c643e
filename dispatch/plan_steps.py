"""Computes the steps of zones' planners: small ones at once, others in a process of their own.

A large step takes longer than the loop may be kept. A thread would share the interpreter with the loop. The planner is
plain Python, or the same compiled, where that is installed (compiled_planner.py).
"""

from __future__ import annotations

import asyncio
import gc
import multiprocessing
import os
import signal
import sys
import threading
from collections.abc import Callable
from concurrent.futures import BrokenExecutor, Executor, ProcessPoolExecutor
from multiprocessing import connection
from time import perf_counter

from dispatch.compiled_planner import compiled_planner
from dispatch.domain.planning import PlanResult, PlanState, plan, plan_pooled
from dispatch.zone_plan import ZonePlanSettings

# A step over at most so many orders and drivers takes less than 5 ms (loadtests/README.md).
ORDERS_AT_ONCE, DRIVERS_AT_ONCE = 2, 30
LIMIT_S = 10.0
# Why a step gave no plan: it took too long, its process has died, it raised an error.
FAILURES = ("timeout", "died", "error")


def step(state: PlanState, now_s: float, seed: int, settings: ZonePlanSettings) -> PlanResult:
    """One step of the planner."""
    pooling = settings.of_pooling()
    if pooling is not None:
        return plan_pooled(state, now_s, seed, settings.of_planner(), pooling)
    make = compiled_planner() or plan
    return make(state, now_s, seed, settings.of_planner())


async def step_at_once(state: PlanState, now_s: float, seed: int, settings: ZonePlanSettings) -> PlanResult:
    """One step, whatever its size: for simulations."""
    return step(state, now_s, seed, settings)


def _uncounted(_: object) -> None:
    """Ignore the call."""


class PlanSteps:
    """The steps of one instance. Close it with `close()`.

    Args:
        took: called after each step with its seconds.
        failed: called when a step gave no plan, with the reason: one of `FAILURES`.
    """

    def __init__(
        self,
        executor: Callable[[], Executor] | None = None,
        took: Callable[[float], None] = _uncounted,
        failed: Callable[[str], None] = _uncounted,
    ) -> None:
        self._make = executor or _process
        self._executor: Executor | None = None
        self._took = took
        self._failed = failed

    async def step(self, state: PlanState, now_s: float, seed: int, settings: ZonePlanSettings) -> PlanResult:
        """One step.

        Raises:
            TimeoutError: it takes too long.
            BrokenExecutor: its process has died; the next step gets a new one.
        """
        began = perf_counter()
        try:
            result = await self._compute(state, now_s, seed, settings)
        except TimeoutError:
            self._failed("timeout")
            self.close()
            raise
        except BrokenExecutor:
            self._failed("died")
            self.close()
            raise
        except Exception:
            self._failed("error")
            raise
        self._took(perf_counter() - began)
        return result

    async def _compute(
        self, state: PlanState, now_s: float, seed: int, settings: ZonePlanSettings
    ) -> PlanResult:
        if len(state.orders) <= ORDERS_AT_ONCE and len(state.drivers) <= DRIVERS_AT_ONCE:
            return step(state, now_s, seed, settings)
        if self._executor is None:
            self._executor = self._make()
        loop = asyncio.get_running_loop()
        async with asyncio.timeout(LIMIT_S):
            return await loop.run_in_executor(self._executor, step, state, now_s, seed, settings)

    def close(self) -> None:
        """End the process."""
        if self._executor is not None:
            self._executor.shutdown(wait=False, cancel_futures=True)
            self._executor = None


def _process() -> Executor:
    # A fork would copy sockets, locks and threads of the server.
    context = multiprocessing.get_context("spawn")
    executor = ProcessPoolExecutor(1, mp_context=context, initializer=_depend)
    # A spawned process imports the main module again, which is the whole server: three times the memory. It starts with
    # the first work, and finds the main module by this name.
    main = sys.modules["__main__"].__dict__
    path = main.pop("__file__", None)
    try:
        executor.submit(_nothing)
    finally:
        if path is not None:
            main["__file__"] = path
    return executor


def _nothing() -> None:
    """Work that only starts the process."""


def _depend() -> None:
    """Live as long as the server: Ctrl-C goes to all processes of a terminal, and a kill to the server alone."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    spare_collections()
    threading.Thread(target=_end_with_parent, daemon=True).start()


def spare_collections() -> None:
    """Collect garbage rarely: a step frees what it made by itself, and a collection would look at all of it in vain."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(100_000, 20, 20)


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        connection.wait([parent.sentinel])
        os._exit(0)
