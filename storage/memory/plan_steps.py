"""Inputs of the planner's steps in memory: the same named queries and answers as Postgres."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(slots=True)
class MemoryPlanStep:
    """A row of `plan_steps`; `at_s` is a time in seconds."""

    zone_id: int
    asked_ms: int
    number: int
    planner: str
    input: bytes
    at_s: float


class MemoryPlanSteps:
    """Stored steps. `now_s` is the clock of the database."""

    def __init__(self, now_s: Callable[[], float]) -> None:
        self.steps: dict[tuple[int, int, int], MemoryPlanStep] = {}
        self._now_s = now_s

    async def rows(self, name: str, *args: Any) -> list[Any]:
        """All rows of a statement of `sql/decisions.sql`."""
        if name == "save_plan_steps":
            return self._save(*args)
        assert name == "plan_steps_of", name
        return self._of(*args)

    async def value(self, name: str, *args: Any) -> Any:
        """The first column of the first row."""
        assert name == "trim_plan_steps", name
        return self._trim(*args)

    def _save(
        self,
        zones: Sequence[int],
        asked: Sequence[int],
        numbers: Sequence[int],
        planner: str,
        inputs: Sequence[bytes],
    ) -> list[Any]:
        for key in zip(zones, asked, numbers, inputs, strict=True):
            self.steps.setdefault(key[:3], MemoryPlanStep(*key[:3], planner, key[3], self._now_s()))
        return []

    def _of(self, zone_id: int, asked: Sequence[int], numbers: Sequence[int]) -> list[Any]:
        found = (self.steps.get((zone_id, *pair)) for pair in {*zip(asked, numbers, strict=True)})
        return [
            {"asked_ms": step.asked_ms, "number": step.number, "planner": step.planner, "input": step.input}
            for step in found
            if step is not None
        ]

    def _trim(self, hours: int, zone_bytes: int, limit: int) -> int:
        until_s = self._now_s() - hours * 3600
        old = [key for key, step in self.steps.items() if step.at_s < until_s][:limit]
        beyond, held = list[tuple[int, int, int]](), defaultdict[int, int](int)
        for key in sorted(self.steps, reverse=True):
            held[key[0]] += len(self.steps[key].input)
            if held[key[0]] > zone_bytes:
                beyond.append(key)
        gone = {*old, *beyond[:limit]}
        for key in gone:
            del self.steps[key]
        return len(gone)
