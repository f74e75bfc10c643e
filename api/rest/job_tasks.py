"""Tasks and schedules of background work, for operators: how they stand, pause, run now."""

from __future__ import annotations

import re

from aiohttp import web

from api.auth.permissions import READS, WRITES
from api.contract.fields import Reason, Strict
from api.contract.merge_patch import Patch, absent
from api.contract.problems import Problem
from api.http.operation import Operation, Operations
from api.http.request import RequestContext, json_response
from api.rest import job_answers
from api.rest.job_answers import (
    JobAnswer,
    JobScheduleAnswer,
    JobSchedulesAnswer,
    JobTaskAnswer,
    JobTasksAnswer,
)
from api.rest.jobs import NAME_FORM, actor

operations = Operations(Operation)

_NAME = re.compile(NAME_FORM)


class PauseBody(Strict):
    reason: Reason | None = None


class ScheduleChange(Patch):
    """A paused schedule makes no jobs. Times that pass meanwhile are not made up for."""

    paused: bool = absent()


def _name(context: RequestContext) -> str:
    """The name in the path; a malformed one counts as not found."""
    name = context.request.match_info["name"]
    if _NAME.fullmatch(name) is None:
        raise Problem("not_found")
    return name


@operations.declare(
    "jobs.tasks",
    "GET",
    "/api/v2/job-tasks",
    scope="jobs:read",
    limit=READS,
    summary="Tasks with their jobs by state, the age of the oldest, and how attempts went",
    note="Jobs of a state are counted to 10,000. `recent` is about the last hour; where that had very many attempts, "
    "about the shorter time `window_s`.",
    answer=JobTasksAnswer,
)
async def tasks(context: RequestContext) -> web.Response:
    rows = await context.services.jobs.tasks()
    shown: JobTasksAnswer = {"items": [job_answers.task(row) for row in rows]}
    return json_response(shown)


@operations.declare(
    "jobs.pause",
    "PUT",
    "/api/v2/job-tasks/{name}/pause",
    scope="jobs:manage",
    limit=WRITES,
    summary="Pause a task: no worker takes a job of it",
    note="Jobs under way are finished, and new ones wait.",
    body=PauseBody,
    body_example={"reason": "the mail server is down"},
    answer=JobTaskAnswer,
)
async def pause(context: RequestContext) -> web.Response:
    name, body = _name(context), await context.body(PauseBody)
    await context.services.jobs.pause(name, actor(context), body.reason)
    return await _task(context, name)


@operations.declare(
    "jobs.resume",
    "DELETE",
    "/api/v2/job-tasks/{name}/pause",
    scope="jobs:manage",
    limit=WRITES,
    summary="Go on with a task",
    status=204,
)
async def resume(context: RequestContext) -> web.Response:
    name = _name(context)
    await context.no_body()
    await context.services.jobs.resume(name, actor(context))
    return web.Response(status=204)


async def _task(context: RequestContext, name: str) -> web.Response:
    rows = await context.services.jobs.tasks()
    [row] = [row for row in rows if row["task"] == name]
    return json_response(job_answers.task(row))


@operations.declare(
    "jobs.schedules",
    "GET",
    "/api/v2/job-schedules",
    scope="jobs:read",
    limit=READS,
    summary="Schedules with their next and their last time",
    answer=JobSchedulesAnswer,
)
async def schedules(context: RequestContext) -> web.Response:
    rows = await context.services.jobs.schedules()
    shown: JobSchedulesAnswer = {"items": [job_answers.schedule(row) for row in rows]}
    return json_response(shown)


@operations.declare(
    "jobs.change_schedule",
    "PATCH",
    "/api/v2/job-schedules/{name}",
    scope="jobs:manage",
    limit=WRITES,
    summary="Pause a schedule, or go on with it",
    body=ScheduleChange,
    body_example={"paused": True},
    answer=JobScheduleAnswer,
    answer_example={"paused": True, "next_at": None},
)
async def change_schedule(context: RequestContext) -> web.Response:
    name, body = _name(context), await context.body(ScheduleChange)
    jobs = context.services.jobs
    if body.sets("paused"):
        row = await jobs.pause_schedule(name, actor(context), paused=body.paused)
    else:
        row = await jobs.schedule(name)
    return json_response(job_answers.schedule(row))


@operations.declare(
    "jobs.run_schedule",
    "POST",
    "/api/v2/job-schedules/{name}/run",
    scope="jobs:manage",
    limit=WRITES,
    summary="Run a schedule now, also a paused one",
    note="Answers its job. A job of the schedule that waits or runs still is answered instead of a new one.",
    answer=JobAnswer,
    answer_example={
        "state": "waiting",
        "attempts": 0,
        "failures": 0,
        "error": None,
        "died_at": None,
        "runs": [],
    },
    status=202,
)
async def run_schedule(context: RequestContext) -> web.Response:
    name, jobs = _name(context), context.services.jobs
    await context.no_body()
    row = await jobs.job(await jobs.run_schedule(name, actor(context)))
    return json_response(job_answers.job(row), 202)
