"""Probes. Liveness looks at nothing but the process; an outage elsewhere must not restart us all."""

from __future__ import annotations

from aiohttp import web

from api.http.pipeline import Route
from api.http.request import INTERNAL, RequestContext, json_response

# A loop that did not turn for this long is dead; one that is this late takes no new clients.
STALLED_S = 5.0
LATE_S = 0.5


async def liveness(context: RequestContext) -> web.Response:
    late = context.services.watchdog() >= STALLED_S
    return json_response({"status": "stalled" if late else "alive"}, 503 if late else 200)


async def startup(context: RequestContext) -> web.Response:
    ready = context.services.started
    return json_response({"status": "started" if ready else "starting"}, 200 if ready else 503)


async def readiness(context: RequestContext) -> web.Response:
    """Ready unless draining, without Postgres for long, or late; without Redis degraded, but ready.

    The components are shown on the operators' port alone.
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


READINESS = Route("health.readiness", "GET", "/health/readiness", readiness, quiet=True)
ROUTES = (
    Route("health.liveness", "GET", "/health/liveness", liveness, quiet=True),
    READINESS,
    Route("health.startup", "GET", "/health/startup", startup, quiet=True),
)
