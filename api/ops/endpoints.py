"""Endpoints /metrics and /status of the ops port."""

from __future__ import annotations

from typing import Literal

import aiohttp
from aiohttp import web

from api.contract.fields import Strict
from api.contract.problems import EVERY_ANSWER, Problem
from api.http.accept import prefers_html
from api.http.pipeline import finish, trace_of
from api.http.request import RequestContext, json_response
from api.http.services import SERVICES, Services
from api.ops import status_html
from api.ops.cluster_status import cluster_status
from api.ops.exposition_format import END, metrics_answer, whole
from api.ops.health import health_of, show_health
from api.ops.html_tables import POLICY
from api.ops.instance_status import residents, status
from config import metrics

# Limits of a question to the worker beside this instance.
WORKER_S = 1.0
METRICS_BYTES_MAX = 4 * 1024 * 1024


class StatusQuery(Strict):
    """Query of the status. `local=1`: this instance alone, without a query to its peers."""

    local: Literal["0", "1"] = "0"


async def metrics_page(request: web.Request) -> web.Response:
    """The metrics of this instance, and those of the worker beside it."""
    services = request.app[SERVICES]
    services.residents = await residents(services.dispatch.runtime)
    show_health(services, await health_of(services))
    more = await _worker_metrics(services, request.headers.get("Accept", ""))
    return await metrics_answer(request, [metrics.REGISTRY], more)


async def _worker_metrics(services: Services, accept: str) -> bytes:
    """Metrics of the worker beside this instance; empty when there is none, or it does not answer in time."""
    url = None if services.worker is None else services.worker.ops_url
    if url is None:
        return b""
    try:
        async with (
            aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=WORKER_S)) as http,
            http.get(f"{url}/metrics/work", headers={"Accept": accept}) as response,
        ):
            text = await whole(response.content, METRICS_BYTES_MAX)
            return b"" if response.status != 200 or text is None else text.removesuffix(END)
    except (aiohttp.ClientError, OSError, TimeoutError):
        return b""


async def status_page(request: web.Request) -> web.Response:
    """The own status, with that of the cluster under `cluster`: JSON, or a page for a client that prefers HTML.

    With `local=1` only the own status, always as JSON.
    """
    services = request.app[SERVICES]
    context = RequestContext(request, services, trace_of(request, services.entropy.trace))
    try:
        local = context.query(StatusQuery).local == "1"
    except Problem as problem:
        response = context.refuse(problem)
        finish(response, context.trace)
        return response
    own = await status(services)
    if local:
        return json_response(own)
    whole = own | {"cluster": await cluster_status(services, own)}
    if not prefers_html(request.headers.get("Accept", "")):
        return json_response(whole, headers={"Vary": "Accept"})
    headers = {
        **EVERY_ANSWER,
        "Content-Security-Policy": POLICY,
        "Cache-Control": "no-store",
        "Vary": "Accept",
    }
    return web.Response(
        text=status_html.render(whole["cluster"]), content_type="text/html", charset="utf-8", headers=headers
    )
