"""Observers: log lines and metrics of packages without a logger, and of orders that change without a request.

They add the level and the ids of the subject. While a store is away, they drop the lines that only follow from it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from functools import cache, partial
from typing import Any, Protocol

import structlog
from aiohttp import web

from actors.cluster.leases import LeasesAway
from actors.errors import JournalError
from actors.tracing import trace_id
from api.auth.access_tokens import Principal
from config import metrics
from config.log_sampling import Sampler
from config.outages import OUTAGES
from dispatch.domain import ids
from dispatch.domain.commands import Decision
from dispatch.domain.order import Order
from storage.errors import Unreachable
from storage.postgres.database import SlowQuery

log = structlog.get_logger()

# Kind of the ids in paths, by the collection before them: the field of a log line, and the prefix.
_SUBJECTS = {
    "orders": ("order_id", ids.ORDER),
    "payments": ("payment_id", ids.PAYMENT),
    "drivers": ("driver_id", ids.DRIVER),
}
_IN_PATH = re.compile(r"/([a-z]+)/\{id\}")
ID_DIGITS_MAX = 16

POSTGRES, REDIS = "postgres", "redis"
# Levels of the runtime's and the cluster's events. A step of normal operation is info; an event that is worth a look
# when it is frequent is a warning; a defect of ours or of the database is an error. An event that is not listed is a
# warning.
LEVELS: Mapping[str, str] = {
    "took_shards": "info",
    "changed_state": "info",
    "failed_handover": "info",  # it is retried within a second, and counted
    "buried_peer": "info",
    "left_peer": "info",
    "silent_line": "info",
    "reloaded_actor": "info",
    "refused_stale_flush": "info",
    "left_leases_behind": "info",
    "unblocked_commit": "info",
    "lost_shard": "info",
    "crashed_actor": "error",
    "crashed_look": "error",
    "crashed_turn": "error",
    "failed_flush": "error",
    "failed_load": "error",
    "failed_look_at_locks": "error",
    "failed_poll": "error",
    "failed_read": "error",
    "failed_settling": "error",
    "found_younger_life": "error",
    "refused_item": "error",
    "unreadable_row": "error",
    "untransferable_reply": "error",
}
# Events that only happen because a store is away, whatever error they carry.
_FOLLOWS = {"gave_up_read": POSTGRES, "gave_up_drain": POSTGRES}
_PREFIXES = {"order": ids.ORDER, "driver": ids.DRIVER, "zone": ids.ZONE}
_background = Sampler()
# Traces that the line of a batch names.
TRACES_MAX = 8


def about_actor(actor: str) -> dict[str, str]:
    """`order:501` as `{"order_id": "ord_501"}`, the field by which an order's log lines are found."""
    kind, _, number = actor.partition(":")
    return {f"{kind}_id": f"{_PREFIXES[kind]}_{number}"} if kind in _PREFIXES else {}


def store_of(error: object) -> str | None:
    """The store that an error reports as away; None for other errors."""
    if isinstance(error, LeasesAway):
        return REDIS
    return POSTGRES if isinstance(error, JournalError | Unreachable | OSError | TimeoutError) else None


def log_event(event: str, **values: Any) -> None:
    """Log an event of the runtime or the cluster."""
    if event in ("lost_peer", "unreachable_peer"):
        OUTAGES.lose(_peer(values), str(values.pop("reason", "it cannot be reached")), **values)
        return
    if event == "met_peer":
        OUTAGES.find(_peer(values), **values)
        return
    if "actor" in values:
        values = about_actor(values["actor"]) | values
    error = values.get("exc_info")
    store = _FOLLOWS.get(event) or store_of(error)
    write = partial(getattr(log, LEVELS.get(event, "warning")), event, **values)
    if store is None:
        write()
        return
    if error is not None:
        # The traceback of an error that reports a store as away is of no use.
        del write.keywords["exc_info"]
        write.keywords["reason"] = str(error) or type(error).__name__
    OUTAGES.absorb(store, write)


