"""Payment worker: the payments of an instance, their gateway, and the background task that finishes them."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from time import perf_counter

import structlog

from actors.clock import Randomness
from api.http.observers import failed_chore
from api.http.services import Services
from api.payments.http_gateway import open_gateway
from api.payments.sandbox import Sandbox
from config import metrics
from config.settings import Settings
from dispatch.payments import Payments
from dispatch.service import Dispatch
from storage.postgres.database import Database

log = structlog.get_logger()

# Longest wait of a delivery for its capture, and of a dead instance's work beyond its lease.
SETTLE_S = 1.0
# One round in this many also counts payments that wait for too long.
LATE_TURNS = 15


@asynccontextmanager
async def open_payments(
    settings: Settings, dispatch: Dispatch, database: Database, entropy: Randomness
) -> AsyncIterator[Payments | None]:
    """Open payments with the configured gateway; without one, the sandbox in embedded mode, else None."""
    address = settings.gateway_url or ("sandbox" if settings.embedded else "")

    def observe(step: str, outcome: str, seconds: float) -> None:
        metrics.GATEWAY_SECONDS.labels(step, outcome).observe(seconds)

    if not address:
        yield None
    elif address == "sandbox":
        yield Payments(dispatch, database, Sandbox(), entropy, observe)
    else:
        async with open_gateway(address, settings.gateway_key.get_secret_value(), entropy) as gateway:
            yield Payments(dispatch, database, gateway, entropy, observe)


async def settle_payments(services: Services) -> None:
    """Take the next step of due payments, and count waiting ones, every SETTLE_S, until cancelled."""
    for turn in itertools.count():
        await asyncio.sleep(SETTLE_S)
        began = perf_counter()
        try:
            if services.payments is not None:
                if turn % LATE_TURNS == 0 and (woken := await services.payments.wake_late()):
                    log.warning("woke_late_payments", count=woken)
                await services.payments.settle_due()
            row = await services.records.payment_backlog()
        except Exception as error:  # noqa: BLE001 - the next round corrects it
            failed_chore("settle_payments", error)
        else:
            metrics.IDEMPOTENCY_KEYS.set(row["keys"])
            metrics.PAYMENTS_WAITING.set(row["many"])
            metrics.PAYMENTS_STUCK.set(row["stuck"])
            metrics.PAYMENTS_LATE_SECONDS.set(max(0.0, row["late_s"]))
            metrics.CHORE_SECONDS.labels("settle_payments").observe(perf_counter() - began)
