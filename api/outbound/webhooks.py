"""Webhooks of a process: the sender with its HTTP client, its metrics and its keys."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial

import structlog

from actors.clock import Clock, Randomness
from actors.tracing import Tracer
from api.http.observers import store_of
from api.outbound.http_sender import open_http_sender
from api.outbound.secrets_key import open_sealing
from config import metrics
from config.outages import OUTAGES
from config.settings import Settings
from dispatch.webhooks.sender import Sender
from dispatch.webhooks.store import QueryStore
from dispatch.webhooks.values import Answer
from storage.errors import StorageError

log = structlog.get_logger()

# How often the gauges are read from the rows.
GAUGES_S = 15.0


class SenderMetrics:
    """Implements dispatch.webhooks.ports.Observer."""

    def attempted(self, answer: Answer) -> None:
        """Count a request by its outcome."""
        kind = f"{answer.status // 100}xx" if answer.status is not None else answer.error or "unknown"
        metrics.WEBHOOK_ATTEMPTS.labels(kind).inc()
        metrics.WEBHOOK_SECONDS.observe(answer.took_ms / 1000)

    def ended(self, endpoint: int, why: str) -> None:
        """An endpoint was disabled: somebody should look at it."""
        log.warning("disabled_webhook", webhook_id=f"whk_{endpoint}", reason=why)

    def failed(self, what: str, error: Exception) -> None:
        """A round has failed; the next one corrects it."""
        metrics.WORK_FAILURES.inc()
        write = partial(log.warning, "failed_webhooks", step=what, reason=str(error) or type(error).__name__)
        store = store_of(error) if isinstance(error, StorageError) else None
        if store is None:
            write()
        else:
            OUTAGES.absorb(store, write)


@asynccontextmanager
async def open_sender(
    settings: Settings, store: QueryStore, clock: Clock, entropy: Randomness, tracer: Tracer
) -> AsyncIterator[Sender | None]:
    """Open the sender of a process; None when it is switched off, or no key can read the secrets."""
    sealing = open_sealing(settings) if settings.webhooks == "on" else None
    if sealing is None:
        yield None
        return
    client = open_http_sender(
        sealing, clock, entropy, allowed=settings.webhook_networks, proxy=settings.egress_proxy
    )
    async with client as post:
        metrics.WEBHOOK_IN_FLIGHT.set_function(lambda: post.in_flight)
        yield Sender(store, post, clock, entropy, SenderMetrics(), tracer=tracer)


async def send_webhooks(sender: Sender | None, store: QueryStore, stop: asyncio.Event) -> None:
    """Send until `stop`, and keep the gauges."""
    if sender is None:
        return
    async with asyncio.TaskGroup() as tasks:
        gauges = tasks.create_task(watch_backlog(store), name="webhooks: gauges")
        await sender.run(stop)
        gauges.cancel()


async def watch_backlog(store: QueryStore) -> None:
    """Set the gauges of webhooks every GAUGES_S, until cancelled."""
    while True:
        try:
            row = await store.backlog()
        except Exception as error:  # noqa: BLE001 - the next round corrects it
            SenderMetrics().failed("gauges", error)
        else:
            for state in ("failing", "disabled"):
                metrics.WEBHOOK_ENDPOINTS.labels(state).set(row[state])
            metrics.WEBHOOK_ENDPOINTS.labels("good").set(row["many"] - row["failing"] - row["disabled"])
            metrics.WEBHOOK_LAG_EVENTS.set(row["behind"])
            metrics.WEBHOOK_LAG_SECONDS.set(max(0.0, row["behind_s"]))
            metrics.WEBHOOK_DEAD_LETTERS.set(row["dead_letters"])
        await asyncio.sleep(GAUGES_S)
