"""What an instance keeps an eye on: revocations, and its own event loop."""

from __future__ import annotations

import asyncio
import gc
import itertools
from contextlib import suppress
from time import perf_counter

import structlog

from actors.clock import Clock, Randomness
from api.auth.access_tokens import BLIND_S, PUSHED_BLIND_S, Tokens
from api.http.observers import failed_chore
from api.http.services import Services
from api.operator.first_run import load_keys
from api.subscriptions import close_codes
from config import metrics
from config.outages import OUTAGES
from dispatch.credentials import Credentials
from storage.errors import StorageError
from storage.postgres.database import SLOW_S

log = structlog.get_logger()

REVOCATIONS_S = 0.5
# Access tokens live ten minutes; minted ones longer, and the query knows them by their name.
REVOKED_WITHIN_S = 900.0
# Keys are looked at every so many of these looks. A new one is in use minutes after it was made.
KEYS_TURNS = 2
# Sockets looked at before others get their turn of the loop.
WALK = 1000
LAG_S = 0.1
# Probes look as often; they share what was seen (storage/health.py).
SERVERS_S = 1.0
# A whole collection looks at every object of every actor and socket: 0.7 to 1 s at 10,000 sockets, 18 s
# apart, in the middle of any request (measured before this was here). Actors' states hold no
# cycles; what does, the young generations find. They count what is made less what dies, so where states
# are replaced and connections kept they are not looked at for seconds, and then for 0.15 s at once
# (10,000 connections, measured): a clock drives them instead. Under 4,000 acceptances a second each look took 3 to
# 15 ms (what lives is cold by then) and found nothing, so looks are samples, of the last 20 ms of every tenth
# turn: the rest is frozen, which costs nothing, and melts for the whole round, together with the 90,000 objects of
# the start (40 ms).
# The thresholds are for a flood between two ticks: lower, they looked at what lives on a second time.
GC_THRESHOLDS = (50_000, 1, 1_000_000)
GC_YOUNG_S = 0.1
# One turn in so many is looked at while nothing is found.
GC_LOOK = 10
GC_SAMPLE_S = 0.02
GC_WHOLE_S = 300.0


def _count_sessions(services: Services) -> None:
    """How often a session was known already: counting each by itself would cost each request."""
    tokens = services.tokens
    shown, checked = tokens.shown, tokens.checked
    tokens.shown = tokens.checked = 0
    metrics.cache_count("session", "hit").inc(shown - checked)
    metrics.cache_count("session", "miss").inc(checked)


async def look_at_revocations(tokens: Tokens, credentials: Credentials) -> frozenset[str | int]:
    """Look once, and hold what was found: sessions that have ended, users that are shut out."""
    asked_at = tokens.now()
    row = await credentials.revocations(REVOKED_WITHIN_S)
    tokens.shut_out(row["sessions"], row["users"], asked_at)
    return frozenset((*row["sessions"], *row["users"]))


async def open_tokens(credentials: Credentials, clock: Clock, entropy: Randomness) -> Tokens:
    """The tokens of this instance, after a first look at what was revoked where that is possible."""
    tokens = Tokens(await load_keys(credentials), clock, entropy)
    with suppress(StorageError):  # nobody is let in before a look: the next one is on its way
        await look_at_revocations(tokens, credentials)
    return tokens


async def watch_revocations(services: Services) -> None:
    """Look at the revocations twice a second, and close the sockets of those who were just cut off; every second
    the signing keys.
    """
    seen: frozenset[str | int] = frozenset()
    for turn in itertools.count():
        _count_sessions(services)
        try:
            found = await look_at_revocations(services.tokens, services.credentials)
            await _close_sockets(services, found - seen)
            seen = found
            if turn % KEYS_TURNS == 0:
                await services.credentials.trim()
                services.tokens.use_keys(await load_keys(services.credentials))
        except Exception as error:  # noqa: BLE001 - the next look is the cure
            failed_chore("revocations", error)
        await asyncio.sleep(REVOCATIONS_S)


async def watch_sight(services: Services) -> None:
    """Say once when the revocations cannot be seen and once when they can again; in between, after PUSHED_BLIND_S,
    close the sockets, which would go on hearing of orders.
    """
    lost_at: float | None = None
    while True:
        await asyncio.sleep(REVOCATIONS_S)
        lost_at = heed_sight(services, lost_at)


