"""Lease heartbeat: the thread that renews an instance's leases.

A thread with its own connection, because a slow iteration of the event loop must not cost the leases. It depends on the
loop's progress, because an instance with a blocked loop must lose them. (A garbage collection that holds the
interpreter stops this thread too.)
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any

import orjson
from redis import Redis
from redis.backoff import NoBackoff
from redis.commands.core import Script
from redis.maint_notifications import MaintNotificationsConfig
from redis.retry import Retry

from actors.clock import Randomness
from actors.cluster.leases import LEASE_S, LOOP_DEAD_S, RENEW_JITTER, RENEW_S, Holding, Member, Tick
from actors.shards import SHARD_COUNT
from actors.values import frozen

_TICK = (Path(__file__).parent / "lua" / "tick.lua").read_text()
# Limit for connecting and for a call: together less than JOIN_S, and less than RENEW_S.
TIMEOUT_S = 0.4
# Limit of the wait for the thread at the end of the block.
JOIN_S = 1.0
# Interval at which the loop reports progress: a small part of LOOP_DEAD_S.
PULSE_S = 0.1
# A hundred ticks a second at most, however often `hurry` is called.
GAP_S = 0.01


@frozen
class Timing:
    """Durations that tests may shorten, in seconds; see actors/cluster/leases.py."""

    lease_s: float = LEASE_S
    renew_s: float = RENEW_S
    loop_dead_s: float = LOOP_DEAD_S

    @property
    def lease_ms(self) -> int:
        return round(self.lease_s * 1000)


class Renewal:
    """Blocking renewal call. Connects when first used, and again after `close`.

    Args:
        url: URL of the Redis server.
        base: prefix of all keys, with a hash tag.
        clock: the boot clock.
        entropy: makes tokens, in the heartbeat's thread.
        lease_ms: lifetime of records and leases.
    """

    def __init__(
        self, url: str, base: str, clock: Callable[[], float], entropy: Randomness, lease_ms: int
    ) -> None:
        self._url = url
        self._base = base
        self._clock = clock
        self._entropy = entropy
        self._lease_ms = lease_ms
        self._client: Redis | None = None
        self._script: Script | None = None

    def tick(self, holding: Holding) -> Tick:
        """Renew once. Takes 0.45 ms with 256 shards (median on a local Valkey).

        Raises:
            RedisError, OSError: the server did not answer in time, or with an unexpected value.
        """
        if self._script is None:
            self._client = _connect(self._url)
            self._script = self._client.register_script(_TICK)
        member = holding.member
        args: list[Any] = [
            member.instance,
            member.incarnation,
            orjson.dumps(asdict(member)),
            self._lease_ms,
            self._entropy.token(),
            SHARD_COUNT,
            *holding.shards,
        ]
        sent_at = self._clock()
        return _read_tick(sent_at, self._script(keys=[self._base], args=args))

    def close(self) -> None:
        """Close the connection."""
        client, self._client, self._script = self._client, None, None
        if client is not None:
            client.close()


def _connect(url: str) -> Redis:
    """A client without retries and without a handshake, so that one timeout finds a hanging server."""
    return Redis.from_url(
        url,
        protocol=2,
        driver_info=None,
        maint_notifications_config=MaintNotificationsConfig(enabled=False),
        socket_timeout=TIMEOUT_S,
        socket_connect_timeout=TIMEOUT_S,
        retry=Retry(NoBackoff(), 0),
        max_connections=1,
    )


def _read_tick(sent_at: float, reply: Any) -> Tick:
    gen, young, records, names, places, before, removed = reply
    members = (_read_member(record) for record in records)
    holders = ("", *(name.decode() for name in names))
    return Tick(
        sent_at=sent_at,
        gen=gen.decode(),
        young=bool(young),
        members=tuple(sorted((m for m in members if m is not None), key=lambda m: m.instance)),
        holders=tuple(holders[int(place)] for place in places.split(b",")),
        before=_read_member(before) if before else None,
        removed=tuple(text.decode(errors="replace") for text in removed),
    )


def _read_member(record: bytes) -> Member | None:
    """Read a member record; None if another version's record is unreadable, so that only this peer is missing."""
    try:
        facts = orjson.loads(record)
        return Member(
            instance=facts["instance"],
            incarnation=facts["incarnation"],
            address=facts["address"],
            state=facts["state"],
            version=facts["version"],
            since_ms=int(facts.get("since_ms", 0)),
            life=int(facts.get("life", 0)),
        )
    except (ValueError, KeyError, TypeError):
        return None


