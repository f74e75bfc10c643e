"""Probes. Liveness looks at nothing but the process; an outage elsewhere must not restart us all."""

from __future__ import annotations

from aiohttp import web

from api.call import INTERNAL, Call, json_response
from api.edge import Route

# A loop that did not turn for this long is dead; one that is this late takes no new clients.
STALLED_S = 5.0
LATE_S = 0.5


async def liveness(call: Call) -> web.Response:
    late = call.office.watchdog() >= STALLED_S
    return json_response({"status": "stalled" if late else "alive"}, 503 if late else 200)


async def startup(call: Call) -> web.Response:
    ready = call.office.started
    return json_response({"status": "started" if ready else "starting"}, 200 if ready else 503)


async def readiness(call: Call) -> web.Response:
    """Ready unless draining, without Postgres for long, or late; without Redis degraded, but ready.

    The components are shown on the operators' port alone.
    """
    office = call.office
    found = dict(await office.prober.look())
    found["loop"] = "up" if office.watchdog() < LATE_S else "down"
    fit = office.prober.is_fit() and found["loop"] == "up"
    ready = office.started and not office.draining and fit
    degraded = ready and "down" in found.values()
    status = "degraded" if degraded else "ready" if ready else "draining" if office.draining else "not_ready"
    shown = {"status": status, "components": found} if INTERNAL in call.request.app else {"status": status}
    return json_response(shown, 200 if ready else 503)


READINESS = Route("health.readiness", "GET", "/health/readiness", readiness, quiet=True)
ROUTES = (
    Route("health.liveness", "GET", "/health/liveness", liveness, quiet=True),
    READINESS,
    Route("health.startup", "GET", "/health/startup", startup, quiet=True),
)