def _peer(values: Mapping[str, Any]) -> str:
    """The peer's name without its incarnation, so that its next incarnation counts as its return."""
    return f"peer {str(values.get('peer', '')).rpartition('.')[0]}"


def failed_chore(name: str, error: Exception) -> None:
    """Count and log a failed round of a background task; the next round corrects it."""
    metrics.CHORE_FAILURES.labels(name).inc()
    store = store_of(error)
    if store is not None:
        reason = str(error) or type(error).__name__
        OUTAGES.absorb(store, partial(log.warning, "failed_chore", chore=name, reason=reason))
        return
    left_out = _background.take(name)
    if left_out is not None:
        log.error("failed_chore", chore=name, left_out=left_out or None, exc_info=error)


def log_change(order: Order, decision: Decision, trace: str) -> None:
    """Log an order that has changed by itself, for which no request has a log line."""
    numbers = dict.fromkeys(
        (*(e.driver_id for e in decision.feed), *(driver for driver, _ in decision.revoked))
    )
    drivers = [ids.public_id(ids.DRIVER, number) for number in numbers]
    log.info(
        "changed_order",
        trace_id=trace,
        order_id=ids.public_id(ids.ORDER, order.id),
        change=decision.event,
        status=order.status,
        version=order.version,
        driver_id=None if order.driver_id is None else ids.public_id(ids.DRIVER, order.driver_id),
        driver_ids=drivers or None,
        reason=decision.reason,
    )


@cache
def _subject(path: str) -> tuple[str, str] | None:
    """Field name and id prefix for the id in a route's path."""
    found = _IN_PATH.search(path)
    return _SUBJECTS.get(found[1]) if found is not None else None


class DescribedRequest(Protocol):
    """A request with the parts that its log line uses."""

    request: web.Request
    principal: Principal | None
    about: dict[str, str]


def about_request(
    path: str, context: DescribedRequest, response: web.StreamResponse | None
) -> dict[str, str]:
    """The ids of the order, the payment and the driver that a request is about, for its log line."""
    about, who, given = context.about, context.principal, ""
    subject = _subject(path)
    if subject is not None:
        given = context.request.match_info.get("id", "")
    elif not about and response is not None and response.status in (201, 202):
        # Location names the created resource.
        place, _, given = response.headers.get("Location", "").rpartition("/")
        subject = _SUBJECTS.get(place.rpartition("/")[2])
    if subject is not None:
        number = given.rpartition("_")[2]
        if len(number) <= ID_DIGITS_MAX and number.isdecimal() and number.isascii():
            about[subject[0]] = f"{subject[1]}_{number}"
    if who is not None and who.role == "driver":
        about["driver_id"] = f"drv_{who.number}"
    return about


def observe_query(name: str, seconds: float) -> None:
    """Count a named query and its time."""
    metrics.query_seconds(name).observe(seconds)


def tell_slow_query(query: SlowQuery) -> None:
    """Count and log a slow query."""
    metrics.SLOW_QUERIES.labels(query.name).inc()
    values: dict[str, Any] = _about_traces(query.traces)
    if query.plans:
        values["plans"] = query.plans
    log.warning("ran_slow_query", query=query.name, duration_s=round(query.seconds, 4), **values)


def tell_slow_wait(seconds: float, waiting: int, trace: str) -> None:
    """Log a slow wait for a connection; of many at once, some."""
    left_out = _background.take("slow wait")
    if left_out is not None:
        log.warning(
            "waited_for_connection",
            duration_s=round(seconds, 4),
            waiting=waiting,
            left_out=left_out or None,
            **_about_traces([trace] if trace else ()),
        )


def _about_traces(traces: Sequence[str]) -> dict[str, Any]:
    """The fields by which a line is found under its trace, or under one of several."""
    if len(traces) == 1:
        return {"trace_id": traces[0]}
    return {"trace_ids": [trace_id(trace) for trace in traces[:TRACES_MAX]]} if traces else {}
