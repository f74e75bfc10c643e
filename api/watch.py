"""What an instance keeps an eye on: revocations, and its own event loop."""

from __future__ import annotations

import asyncio

import structlog

from api.call import Office
from config import metrics

log = structlog.get_logger()

REVOCATIONS_S = 0.5
# Access tokens live ten minutes; minted ones longer, and the query knows them by their name.
REVOKED_WITHIN_S = 900.0
LAG_S = 0.1


def failed_chore(name: str, error: Exception) -> None:
    """Count and log a round that failed; the next one is the cure."""
    metrics.CHORE_FAILURES.labels(name).inc()
    log.warning("failed_chore", chore=name, error_code=type(error).__name__)


async def watch_revocations(office: Office) -> None:
    """Hold revoked sessions and banned users in memory, never older than half a second."""
    while True:
        try:
            rows = await office.database.rows("revocations", REVOKED_WITHIN_S)
            office.tokens.shut_out(rows[0]["sessions"], rows[0]["users"])
        except Exception as error:  # noqa: BLE001 - the next look is the cure
            failed_chore("revocations", error)
        await asyncio.sleep(REVOCATIONS_S)


async def watch_loop(office: Office) -> None:
    """Measure how late the loop wakes; probes ask when it last did."""
    loop = asyncio.get_running_loop()
    seen = loop.time()
    office.watchdog = lambda: loop.time() - seen
    while True:
        due = loop.time() + LAG_S
        await asyncio.sleep(LAG_S)
        seen = loop.time()
        metrics.LOOP_LAG_SECONDS.observe(max(0.0, seen - due))