class LeaseHeartbeat:
    """Renews leases until its block ends.

    Args:
        renewal: used by the thread only.
        holding: called in the thread before each tick.
        told: called on the loop with each tick, or None after a failure; not after the block.
        clock: the boot clock.
        entropy: makes jitter, in the thread.
        timing: durations.
    """

    def __init__(
        self,
        renewal: Renewal,
        holding: Callable[[], Holding],
        told: Callable[[Tick | None], None],
        clock: Callable[[], float],
        entropy: Randomness,
        timing: Timing,
    ) -> None:
        self._renewal = renewal
        self._holding = holding
        self._told = told
        self._clock = clock
        self._entropy = entropy
        self._timing = timing
        self._loop = asyncio.get_running_loop()
        self._progress_at = clock()
        self._ended = threading.Event()
        self._wake = threading.Event()
        # A daemon thread, so that the program can end if a name server hangs longer than JOIN_S.
        self._thread = threading.Thread(target=self._run, name="lease ticker", daemon=True)
        # Reason of the last tick's failure; "" after a success.
        self.trouble = ""

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Tick until the block ends. Waits at most JOIN_S for the thread, without blocking the loop."""
        self._thread.start()
        async with asyncio.TaskGroup() as tasks:
            pulse = tasks.create_task(self._show_progress(), name="lease pulse")
            try:
                yield
            finally:
                self._ended.set()
                self._wake.set()
                pulse.cancel()
                await asyncio.to_thread(self._thread.join, JOIN_S)

    def hurry(self) -> None:
        """Run the next tick now."""
        self._wake.set()

    async def _show_progress(self) -> None:
        while True:
            self._progress_at = self._clock()
            await asyncio.sleep(PULSE_S)

    def _run(self) -> None:
        while not self._ended.is_set():
            # Before `holding` is called: a later change hurries the tick after this one.
            self._wake.clear()
            began = self._clock()
            self._report(self._tick())
            # Counted from the tick's start, so that a timeout does not delay the next one.
            pause_s = self._timing.renew_s * (1 + RENEW_JITTER * (2 * self._entropy.random() - 1))
            if not self._ended.wait(GAP_S):
                self._wake.wait(min(pause_s, max(0.0, pause_s - (self._clock() - began))))
        self._close()

    def _tick(self) -> Tick | None:
        try:
            still_s = self._clock() - self._progress_at
            if still_s > self._timing.loop_dead_s:
                self.trouble = f"The event loop has stood still for {still_s:.1f} s."
                return None
            tick = self._renewal.tick(self._holding())
        except Exception as error:  # noqa: BLE001 - whatever it was, the next renewal must come
            self.trouble = f"{type(error).__name__}: {error}"
            self._close()
            return None
        self.trouble = ""
        return tick

    def _close(self) -> None:
        # A broken connection may fail to close. It is dropped in any case.
        with suppress(Exception):
            self._renewal.close()

    def _report(self, tick: Tick | None) -> None:
        # The loop was closed without ending the block.
        with suppress(RuntimeError):
            self._loop.call_soon_threadsafe(self._deliver, tick)

    def _deliver(self, tick: Tick | None) -> None:
        if not self._ended.is_set():
            self._told(tick)
