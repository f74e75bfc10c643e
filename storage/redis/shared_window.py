"""Sliding window in Redis: counts many requests in one call, and is bypassed after a call without an answer.

Requests that arrive while enough calls are under way wait for the next call. So a request costs one round trip at most,
and a hundredth of one under load. After one call without an answer in time, all others bypass Redis until a probe
succeeds. So an outage costs the few requests under way BUDGET_S, and the others nothing.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from redis.exceptions import NoScriptError

from actors.batcher import Batcher
from actors.cancellation import end
from actors.errors import NotWritten, Unanswered
from actors.values import frozen
from storage.redis.client import FAILURES, Client
from storage.redis.keys import Keyspace
from storage.redis.local_window import WINDOW_S_MAX

_SCRIPT = (Path(__file__).parent / "lua" / "shared_window.lua").read_text()
# Limit of a request's wait for Redis.
BUDGET_S = 0.05
# If the event loop was blocked for longer than this when the budget ran out, the answer may be unread: the call gets
# the same time again.
LATE_S = 0.01
PROBE_S = 0.5
# Limit for connecting and loading the script at the start.
WARM_S = 2.0
# The probe's request, under a limit of one per millisecond.
_PROBE: tuple[int | str, ...] = (0, "", 1, 1, 1000)
# This many requests of two keys each keep Redis busy for a millisecond.
BATCH_MAX = 128
WAITING_MAX = 2000
# Limits of single calls and of batches under way. Above them, requests wait and become a batch.
LANES = 2


@frozen
class Policy:
    """Limit of requests in any `window_s` seconds (at most WINDOW_S_MAX).

    `shared`: counted by all instances together; otherwise by each for itself, in memory.
    """

    name: str
    limit: int
    window_s: int = 60
    shared: bool = True

    def __post_init__(self) -> None:
        assert 0 < self.window_s <= WINDOW_S_MAX


# A policy, and the user or address that it is applied to.
Claim = tuple[Policy, int | str]


@dataclass(slots=True)
class Receipt:
    """Receipt of a hit: its claims, its time by the local clock, and by Redis's clock ("": not counted there)."""

    claims: tuple[Claim, ...]
    at: float
    stamp: str


@dataclass(slots=True)
class Ask:
    """Request to count: its claims, and a hit that is given back if it is counted."""

    claims: tuple[Claim, ...]
    back: Receipt | None = None


class SharedWindow:
    """Counts requests in Redis, within `running()`.

    Args:
        client: of Redis.
        keys: of the cluster.
        failed: called after each failed call.
        changed: called with True when Redis is lost, with False when it is back again.
        budget_s: limit of a request's wait.
    """

    def __init__(
        self,
        client: Client,
        keys: Keyspace,
        failed: Callable[[], None],
        changed: Callable[[bool], None],
        budget_s: float,
    ) -> None:
        self._client = client
        self._script = client.register_script(_SCRIPT)
        self._base = keys.beginning("limit")
        self._failed = failed
        self._changed = changed
        self._budget_s = budget_s
        self._batches: Batcher[Ask, list[int]] = Batcher(
            self._ask_all, batch_max=BATCH_MAX, waiting_max=WAITING_MAX
        )
        self._running = False
        self._direct = 0
        self._away = asyncio.Event()

    @property
    def away(self) -> bool:
        """True while Redis is bypassed."""
        return self._away.is_set() or not self._running

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Make calls until the block ends."""
        await self._warm()
        async with asyncio.TaskGroup() as tasks:
            loops = [tasks.create_task(self._batches.run(), name="limits") for _ in range(LANES)]
            loops.append(tasks.create_task(self._probe(), name="probe of the limits"))
            self._running = True
            try:
                yield
            finally:
                self._running = False
                await end(loops)

    async def ask(self, ask: Ask) -> list[int]:
        """Count a request: allowed or not, Redis's time, and per claim the hits used and microseconds until one is
        free.

        Raises:
            NotWritten, Unanswered, Overloaded: nothing.
        """
        if self._direct >= LANES:
            return await self._batches.ask(ask)
        # At low load a batch costs more than it saves.
        self._direct += 1
        try:
            [answer] = await self._ask_for(ask)
            return answer
        finally:
            self._direct -= 1

    async def _ask_all(self, batch: Sequence[Ask]) -> list[list[int]]:
        return await self._ask_for(*batch)

    async def _ask_for(self, *batch: Ask) -> list[list[int]]:
        """Make one call for many requests.

        Raises:
            NotWritten: Redis is away.
            Unanswered: it did not answer.
        """
        if self._away.is_set():
            raise NotWritten("away", transient=True)
        keys: list[str] = []
        args: list[str | int] = []
        for ask in batch:
            back = () if ask.back is None else ask.back.claims
            keys += [self._key(claim) for claim in (*back, *ask.claims)]
            args += [len(back), "" if ask.back is None else ask.back.stamp, len(ask.claims)]
            for policy, _ in ask.claims:
                args += [policy.limit, policy.window_s * 1_000_000]
        try:
            return await self._call(keys, args)
        except FAILURES as error:
            self._turn_away()
            raise Unanswered(type(error).__name__) from error

    async def _call(self, keys: list[str], args: list[Any]) -> list[list[int]]:
        loop = asyncio.get_running_loop()
        async with asyncio.timeout(None) as budget:
            timer = loop.call_later(self._budget_s, self._expire, budget, loop.time() + self._budget_s)
            try:
                answers: list[list[int]] = await self._run(keys, args)
                return answers
            finally:
                timer.cancel()

    async def _run(self, keys: list[str], args: Sequence[Any]) -> Any:
        try:
            # redis-py's script object would do the same, but costs a tenth of the whole call.
            return await self._client.evalsha(self._script.sha, len(keys), *keys, *args)
        except NoScriptError:
            return await self._script(keys=keys, args=args)

    @staticmethod
    def _expire(budget: asyncio.Timeout, due: float) -> None:
        """Handle the end of the budget, which Redis or the local loop has used up."""
        now = asyncio.get_running_loop().time()
        budget.reschedule(now if now - due < LATE_S else now + LATE_S)

    def _key(self, claim: Claim) -> str:
        return f"{self._base}{claim[0].name}:{claim[1]}"

    def _turn_away(self) -> None:
        """Bypass Redis from now on."""
        self._failed()
        if not self._away.is_set():
            self._away.set()
            self._changed(True)

    async def _warm(self) -> None:
        """Connect and load the script, so that no request has to."""
        try:
            async with asyncio.timeout(WARM_S), asyncio.TaskGroup() as tasks:
                for _ in range(2 * LANES):
                    tasks.create_task(self._run([f"{self._base}probe"], _PROBE), name="warming")
        except* FAILURES:
            self._turn_away()

    async def _probe(self) -> None:
        """Probe Redis while it is bypassed, without a waiting request."""
        while True:
            await self._away.wait()
            await asyncio.sleep(PROBE_S)
            with suppress(Exception):  # after any error the next probe must follow
                await self._call([f"{self._base}probe"], list(_PROBE))
                self._away.clear()
                self._changed(False)
