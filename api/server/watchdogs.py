"""Background checks of an instance: revocations, signing keys, storage servers, garbage collection and loop lag."""

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
from api.ops.health import LATE_S
from api.subscriptions import close_codes
from config import metrics
from config.outages import OUTAGES
from dispatch.credentials import Credentials
from storage.errors import StorageError

log = structlog.get_logger()

REVOCATIONS_S = 0.5
# Access tokens live ten minutes; minted ones longer, and the query recognizes them by their session's name.
REVOKED_WITHIN_S = 900.0
# Signing keys are read once in this many looks. A new key signs minutes after it was made.
KEYS_TURNS = 2
# Sockets visited before the loop gets a turn.
WALK = 1000
LAG_S = 0.1
# Probes look as often; they share the result (storage/health.py).
SERVERS_S = 1.0
# A full collection examines every object of every actor and socket: 0.7 to 1 s at 10,000 sockets, every 18 s, in the
# middle of any request (measured without these settings). Actors' states contain no cycles, and the young generations
# find the others. Python triggers them by the number of new objects less the freed ones. Where states are replaced and
# connections kept, that leaves them idle for seconds, and then takes 0.15 s at once (10,000 connections, measured). A
# clock triggers them instead. Under 4,000 acceptances a second each collection took 3 to 15 ms, as old objects are not
# in the processor's caches, and found nothing. So collections are samples: they examine the objects made in the last
# 20 ms of every tenth turn. All others are frozen, which costs nothing, and are unfrozen for the full collection,
# together with the 90,000 objects of the start (40 ms).
# The thresholds are for a flood between two turns: with lower ones, old objects were examined a second time.
GC_THRESHOLDS = (50_000, 1, 1_000_000)
GC_YOUNG_S = 0.1
# While nothing is found, one turn in this many is examined.
GC_LOOK = 10
GC_SAMPLE_S = 0.02
GC_WHOLE_S = 300.0


def _count_sessions(services: Services) -> None:
    """Count tokens that were verified already; a metric per request would cost too much."""
    tokens = services.tokens
    shown, checked = tokens.shown, tokens.checked
    tokens.shown = tokens.checked = 0
    metrics.cache_count("session", "hit").inc(shown - checked)
    metrics.cache_count("session", "miss").inc(checked)


async def look_at_revocations(tokens: Tokens, credentials: Credentials) -> frozenset[str | int]:
    """Read the revocations once and apply them: returns sessions that have ended and users that are blocked."""
    asked_at = tokens.now()
    row = await credentials.revocations(REVOKED_WITHIN_S)
    tokens.shut_out(row["sessions"], row["users"], asked_at)
    return frozenset((*row["sessions"], *row["users"]))


async def open_tokens(credentials: Credentials, clock: Clock, entropy: Randomness) -> Tokens:
    """The tokens of this instance, after a first look at the revocations where that is possible."""
    tokens = Tokens(await load_keys(credentials), clock, entropy)
    with suppress(StorageError):  # no token is accepted before a look; the next one follows
        await look_at_revocations(tokens, credentials)
    return tokens


async def watch_revocations(services: Services) -> None:
    """Read the revocations twice a second, and the signing keys every second.

    The sockets of newly revoked sessions and users are closed.
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
        except Exception as error:  # noqa: BLE001 - the next look corrects it
            failed_chore("revocations", error)
        await asyncio.sleep(REVOCATIONS_S)


async def watch_sight(services: Services) -> None:
    """Log once when the revocations cannot be read, and once when they can again.

    After PUSHED_BLIND_S without them, close the sockets, which would go on receiving orders.
    """
    lost_at: float | None = None
    while True:
        await asyncio.sleep(REVOCATIONS_S)
        lost_at = heed_sight(services, lost_at)


def heed_sight(services: Services, lost_at: float | None) -> float | None:
    """One step of `watch_sight`; takes and returns the time of the loss, None while revocations can be read."""
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
    """Close the sockets of newly revoked sessions and users, in one walk over all sockets."""
    if not cut_off:
        return
    for index, session in enumerate(list(services.hub.sessions.values()), 1):
        who = session.principal
        if who.session in cut_off or who.number in cut_off:
            session.close(close_codes.UNAUTHENTICATED)
        if index % WALK == 0:
            await asyncio.sleep(0)


async def watch_servers(services: Services) -> None:
    """Look at Postgres, Redis and the disk every second: one log line when one is lost, one when it is back."""
    try:
        while True:
            await asyncio.sleep(SERVERS_S)
            seen = await services.prober.look()
            for name, state in seen.items():
                OUTAGES.look(name, None if state == "up" else services.prober.reasons.get(name, "no answer"))
    finally:
        OUTAGES.release()


async def hindrances(services: Services) -> str:
    """Why no request can be served yet; "" when requests are served."""
    settled, looked = services.cluster.reconciler.settled.is_set(), services.tokens.looked.is_set()
    if settled and looked:
        return ""
    down = [name for name, state in (await services.prober.look()).items() if state != "up"]
    told = [f"{name.capitalize()}: {services.prober.reasons.get(name, 'no answer')}" for name in down]
    return "; ".join(told) or ("revocations are not known yet" if settled else "it has no shards yet")


async def watch_loop(services: Services) -> None:
    """Measure how late the loop wakes; probes ask for the last time that it did."""
    loop = asyncio.get_running_loop()
    seen = loop.time()
    services.watchdog = lambda: loop.time() - seen
    while True:
        due = loop.time() + LAG_S
        await asyncio.sleep(LAG_S)
        seen = loop.time()
        metrics.LOOP_LAG_SECONDS.observe(max(0.0, seen - due))
        if seen - due >= LATE_S:
            services.late_at = services.clock.monotonic()


def collect_young(turn: int, found: int) -> int:
    """Collect the objects made since the last freeze, then freeze them.

    It runs in every turn while the last one found garbage, else in one of GC_LOOK; objects that are not examined wait
    for the full collection.

    Args:
        turn: its number since the full collection.
        found: objects that the last examination found.

    Returns:
        Objects that this examination has found, or else the last one.
    """
    if found or turn % GC_LOOK == 0:
        found = gc.collect(1)
    gc.freeze()
    return found


async def collect_garbage() -> None:
    """Keep collections short: young objects often, all objects every five minutes, and no automatic collection."""
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
