"""Jobs of background work, for operators: what there is, one with its history, retry, discard."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from aiohttp import web
from pydantic import StringConstraints

from api.auth.permissions import READS, WRITES
from api.contract.fields import OrderId, plain, text_schema
from api.http.operation import Operation, Operations
from api.http.pagination import LIST_PROBLEMS, Page, list_page
from api.http.request import RequestContext, json_response
from api.rest import job_answers
from api.rest.job_answers import JobAnswer, JobRowsAnswer
from dispatch.domain import ids

operations = Operations(Operation)

NAME_FORM = r"^[a-z][a-z0-9_.]{0,59}$"
TaskName = Annotated[str, StringConstraints(max_length=60, pattern=NAME_FORM)]
Key = Annotated[str, StringConstraints(min_length=1, max_length=200), plain(1, 200), text_schema(1, 200)]
TraceId = Annotated[str, StringConstraints(max_length=32, pattern=r"^[0-9a-f]{32}$")]


class JobPage(Page):
    """Query of jobs: those that wait, run, have failed or are dead. One that is done is shown by its id alone."""

    task: TaskName | None = None
    state: Literal["waiting", "running", "scheduled", "dead"] | None = None
    key: Key | None = None
    order_id: OrderId | None = None
    trace_id: TraceId | None = None
    sort: Literal["id", "-id"] | None = None

    @property
    def order(self) -> str:
        """By id, the oldest first, unless the newest are wanted."""
        return self.sort or "id"

    def filters(self) -> dict[str, Any]:
        """The given filters, by their names in the service."""
        given = super().filters()
        return {"trace" if name == "trace_id" else name: value for name, value in given.items()}


def actor(context: RequestContext) -> str:
    """The caller as the record of actions names it."""
    return ids.public_id(ids.USER, context.who.number)


@operations.declare(
    "jobs.list",
    "GET",
    "/api/v2/jobs",
    scope="jobs:read",
    limit=READS,
    summary="Jobs that wait, run, have failed or are dead",
    note="`waiting`: due, no worker has it yet. `scheduled`: it is put off, for a retry or until its time. `dead`: "
    "it is not tried again unless somebody asks for it. Jobs that are done are not listed; each is shown by its id.",
    query=JobPage,
    answer=JobRowsAnswer,
    problems=LIST_PROBLEMS,
)
async def get_list(context: RequestContext) -> web.Response:
    return await list_page(context, context.services.jobs.jobs, context.query(JobPage), job_answers.job_row)


@operations.declare(
    "jobs.get",
    "GET",
    "/api/v2/jobs/{id}",
    scope="jobs:read",
    limit=READS,
    summary="A job with its payload, every attempt, and what people did to it",
    note="Also one that is done or was discarded, for the days that `MALL_JOB_RUNS_DAYS` names: then `payload` and "
    "the times are null, and `runs` say how it ended.",
    answer=JobAnswer,
)
async def get(context: RequestContext) -> web.Response:
    row = await context.services.jobs.job(context.number(ids.JOB))
    return json_response(job_answers.job(row))


@operations.declare(
    "jobs.retry",
    "POST",
    "/api/v2/jobs/{id}/retry",
    scope="jobs:manage",
    limit=WRITES,
    summary="Try a job again that is dead or waits for its retry",
    note="It is due at once, as if it had never failed. A job that is due already stays as it is.",
    answer=JobAnswer,
    answer_example={"state": "waiting", "failures": 0, "died_at": None},
    problems=("job_running", "job_not_failed", "job_ended"),
)
async def retry(context: RequestContext) -> web.Response:
    number = context.number(ids.JOB)
    await context.no_body()
    return json_response(job_answers.job(await context.services.jobs.retry(number, actor(context))))


@operations.declare(
    "jobs.discard",
    "POST",
    "/api/v2/jobs/{id}/discard",
    scope="jobs:manage",
    limit=WRITES,
    summary="Drop a job that no worker has",
    note="It is never done. Its runs are kept, with one that says who discarded it. A repetition changes nothing.",
    answer=JobAnswer,
    answer_example={"state": "discarded", "payload": None, "order_id": None},
    problems=("job_running", "job_ended"),
)
async def discard(context: RequestContext) -> web.Response:
    number = context.number(ids.JOB)
    await context.no_body()
    return json_response(job_answers.job(await context.services.jobs.discard(number, actor(context))))
