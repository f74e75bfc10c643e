"""The tracer of a process, as the settings say. Without an endpoint OpenTelemetry is not even imported."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

from prometheus_client import Counter

from actors.clock import Randomness
from actors.tracing import NO_TRACER, Tracer
from api.ratelimit.client_address import read_networks
from api.tracing.sampling import Sampling
from config.settings import Settings


@asynccontextmanager
async def open_tracer(settings: Settings, entropy: Randomness, spans: Counter) -> AsyncIterator[Tracer]:
    """Open the tracer of this process. `spans` counts by outcome. What waits at the end has three seconds."""
    if not settings.otlp_endpoint:
        yield NO_TRACER
        return
    # Imported here: it takes memory and time that most installations need not spend.
    from api.tracing.collector import log_collector
    from api.tracing.otlp import CLOSE_S, OtlpTracer

    loop = asyncio.get_running_loop()

    def turned(found: bool) -> None:
        with suppress(RuntimeError):  # the loop has ended
            loop.call_soon_threadsafe(log_collector, found)

    def count(outcome: str, many: int) -> None:
        spans.labels(outcome).inc(many)

    tracer = OtlpTracer(settings.otlp_endpoint, settings.instance, entropy, count, turned)
    try:
        yield tracer
    finally:
        thread = tracer.close()
        with suppress(TimeoutError):
            async with asyncio.timeout(CLOSE_S):
                while thread.is_alive():  # noqa: ASYNC110 - once, at the end of the process
                    await asyncio.sleep(0.02)


def make_sampling(settings: Settings, tracer: Tracer, entropy: Randomness) -> Sampling | None:
    """The sampling of an instance; None while tracing is off."""
    if not tracer.on:
        return None
    return Sampling(tracer, settings.trace_share, read_networks(settings.trusted_proxies), entropy.trace)
