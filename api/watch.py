"""What an instance keeps an eye on: revocations, and its own event loop."""

from __future__ import annotations

import asyncio
import gc
from time import perf_counter

import structlog

from api.call import Office
from config import metrics

log = structlog.get_logger()

REVOCATIONS_S = 0.5
# Access tokens live ten minutes; minted ones longer, and the query knows them by their name.
REVOKED_WITHIN_S = 900.0
LAG_S = 0.1
# A whole collection looks at every object of every actor and socket: 0.7 to 1 s at 10,000 sockets, 18 s
# apart, in the middle of any request (measured before this was here). Actors' states hold no
# cycles; what does, the young generations find. They count what is made less what dies, so where states
# are replaced and connections kept they are not looked at for seconds, and then for 0.15 s at once
# (10,000 connections, measured): a clock drives them instead, a millisecond or two at a time, and what
# survives is old at once. The rest waits for the whole round.
GC_THRESHOLDS = (10_000, 1, 1_000_000)
GC_YOUNG_S = 0.1
GC_WHOLE_S = 300.0


def failed_chore(name: str, error: Exception) -> None:
    """Count and log a round that failed; the next one is the cure."""
    metrics.CHORE_FAILURES.labels(name).inc()
    log.warning("failed_chore", chore=name, error_code=type(error).__name__)


async def watch_revocations(office: Office) -> None:
    """Hold revoked sessions and banned users in memory, never older than half a second.

    The look also counts how often a session was known already: counting each would cost each request.
    """
    hits, misses = metrics.cache_count("session", "hit"), metrics.cache_count("session", "miss")
    shown = checked = 0
    while True:
        now_shown, now_checked = office.tokens.shown, office.tokens.checked
        hits.inc(now_shown - shown - (now_checked - checked))
        misses.inc(now_checked - checked)
        shown, checked = now_shown, now_checked
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


async def collect_garbage() -> None:
    """Keep collections short: the young often, everything every five minutes, nothing by itself.

    The modules and all else that was made at the start are never looked at again.
    """
    gc.collect()
    gc.freeze()
    before = gc.get_threshold()
    gc.set_threshold(*GC_THRESHOLDS)
    try:
        while True:
            for _ in range(round(GC_WHOLE_S / GC_YOUNG_S)):
                await asyncio.sleep(GC_YOUNG_S)
                gc.collect(1)
            began = perf_counter()
            gc.collect()
            metrics.CHORE_SECONDS.labels("collect_garbage").observe(perf_counter() - began)
    finally:
        gc.set_threshold(*before)
        gc.unfreeze()
