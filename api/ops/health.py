"""Health probes. Liveness checks only the process, because an outage elsewhere must not restart every instance."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field
from typing import Annotated, NotRequired

from aiohttp import web
from pydantic import WithJsonSchema
from typing_extensions import TypedDict

from actors.values import frozen
from api import json_schema as s
from api.http.operation import Operation, Operations
from api.http.request import RequestContext, json_response
from api.http.services import INTERNAL, Services
from config import metrics

operations = Operations(Operation)

# A loop that did not turn for STALLED_S is dead; one that is late by LATE_S takes no new clients.
STALLED_S = 5.0
LATE_S = 0.5
# A scrape comes when the loop turns again, so metrics show for this time that it was late: longer than between scrapes.
LATE_SHOWN_S = 30.0
# So many callers wait for a connection of the pool.
POOL_WAITING_MAX = 20


_UpOrDown = Annotated[str, WithJsonSchema(s.one_of("up", "down"))]


class ComponentsShown(TypedDict):
    postgres: _UpOrDown
    redis: _UpOrDown
    loop: _UpOrDown
    pool: NotRequired[_UpOrDown]
    disk: NotRequired[_UpOrDown]


class HealthAnswer(TypedDict):
    status: Annotated[
        str,
        WithJsonSchema(
            s.one_of("alive", "stalled", "started", "starting", "ready", "degraded", "draining", "not_ready")
        ),
    ]
    components: NotRequired[ComponentsShown]


@frozen
class Health:
    """Readiness of an instance, and the state of its components, `up` or `down`."""

    status: str
    ready: bool
    components: Mapping[str, str] = field(hash=False)


async def health_of(services: Services) -> Health:
    """Look at all components."""
    found = dict(await services.prober.look())
    found["loop"] = "up" if services.watchdog() < LATE_S else "down"
    # A pool without a connection to give makes readers wait; orders have connections of their own.
    found["pool"] = "down" if services.database.waiting >= POOL_WAITING_MAX else "up"
    fit = services.prober.is_fit() and found["loop"] == "up"
    ready = services.started and not services.draining and fit
    degraded = ready and "down" in found.values()
    status = (
        "degraded" if degraded else "ready" if ready else "draining" if services.draining else "not_ready"
    )
    return Health(status, ready, found)


def show_health(services: Services, health: Health) -> None:
    """Show it as metrics."""
    metrics.READY.set(health.ready)
    metrics.DRAINING.set(services.draining)
    late = services.clock.monotonic() - services.late_at < LATE_SHOWN_S
    for component, state in health.components.items():
        metrics.COMPONENT_UP.labels(component).set(state == "up" and not (late and component == "loop"))


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
    found = await health_of(context.services)
    shown: dict[str, object] = {"status": found.status}
    if INTERNAL in context.request.app:
        shown["components"] = found.components
    return json_response(shown, 200 if found.ready else 503)


@operations.declare(
    "health.startup",
    "GET",
    "/health/startup",
    scope=None,
    limit=None,
    quiet=True,
    summary="The process serves requests",
    answer=HealthAnswer,
    answer_example={"status": "started"},
)
async def startup(context: RequestContext) -> web.Response:
    """Started once the ports are open: a probe that waited for Redis would restart every instance while it is away."""
    del context
    return json_response({"status": "started"})
