"""Health probes. Liveness checks only the process, because an outage elsewhere must not restart every instance."""

from __future__ import annotations

from typing import Annotated, NotRequired

from aiohttp import web
from pydantic import WithJsonSchema
from typing_extensions import TypedDict

from api import json_schema as s
from api.http.operation import Operation, Operations
from api.http.request import RequestContext, json_response
from api.http.services import INTERNAL

operations = Operations(Operation)

# A loop that did not turn for STALLED_S is dead; one that is late by LATE_S takes no new clients.
STALLED_S = 5.0
LATE_S = 0.5


_UpOrDown = Annotated[str, WithJsonSchema(s.one_of("up", "down"))]


class ComponentsShown(TypedDict):
    postgres: _UpOrDown
    redis: _UpOrDown
    loop: _UpOrDown


class HealthAnswer(TypedDict):
    status: Annotated[
        str,
        WithJsonSchema(
            s.one_of("alive", "stalled", "started", "starting", "ready", "degraded", "draining", "not_ready")
        ),
    ]
    components: NotRequired[ComponentsShown]


@operations.declare(
    "health.liveness",
    "GET",
    "/health/liveness",
    scope=None,
    limit=None,
    quiet=True,
    summary="The process is alive",
    answer=HealthAnswer,
    answer_example={"status": "alive"},
)
async def liveness(context: RequestContext) -> web.Response:
    late = context.services.watchdog() >= STALLED_S
    return json_response({"status": "stalled" if late else "alive"}, 503 if late else 200)


@operations.declare(
    "health.readiness",
    "GET",
    "/health/readiness",
    scope=None,
    limit=None,
    quiet=True,
    summary="Traffic may be sent",
    answer=HealthAnswer,
    answer_example={"components": {"postgres": "up", "redis": "up", "loop": "up"}},
)
async def readiness(context: RequestContext) -> web.Response:
    """Ready unless draining, without Postgres for long, or late; degraded, but ready, without Redis.

    The components are shown only on the operators' port.
    """
    services = context.services
    found = dict(await services.prober.look())
    found["loop"] = "up" if services.watchdog() < LATE_S else "down"
    fit = services.prober.is_fit() and found["loop"] == "up"
    ready = services.started and not services.draining and fit
    degraded = ready and "down" in found.values()
    status = (
        "degraded" if degraded else "ready" if ready else "draining" if services.draining else "not_ready"
    )
    shown = {"status": status, "components": found} if INTERNAL in context.request.app else {"status": status}
    return json_response(shown, 200 if ready else 503)


@operations.declare(
    "health.startup",
    "GET",
    "/health/startup",
    scope=None,
    limit=None,
    quiet=True,
    summary="The start is complete",
    answer=HealthAnswer,
    answer_example={"status": "started"},
)
async def startup(context: RequestContext) -> web.Response:
    ready = context.services.started
    return json_response({"status": "started" if ready else "starting"}, 200 if ready else 503)
