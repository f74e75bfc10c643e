"""Types of the answers about jobs, and the rows as these answers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import Field, WithJsonSchema

# pydantic rejects TypedDict from `typing` before Python 3.12.
from typing_extensions import TypedDict

from actors.tracing import trace_id
from api import json_schema as s
from api.rest.answers import (
    PAGE_ROWS_MAX,
    Code,
    Cursor,
    JobId,
    JobName,
    Moment,
    OrderId,
    Text,
    TraceId,
    Truth,
    Whole,
)
from api.rest.serializers import time_of
from dispatch.domain import ids
from dispatch.domain.ids import public_id
from dispatch.jobs.control import STATES

NAMES_MAX = 1000
ACTION_JOBS_MAX = 100

JobState = Annotated[str, WithJsonSchema(s.one_of(*STATES, "done", "discarded"))]
Seconds = Annotated[float, WithJsonSchema(s.REAL)]


class JobKnown(TypedDict):
    """Members of a job in a list and alone."""

    id: JobId
    task: JobName
    state: JobState
    key: Text | None
    order_id: OrderId | None
    trace_id: TraceId | None
    attempts: Whole
    failures: Whole | None
    deaths: Whole | None
    error: Text | None
    worker: Text | None
    created_at: Moment | None
    due_at: Moment | None
    begun_at: Moment | None
    died_at: Moment | None


class JobRowAnswer(JobKnown):
    """A job in a list."""


class JobRunShown(TypedDict):
    """How an attempt ended. Of a discarded job `worker` is the person who did it."""

    attempt: Whole
    outcome: Annotated[
        str, WithJsonSchema(s.one_of("done", "retry", "dead", "released", "snoozed", "discarded"))
    ]
    worker: Text
    at: Moment
    took_ms: Whole | None
    error: Text | None


class JobActionShown(TypedDict):
    action: Code
    by: Text
    at: Moment


class JobLinksShown(TypedDict):
    """Paths of what the job is about: its order, and all jobs with its trace id."""

    order: Annotated[str, WithJsonSchema(s.text(60))] | None
    trace: Annotated[str, WithJsonSchema(s.text(80))] | None


class JobAnswer(JobKnown):
    behind: Annotated[JobId | None, Field(description="The job of the same key that it waits for.")]
    payload: Annotated[
        Mapping[str, Any] | None, WithJsonSchema({"type": ["object", "null"], "maxProperties": 100})
    ]
    runs: Annotated[list[JobRunShown], Field(max_length=100)]
    actions: Annotated[list[JobActionShown], Field(max_length=20)]
    links: JobLinksShown


class JobRowsAnswer(TypedDict):
    items: Annotated[list[JobRowAnswer], Field(max_length=PAGE_ROWS_MAX)]
    next: Cursor | None


class JobCountAnswer(TypedDict):
    """`more`: there are others beyond `count`, which one call does not change; `done`: they were changed."""

    action: Annotated[str, WithJsonSchema(s.one_of("retry", "discard"))]
    count: Whole
    more: Truth
    done: Truth


class JobActionAnswer(TypedDict):
    """`by` is a user, or `cli:` and the name of a host's user. `jobs` are the first ones of `count`."""

    at: Moment
    by: Text
    action: Code
    count: Whole
    jobs: Annotated[list[JobId], Field(max_length=ACTION_JOBS_MAX)]
    task: JobName | None
    schedule: JobName | None


class JobActionsAnswer(TypedDict):
    items: Annotated[list[JobActionAnswer], Field(max_length=PAGE_ROWS_MAX)]
    next: Cursor | None


class PauseAnswer(TypedDict):
    by: Text
    reason: Text | None
    at: Moment


class RecentShown(TypedDict):
    """Attempts of the last seconds, an hour unless there are very many."""

    window_s: Whole
    attempts: Whole
    failures: Whole
    p50_ms: Whole | None
    p95_ms: Whole | None


class JobTaskAnswer(TypedDict):
    name: JobName
    waiting: Whole
    running: Whole
    scheduled: Whole
    dead: Whole
    oldest_s: Annotated[Seconds | None, Field(description="How long the longest job has waited.")]
    paused: PauseAnswer | None
    recent: RecentShown


class JobTasksAnswer(TypedDict):
    items: Annotated[list[JobTaskAnswer], Field(max_length=NAMES_MAX)]


