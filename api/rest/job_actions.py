"""Actions on jobs, for operators: retry or discard many at once, and the record of who did what."""

from __future__ import annotations

from typing import Annotated, Literal

from aiohttp import web
from pydantic import Field, model_validator

from api.auth.permissions import READS, WRITES
from api.contract.fields import JobId, OrderId, Strict
from api.contract.problems import Problem
from api.http.operation import Operation, Operations
from api.http.pagination import LIST_PROBLEMS, Page, list_page
from api.http.request import RequestContext, json_response
from api.rest import job_answers
from api.rest.job_answers import JobActionsAnswer, JobCountAnswer
from api.rest.jobs import Key, TaskName, TraceId, actor
from dispatch.jobs.control import BULK_MAX, JobFilter

operations = Operations(Operation)

IDS_MAX = 500


class ChosenJobs(Strict):
    """Which jobs: those that fit all that is given, and something is."""

    ids: Annotated[list[JobId], Field(min_length=1, max_length=IDS_MAX)] | None = None
    task: TaskName | None = None
    state: Literal["waiting", "scheduled", "dead"] | None = None
    key: Key | None = None
    order_id: OrderId | None = None
    trace_id: TraceId | None = None

    @model_validator(mode="after")
    def _something(self) -> ChosenJobs:
        if not self.model_dump(exclude_none=True):
            raise ValueError("must name at least one of ids, task, state, key, order_id, trace_id")
        return self

    @property
    def jobs(self) -> JobFilter:
        """The same for the service."""
        numbers = None if self.ids is None else tuple(self.ids)
        return JobFilter(numbers, self.task, self.state, self.key, self.trace_id, self.order_id)


class JobActionBody(Strict):
    """`dry_run` counts the jobs and changes none; the number is the `expected_count` of the request that does."""

    action: Literal["retry", "discard"]
    filter: ChosenJobs
    dry_run: bool = False
    expected_count: Annotated[int, Field(ge=0, le=BULK_MAX)] | None = None

    @model_validator(mode="after")
    def _counted(self) -> JobActionBody:
        if not self.dry_run and self.expected_count is None:
            raise ValueError("needs expected_count, which the same request with dry_run answers as count")
        return self


class JobActionPage(Page):
    """Query of actions, the oldest first unless the newest are wanted."""

    sort: Literal["id", "-id"] | None = None

    @property
    def order(self) -> str:
        """By number."""
        return self.sort or "id"


@operations.declare(
    "jobs.act",
    "POST",
    "/api/v2/job-actions",
    scope="jobs:manage",
    limit=WRITES,
    summary="Retry or discard many jobs at once, counted first",
    note="With `dry_run: true` it answers how many there are. The request without it names that number as "
    "`expected_count`, and changes nothing if there are more or fewer by then. Jobs that a worker has are left out; a "
    "retry takes those that are dead or wait for their retry. One request changes at most "
    f"{BULK_MAX} jobs, those with the lowest ids; `more` says that there are others.",
    body=JobActionBody,
    body_example={
        "action": "retry",
        "filter": {"task": "mail", "state": "dead"},
        "expected_count": 3,
    },
    answer=JobCountAnswer,
    problems=("count_differs",),
)
async def act(context: RequestContext) -> web.Response:
    body, jobs = await context.body(JobActionBody), context.services.jobs
    if body.dry_run:
        found = await jobs.count(body.action, body.filter.jobs)
    else:
        found = await jobs.change(body.action, body.filter.jobs, actor(context), body.expected_count)
        if found.count != body.expected_count:
            raise Problem("count_differs", count=found.count, more=found.more)
    shown: JobCountAnswer = {
        "action": body.action,
        "count": found.count,
        "more": found.more,
        "done": found.done,
    }
    return json_response(shown)


@operations.declare(
    "jobs.actions",
    "GET",
    "/api/v2/job-actions",
    scope="jobs:read",
    limit=READS,
    summary="What people did to jobs, tasks and schedules, and who it was",
    query=JobActionPage,
    answer=JobActionsAnswer,
    problems=LIST_PROBLEMS,
)
async def get_list(context: RequestContext) -> web.Response:
    query = context.query(JobActionPage)
    return await list_page(context, context.services.jobs.actions, query, job_answers.action)
