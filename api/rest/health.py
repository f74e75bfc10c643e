"""Probes. Liveness looks at nothing but the process; an outage elsewhere must not restart us all."""

from __future__ import annotations

import asyncio
from typing import Any

from aiohttp import web

from api.call import Call, Office, json_response
from api.edge import Route
from storage.errors import StorageError
from storage.redis.client import ping

# A loop that did not turn for this long is dead.
STALLED_S = 5.0
CHECK_S = 0.5


async def _check(work: Any) -> str:
    try:
        async with asyncio.timeout(CHECK_S):
            await work
    except (StorageError, TimeoutError):
        return "down"
    return "up"


async def components(office: Office) -> dict[str, str]:
    """Postgres, Redis and the loop, each `up` or `down`."""
    return {
        "postgres": await _check(office.database.rows("ping")),
        "redis": await _check(ping(office.redis)),
        "loop": "up" if office.watchdog() < STALLED_S else "down",
    }


async def liveness(call: Call) -> web.Response:
    late = call.office.watchdog() >= STALLED_S
    return json_response({"status": "stalled" if late else "alive"}, 503 if late else 200)


async def startup(call: Call) -> web.Response:
    ready = call.office.started
    return json_response({"status": "started" if ready else "starting"}, 200 if ready else 503)


async def readiness(call: Call) -> web.Response:
    """Ready unless draining or without Postgres; Redis may be away: degraded, but ready."""
    office = call.office
    found = await components(office)
    ready = office.started and not office.draining and found["postgres"] == "up"
    degraded = ready and found["redis"] == "down"
    status = "degraded" if degraded else "ready" if ready else "draining" if office.draining else "not_ready"
    return json_response({"status": status, "components": found}, 200 if ready else 503)


ROUTES = (
    Route("health.liveness", "GET", "/health/liveness", liveness, quiet=True),
    Route("health.readiness", "GET", "/health/readiness", readiness, quiet=True),
    Route("health.startup", "GET", "/health/startup", startup, quiet=True),
)
