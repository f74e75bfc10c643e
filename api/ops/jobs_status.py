"""Status of background work at the ops ports of instances, workers and supervisors: JSON, or a page for browsers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from aiohttp import web

from api.contract.problems import EVERY_ANSWER, problem_for, problem_response
from api.http.accept import prefers_html
from api.http.pipeline import finish, trace_of
from api.http.request import json_response
from api.http.services import SERVICES
from api.ops.html_tables import POLICY
from api.ops.jobs_html import render_jobs
from dispatch.jobs.control import JobControl
from storage.errors import StorageError

PATH = "/status/jobs"
LINKS = {"/status": "instances", "/metrics": "metrics", "/health": "health"}


async def jobs_page(request: web.Request) -> web.StreamResponse:
    """The status of background work at the ops port of an instance."""
    services = request.app[SERVICES]
    return await show_jobs(request, services.jobs, services.settings.instance, services.entropy.trace, LINKS)


async def show_jobs(
    request: web.Request,
    jobs: JobControl,
    asked: str,
    fresh_trace: Callable[[], str],
    links: Mapping[str, str],
) -> web.StreamResponse:
    """Look at background work and answer; `asked` names this process, `links` are other pages by path."""
    try:
        seen = {"asked": asked, **await jobs.overview()}
    except StorageError as error:
        trace = trace_of(request, fresh_trace)
        response = problem_response(problem_for(error), trace)
        finish(response, trace)
        return response
    return jobs_answer(request, seen, links)


def jobs_answer(request: web.Request, seen: Mapping[str, Any], links: Mapping[str, str]) -> web.Response:
    """The status as JSON, or as a page for a client that prefers HTML."""
    if not prefers_html(request.headers.get("Accept", "")):
        return json_response(seen, headers={"Vary": "Accept"})
    headers = {
        **EVERY_ANSWER,
        "Content-Security-Policy": POLICY,
        "Cache-Control": "no-store",
        "Vary": "Accept",
    }
    return web.Response(
        text=render_jobs(seen, links), content_type="text/html", charset="utf-8", headers=headers
    )
