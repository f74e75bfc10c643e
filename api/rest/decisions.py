"""Decisions of dispatch about an order, for operators: why, and whether they would be the same again."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, NotRequired

from aiohttp import web
from pydantic import Field, WithJsonSchema

# pydantic rejects TypedDict from `typing` before Python 3.12.
from typing_extensions import TypedDict

from api import json_schema as s
from api.auth.permissions import READS
from api.contract.fields import Strict
from api.contract.problems import Problem
from api.http.operation import Operation, Operations
from api.http.pagination import Truth
from api.http.request import RequestContext, json_response
from api.rest.answers import HISTORY_ROWS_MAX, DriverId, EventType, Moment, OrderId, Text, Whole
from api.rest.serializers import time_of, timestamp
from dispatch.decision_replay import (
    DIFFERENCES_MAX,
    OUTCOMES,
    REPLAYS_MAX,
    DecisionReplay,
    ReplayedDecision,
)
from dispatch.domain import ids
from dispatch.step_inputs import VERSION_LENGTH

operations = Operations(Operation)

PlannerVersion = Annotated[str, WithJsonSchema(s.text(VERSION_LENGTH, "^[0-9a-f]+$"))]
# A trip of more orders than a zone's settings allow does not come about.
PLAN_ORDERS_MAX = 20
TEXT_LENGTH_MAX = 500
Sentence = Annotated[str, WithJsonSchema(s.text(4000))]
CostSeconds = Annotated[int, WithJsonSchema(s.whole(-10_000_000, 10_000_000))]


class DecisionQuery(Strict):
    """Query of the decisions."""

    replay: Truth = False


class DifferenceShown(TypedDict):
    """A part of the reasons that came out otherwise."""

    part: Annotated[str, WithJsonSchema(s.text(60, "^[a-z_0-9.]+$"))]
    stored: Text | None
    replayed: Text | None


class ReplayShown(TypedDict):
    """What came out when a decision was made again."""

    outcome: Annotated[
        str,
        WithJsonSchema(s.one_of(*OUTCOMES)),
        Field(
            description="`not_stored`: the input of its step is not there (any more). `unreadable`: another version of "
            "this program has stored it. `skipped`: there were too many, or it took too long."
        ),
    ]
    planner: Annotated[PlannerVersion | None, Field(description="The planner that has decided.")]
    own_planner: Annotated[PlannerVersion | None, Field(description="The planner that has made it again.")]
    differences: Annotated[list[DifferenceShown], Field(max_length=DIFFERENCES_MAX)]


class PlanStopShown(TypedDict):
    """A stop of the trip."""

    kind: Annotated[str, WithJsonSchema(s.one_of("pickup", "dropoff"))]
    at: Moment


class CandidateShown(TypedDict):
    """A driver who could do the trip, and the parts of what it costs. The planner minimises the sum of all trips."""

    driver_id: DriverId
    pickup_at: Moment
    door_s: CostSeconds
    driving_s: CostSeconds
    late_s: CostSeconds
    position_s: CostSeconds


class PlanShown(TypedDict):
    """Reasons of the planner."""

    number: Whole
    seed: Whole
    asked_at: Moment | None
    at: Moment
    orders: Annotated[list[OrderId], Field(max_length=PLAN_ORDERS_MAX)]
    latest_start: Annotated[
        Moment, Field(description="The driver may set out until then without delaying it.")
    ]
    stops: Annotated[list[PlanStopShown], Field(max_length=2 * PLAN_ORDERS_MAX)]
    chosen: CandidateShown
    next_best: Annotated[list[CandidateShown], Field(max_length=2)]


class DecisionShown(TypedDict):
    """An event of the order's history."""

    version: Whole
    type: EventType
    at: Moment
    sentences: Annotated[list[Sentence], Field(max_length=10)]
    plan: Annotated[PlanShown | None, Field(description="Null where the planner did not decide.")]
    replay: NotRequired[ReplayShown | None]


class DecisionsAnswer(TypedDict):
    order_id: OrderId
    items: Annotated[list[DecisionShown], Field(max_length=HISTORY_ROWS_MAX)]


@operations.declare(
    "orders.decisions",
    "GET",
    "/api/v2/orders/{id}/decisions",
    scope="orders:operate",
    limit=READS,
    summary="Why an order was offered to whom, in sentences, and whether it would be so again",
    note=f"With `replay=true` the newest {REPLAYS_MAX} decisions of the planner are made again from the stored inputs "
    "of their steps. The same planner gives the same answer; where another version gives another one, `differences` "
    "name what came out otherwise. Inputs are kept for `MALL_PLAN_STEPS_HOURS`.",
    query=DecisionQuery,
    answer=DecisionsAnswer,
    problems=("order_not_found",),
)
async def decisions(context: RequestContext) -> web.Response:
    """The story of an order's search for a driver."""
    number, replay = context.number(ids.ORDER), context.query(DecisionQuery).replay
    found = await context.services.replays.decisions(number, replay=replay)
    if not found:
        raise Problem("order_not_found")
    shown: DecisionsAnswer = {
        "order_id": ids.public_id(ids.ORDER, number),
        "items": [_shown(each, replay=replay) for each in found],
    }
    return json_response(shown)


def _shown(decision: ReplayedDecision, *, replay: bool) -> DecisionShown:
    shown: DecisionShown = {
        "version": decision.version,
        "type": decision.type,
        "at": timestamp(decision.told.at),
        "sentences": list(decision.told.sentences),
        "plan": None if decision.plan is None else _plan(decision.plan),
    }
    if replay:
        shown["replay"] = None if decision.replay is None else _replay(decision.replay)
    return shown


def _plan(plan: Mapping[str, Any]) -> PlanShown:
    return {
        "number": plan["number"],
        "seed": plan["seed"],
        "asked_at": time_of(plan["asked_ms"]) if "asked_ms" in plan else None,
        "at": time_of(plan["at_ms"]),
        "orders": plan["orders"],
        "latest_start": time_of(plan["latest_start_ms"]),
        "stops": [{"kind": kind, "at": time_of(at_ms)} for kind, at_ms in plan["stops"]],
        "chosen": _candidate(plan["chosen"]),
        "next_best": [_candidate(each) for each in plan["next_best"]],
    }


def _candidate(found: Mapping[str, Any]) -> CandidateShown:
    return {
        "driver_id": found["driver_id"],
        "pickup_at": time_of(found["pickup_ms"]),
        "door_s": found["door_s"],
        "driving_s": found["driving_s"],
        "late_s": found["late_s"],
        "position_s": found["position_s"],
    }


def _text(value: object) -> str | None:
    return None if value is None else str(value)[:TEXT_LENGTH_MAX]


def _replay(replay: DecisionReplay) -> ReplayShown:
    return {
        "outcome": replay.outcome,
        "planner": replay.planner,
        "own_planner": replay.own,
        "differences": [
            {"part": each.part, "stored": _text(each.stored), "replayed": _text(each.replayed)}
            for each in replay.differences
        ],
    }