def heed_sight(services: Services, lost_at: float | None) -> float | None:
    """One turn of it; takes and returns since when nothing is seen, None while all is well."""
    now = services.clock.monotonic()
    if not services.tokens.is_blind():
        if lost_at is not None:
            log.warning("sees_revocations", duration_s=round(now - lost_at, 1))
        return None
    if lost_at is None:
        log.warning("lost_sight_of_revocations", bound_s=BLIND_S)
    if services.tokens.is_blind(PUSHED_BLIND_S):
        for session in list(services.hub.sessions.values()):
            session.close(close_codes.OVERLOADED)
    return now if lost_at is None else lost_at


async def _close_sockets(services: Services, cut_off: frozenset[str | int]) -> None:
    """Close the sockets of sessions and users that were just found; one walk for all of them."""
    if not cut_off:
        return
    for index, session in enumerate(list(services.hub.sessions.values()), 1):
        who = session.principal
        if who.session in cut_off or who.number in cut_off:
            session.close(close_codes.UNAUTHENTICATED)
        if index % WALK == 0:
            await asyncio.sleep(0)


async def watch_servers(services: Services) -> None:
    """Look at Postgres, Redis and the disk every second: one line when one is lost, one when it is back."""
    try:
        while True:
            await asyncio.sleep(SERVERS_S)
            seen = await services.prober.look()
            for name, state in seen.items():
                OUTAGES.look(name, None if state == "up" else services.prober.reasons.get(name, "no answer"))
    finally:
        OUTAGES.release()


async def hindrances(services: Services) -> str:
    """Why nothing is served yet; "" when everything is."""
    settled, looked = services.cluster.reconciler.settled.is_set(), services.tokens.looked.is_set()
    if settled and looked:
        return ""
    down = [name for name, state in (await services.prober.look()).items() if state != "up"]
    told = [f"{name.capitalize()}: {services.prober.reasons.get(name, 'no answer')}" for name in down]
    return "; ".join(told) or ("revocations are not known yet" if settled else "it has no shards yet")


async def watch_loop(services: Services) -> None:
    """Measure how late the loop wakes; probes ask when it last did."""
    loop = asyncio.get_running_loop()
    seen = loop.time()
    services.watchdog = lambda: loop.time() - seen
    while True:
        due = loop.time() + LAG_S
        await asyncio.sleep(LAG_S)
        seen = loop.time()
        metrics.LOOP_LAG_SECONDS.observe(max(0.0, seen - due))


def collect_young(turn: int, found: int) -> int:
    """Look at what was made since the last freeze, in every turn while the last look found something, else in one of
    GC_LOOK; then it is old, at no cost. What is not looked at waits for the whole round.

    Args:
        turn: its number since the whole round.
        found: what the last look found.

    Returns:
        How many objects this look has found, or the last one.
    """
    if found or turn % GC_LOOK == 0:
        found = gc.collect(1)
    gc.freeze()
    return found


async def collect_garbage() -> None:
    """Keep collections short: the young often, everything every five minutes, nothing by itself."""
    gc.collect()
    gc.freeze()
    before = gc.get_threshold()
    gc.set_threshold(*GC_THRESHOLDS)
    try:
        while True:
            found = 0
            for turn in range(round(GC_WHOLE_S / GC_YOUNG_S)):
                await asyncio.sleep(GC_YOUNG_S - GC_SAMPLE_S)
                if not found:
                    gc.freeze()
                await asyncio.sleep(GC_SAMPLE_S)
                found = collect_young(turn, found)
            began = perf_counter()
            gc.unfreeze()
            gc.collect()
            gc.freeze()
            metrics.CHORE_SECONDS.labels("collect_garbage").observe(perf_counter() - began)
    finally:
        gc.set_threshold(*before)
        gc.unfreeze()


def observe_query(name: str, seconds: float) -> None:
    """Count a named block and its time."""
    metrics.query_seconds(name).observe(seconds)


def observe_flush(name: str, seconds: float) -> None:
    """The same for a flush, which has no eye of its own for slow ones."""
    observe_query(name, seconds)
    if seconds > SLOW_S:
        tell_slow_query(name, seconds)


def tell_slow_query(name: str, seconds: float) -> None:
    """Count and log a slow one."""
    metrics.SLOW_QUERIES.labels(name).inc()
    log.warning("ran_slow_query", query=name, duration_s=round(seconds, 4))
