"""Makes decisions of the planner again, from the stored inputs of their steps, and compares the answers."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import closing, suppress
from typing import Any, Literal

from actors.values import frozen
from dispatch.decision_story import DecisionQueries, ToldDecision, tell
from dispatch.domain.planning import PlanResult, PlanState
from dispatch.plan_steps import PlanSteps
from dispatch.step_inputs import StepInput, UnreadableStep, planner_version, unpack
from dispatch.zone_plan import ZonePlan, ZonePlanSettings
from dispatch.zone_planning import plan_reasons

Step = Callable[[PlanState, float, int, ZonePlanSettings], Awaitable[PlanResult]]
# not_stored: the step is not there (any more); unreadable: it has another form; skipped: there were too many decisions,
# or it took too long.
Outcome = Literal["same", "different", "not_stored", "unreadable", "skipped"]
OUTCOMES: Sequence[Outcome] = ("same", "different", "not_stored", "unreadable", "skipped")
# Steps that one question makes again; each may take seconds.
REPLAYS_MAX = 10
# Differences that are named; a plan of its own differs everywhere.
DIFFERENCES_MAX = 20
# For all steps of a question; requests have a deadline.
REPLAY_S = 8.0
# What depends on the step's surroundings and not on its input.
_CIRCUMSTANCES = ("asked_ms", "at_ms")


@frozen
class ReplayDifference:
    """A part of the reasons that came out otherwise; None: it is not there."""

    part: str
    stored: Any
    replayed: Any

    def sentence(self) -> str:
        """In words."""
        return f"{self.part} was {self.stored} and is {self.replayed}"


@frozen
class DecisionReplay:
    """What came out when a decision was made again.

    Attributes:
        planner: version of the planner that has decided; None if that is not known.
        own: version of the planner that has made it again.
    """

    outcome: Outcome
    planner: str | None = None
    own: str | None = None
    differences: tuple[ReplayDifference, ...] = ()

    def sentence(self) -> str:
        """In words."""
        match self.outcome:
            case "not_stored":
                return "Not made again: the input of its step is not stored."
            case "unreadable":
                return f"Not made again: version {self.planner} has stored the input in a form of its own."
            case "skipped":
                return "Not made again: there were too many decisions, or it took too long."
            case "same":
                return f"Made again{self._by()}: the same answer."
            case "different":
                named = "; ".join(each.sentence() for each in self.differences)
                return f"Made again{self._by()}: another answer: {named}."

    def _by(self) -> str:
        if self.planner == self.own:
            return ""
        return f" by version {self.own} of the planner (it was {self.planner})"


@frozen
class ReplayedDecision:
    """An event of an order's history, told, and made again if it was planned.

    Attributes:
        version, type: of the event.
        plan: the reasons; None if it was not planned.
        replay: None if it was not planned, or no replay was asked for.
    """

    version: int
    type: str
    told: ToldDecision
    plan: Mapping[str, Any] | None = None
    replay: DecisionReplay | None = None

    def line(self) -> str:
        """One line of text."""
        return self.told.line() if self.replay is None else f"{self.told.line()} {self.replay.sentence()}"


async def decisions_of(
    queries: DecisionQueries, order: int, step: Step | None = None, replays_max: int = REPLAYS_MAX
) -> list[ReplayedDecision]:
    """The story of an order; empty if there is no such order. With `step`, its newest decisions are made again.

    Those that are left when a step raises TimeoutError are skipped.

    Raises:
        StorageError: the database is away.
    """
    rows = await queries.rows("order_story", order)
    planned = {row["version"]: row["data"]["plan"] for row in rows if "plan" in (row["data"] or {})}
    replays: dict[int, DecisionReplay] = {}
    if step is not None and planned:
        newest = sorted(planned)[-replays_max:]
        replays = dict.fromkeys(planned, DecisionReplay("skipped"))
        stored = await _stored(queries, rows[0]["zone_id"], [planned[version] for version in newest])
        with suppress(TimeoutError):
            for version in reversed(newest):
                reasons = planned[version]
                replays[version] = await replayed(order, reasons, stored.get(_name(reasons)), step)
    return [
        ReplayedDecision(
            row["version"], row["type"], told, planned.get(row["version"]), replays.get(row["version"])
        )
        for row, told in zip(rows, tell(rows), strict=True)
    ]


@frozen
class StoredStep:
    """A stored input, as it was written, and the version of the planner that has answered it."""

    zone_id: int
    asked_ms: int
    planner: str
    packed: bytes

    def input(self) -> StepInput:
        """The input.

        Raises:
            UnreadableStep: another version has written it.
        """
        return unpack(self.zone_id, self.asked_ms, self.packed)


def _name(reasons: Mapping[str, Any]) -> tuple[int, int]:
    """What names the step of these reasons in its zone. Reasons of older versions name none."""
    return reasons.get("asked_ms", 0), reasons["number"]


async def _stored(
    queries: DecisionQueries, zone_id: int, plans: Sequence[Mapping[str, Any]]
) -> dict[tuple[int, int], StoredStep]:
    names = [_name(reasons) for reasons in plans]
    rows = await queries.rows(
        "plan_steps_of", zone_id, [asked_ms for asked_ms, _ in names], [number for _, number in names]
    )
    return {
        (row["asked_ms"], row["number"]): StoredStep(zone_id, row["asked_ms"], row["planner"], row["input"])
        for row in rows
    }


async def replayed(
    order: int, reasons: Mapping[str, Any], stored: StoredStep | None, step: Step
) -> DecisionReplay:
    """Make a decision again, from the stored input of its step.

    Raises:
        TimeoutError: the step takes too long.
    """
    if stored is None:
        return DecisionReplay("not_stored")
    try:
        told = stored.input()
    except UnreadableStep:
        return DecisionReplay("unreadable", stored.planner, planner_version())
    result = await step(told.state, told.now_s, told.seed, told.settings)
    found = tuple(_differences(reasons, _reasons_now(order, told, result)))[:DIFFERENCES_MAX]
    return DecisionReplay("different" if found else "same", stored.planner, planner_version(), found)


def _reasons_now(order: int, told: StepInput, result: PlanResult) -> Mapping[str, Any]:
    """The reasons of the trip with this order; empty if it is not proposed."""
    for proposal in result.proposals:
        if order in proposal.order_ids:
            return plan_reasons(ZonePlan(told.settings), proposal)
    return {}


def _differences(stored: Mapping[str, Any], now: Mapping[str, Any]) -> Iterator[ReplayDifference]:
    if not now:
        yield ReplayDifference("proposal", f"to {stored['chosen']['driver_id']}", "not made")
        return
    before, after = dict(_parts(stored)), dict(_parts(now))
    for part in sorted(before.keys() | after.keys()):
        if part not in _CIRCUMSTANCES and before.get(part) != after.get(part):
            yield ReplayDifference(part, before.get(part), after.get(part))


def _parts(value: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Each part by its path; parts of the next best ones by their rank."""
    for name, part in value.items():
        if isinstance(part, Mapping):
            yield from _parts(part, f"{prefix}{name}.")
        elif name == "next_best":
            for rank, candidate in enumerate(part, 1):
                yield from _parts(candidate, f"{prefix}{name}.{rank}.")
        else:
            yield f"{prefix}{name}", part


class DecisionReplays:
    """Decisions for requests: one request at a time makes steps again, in a process of its own that ends with it."""

    def __init__(self, queries: DecisionQueries, steps: Callable[[], PlanSteps] = PlanSteps) -> None:
        self._queries = queries
        self._steps = steps
        self._turn = asyncio.Lock()

    async def decisions(self, order: int, *, replay: bool) -> list[ReplayedDecision]:
        """The story of an order, as `decisions_of` tells it.

        Raises:
            StorageError: the database is away.
        """
        if not replay:
            return await decisions_of(self._queries, order)
        async with self._turn:
            until = asyncio.get_running_loop().time() + REPLAY_S
            with closing(self._steps()) as steps:

                async def step(
                    state: PlanState, now_s: float, seed: int, settings: ZonePlanSettings
                ) -> PlanResult:
                    async with asyncio.timeout_at(until):
                        return await steps.step(state, now_s, seed, settings)

                return await decisions_of(self._queries, order, step)