class JobScheduleAnswer(TypedDict):
    name: JobName
    task: JobName
    every_s: Whole | None
    daily_at: Annotated[str, WithJsonSchema(s.text(5, "^[0-9]{2}:[0-9]{2}$"))] | None
    next_at: Annotated[Moment | None, Field(description="`null` while it is paused.")]
    last_at: Moment | None
    paused: Truth


class JobSchedulesAnswer(TypedDict):
    items: Annotated[list[JobScheduleAnswer], Field(max_length=NAMES_MAX)]


def _time(ms: int | None) -> str | None:
    return None if ms is None else time_of(ms)


def _order_of(payload: Mapping[str, Any] | None) -> str | None:
    """The order that a payload names, by number or by public id."""
    named = (payload or {}).get("order_id")
    if isinstance(named, int):
        return public_id(ids.ORDER, named)
    return named if isinstance(named, str) and ids.parse_id(ids.ORDER, named) is not None else None


def job_row(row: Mapping[str, Any]) -> JobRowAnswer:
    """A job of a list."""
    return {
        "id": public_id(ids.JOB, row["id"]),
        "task": row["task"],
        "state": row["state"],
        "key": row["key"],
        "order_id": _order_of(row["payload"]),
        "trace_id": trace_id(row["trace"]) or None,
        "attempts": row["attempts"],
        "failures": row["failures"],
        "deaths": row["deaths"],
        "error": row["error"],
        "worker": row["worker"],
        "created_at": _time(row["created_ms"]),
        "due_at": _time(row["due_ms"]),
        "begun_at": _time(row["begun_ms"]),
        "died_at": _time(row["died_ms"]),
    }


def _run(run: Mapping[str, Any]) -> JobRunShown:
    return {
        "attempt": run["attempt"],
        "outcome": run["outcome"],
        "worker": run["worker"],
        "at": time_of(run["at_ms"]),
        "took_ms": run["took_ms"],
        "error": run["error"],
    }


def job(row: Mapping[str, Any]) -> JobAnswer:
    """A job with all that is known of it; of one that is gone that is what its runs say."""
    shown = job_row(row)
    order, trace, behind = shown["order_id"], shown["trace_id"], row["behind"]
    return {
        **shown,
        "behind": None if behind is None else public_id(ids.JOB, behind),
        "payload": row["payload"],
        "runs": [_run(run) for run in row["runs"]],
        "actions": [
            {"action": done["action"], "by": done["by"], "at": time_of(done["at_ms"])}
            for done in row["actions"]
        ],
        "links": {
            "order": None if order is None else f"/api/v2/orders/{order}",
            "trace": None if trace is None else f"/api/v2/jobs?trace_id={trace}",
        },
    }


def action(row: Mapping[str, Any]) -> JobActionAnswer:
    """What somebody did."""
    target = row["target"]
    numbers = target.get("ids", ())
    return {
        "at": time_of(row["at_ms"]),
        "by": row["by"],
        "action": row["action"],
        "count": row["count"],
        "jobs": [public_id(ids.JOB, number) for number in numbers[:ACTION_JOBS_MAX]],
        "task": target.get("task"),
        "schedule": target.get("schedule"),
    }


def pause(row: Mapping[str, Any]) -> PauseAnswer:
    """Who has paused a task, when and why."""
    return {"by": row["by"], "reason": row["reason"], "at": time_of(row["at_ms"])}


def task(row: Mapping[str, Any]) -> JobTaskAnswer:
    """A task with its jobs by state."""
    paused, recent = row["paused"], row["recent"]
    return {
        "name": row["task"],
        "waiting": row["waiting"],
        "running": row["running"],
        "scheduled": row["scheduled"],
        "dead": row["dead"],
        "oldest_s": row["oldest_s"],
        "paused": None if paused is None else pause(paused),
        "recent": {
            "window_s": recent["window_s"],
            "attempts": recent["attempts"],
            "failures": recent["failures"],
            "p50_ms": recent["p50_ms"],
            "p95_ms": recent["p95_ms"],
        },
    }


def schedule(row: Mapping[str, Any]) -> JobScheduleAnswer:
    """A schedule with its next and its last time."""
    return {
        "name": row["name"],
        "task": row["task"],
        "every_s": row["every_s"],
        "daily_at": row["daily_at"],
        "next_at": None if row["paused"] else time_of(row["next_ms"]),
        "last_at": _time(row["last_ms"]),
        "paused": row["paused"],
    }
