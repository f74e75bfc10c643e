"""Rate limits: a sliding log per user or address, exact in any window across all instances.

Requests that arrive while a call to Redis is under way are counted by the next one: never more than a round trip
for a request, and a hundredth of one in a rush. Each instance also keeps what it has let through itself. So whoever
is over the limit is refused without asking Redis, and no instance ever lets more than the limit through, whatever
becomes of Redis.

Without Redis an instance allows its share of the limit: the limit divided by the number of instances, at least one.
One call that gets no answer in time turns all others away from Redis until a probe finds it again, so that an
outage costs those few that are under way BUDGET_S, and all others nothing.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from redis.exceptions import NoScriptError

from actors.batch import Batcher
from actors.clock import Clock
from actors.ending import end
from actors.errors import JournalError, NotWritten, Overloaded, Unanswered
from storage.redis.client import FAILURES, Client
from storage.redis.local_log import WINDOW_S_MAX, Key, LocalLog

_SCRIPT = (Path(__file__).parent / "lua" / "sliding_log.lua").read_text()
# What an answer of Redis may cost a request.
BUDGET_S = 0.05
# If our own loop stood still for longer than this when the budget ran out, the answer may lie there unread: it gets
# as much time again, in which we look.
LATE_S = 0.01
PROBE_S = 0.5
# At the start: connecting, and bringing the script.
WARM_S = 2.0
# A request of nobody, under a limit of one in a millisecond.
_PROBE: tuple[int | str, ...] = (0, "", 1, 1, 1000)
# So many requests with two keys each keep Redis busy for a millisecond.
BATCH_MAX = 128
WAITING_MAX = 2000
# So many requests ask by themselves, and so many batches are on their way, before others wait and become a batch.
LANES = 2


@dataclass(frozen=True, slots=True)
class Policy:
    """At most `limit` requests in any `window_s` seconds (at most WINDOW_S_MAX). `shared`: counted by all instances
    together; otherwise each counts for itself, in memory.
    """

    name: str
    limit: int
    window_s: int = 60
    shared: bool = True

    def __post_init__(self) -> None:
        assert 0 < self.window_s <= WINDOW_S_MAX


# Who is held to which policy: a number of a user, or an address.
Claim = tuple[Policy, int | str]


@dataclass(slots=True)
class Receipt:
    """A hit that may be given back: where it was counted, when by our clock, and when by that of Redis ("": it was
    not counted there).
    """

    claims: tuple[Claim, ...]
    at: float
    stamp: str


@dataclass(slots=True)
class Verdict:
    """What the limits say to one request.

    Attributes:
        allowed: it may pass.
        policy: the one that is nearest to its limit, or that refuses for the longest time.
        remaining: how many more may pass at once.
        wait_s: how long until there is one more.
        violated: names of the policies that refuse.
        receipt: for `move`; None when nothing was counted.
    """

    allowed: bool
    policy: Policy
    remaining: int
    wait_s: float
    violated: tuple[str, ...] = ()
    receipt: Receipt | None = None


@dataclass(slots=True)
class _Ask:
    """One request of a batch."""

    claims: tuple[Claim, ...]
    back: Receipt | None = None


class RateLimits:
    """Counts hits. Only within `running()` Redis is asked.

    Args:
        client: of Redis.
        clock: its monotonic seconds.
        prefix: name of the cluster. Clusters of different names may share a server.
        instances: how many share the limits now.
        failed: called for each call to Redis that failed.
        changed: called with True when counting goes on without Redis, with False when Redis is back.
        budget_s: what an answer of Redis may cost a request.
    """

    def __init__(
        self,
        client: Client,
        clock: Clock,
        *,
        prefix: str = "mall",
        instances: Callable[[], int] = lambda: 1,
        failed: Callable[[], None] = lambda: None,
        changed: Callable[[bool], None] = lambda _: None,
        budget_s: float = BUDGET_S,
    ) -> None:
        self._client = client
        self._script = client.register_script(_SCRIPT)
        self._clock = clock
        # Braces make a hash tag: on a Redis cluster all keys are in one slot, as scripts need it.
        self._base = f"{{{prefix}}}:limit:"
        self._instances = instances
        self._failed = failed
        self._changed = changed
        self._budget_s = budget_s
        self._local = LocalLog()
        self._batches: Batcher[_Ask, list[int]] = Batcher(
            self._ask_all, batch_max=BATCH_MAX, waiting_max=WAITING_MAX
        )
        self._running = False
        self._direct = 0
        self._away = asyncio.Event()

    @property
    def alone(self) -> bool:
        """True while this instance counts without Redis."""
        return self._away.is_set() or not self._running

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Ask Redis until the block ends."""
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

    # -- counting -----------------------------------------------------------------------------

    async def hit(self, *claims: Claim) -> Verdict:
        """Count one request under all claims, or under none if one of them is at its limit."""
        now = self._clock.monotonic()
        refused = self._refusal(claims, now)
        if refused is not None:
            return refused
        if not self.alone:
            try:
                answer = await self._ask(_Ask(claims))
            except (JournalError, Overloaded):
                now = self._clock.monotonic()
            else:
                return self._settle(claims, answer, now)
        return self._hit_alone(claims, now)

    def hit_here(self, policy: Policy, who: int | str) -> Verdict:
        """Count one request in this instance alone; never waits."""
        now, key, limit = self._clock.monotonic(), (policy.name, who), policy.limit
        used = self._local.used(key, policy.window_s, now)
        if used < limit:
            self._local.add(key, now)
            return Verdict(
                True, policy, limit - used - 1, self._local.wait_s(key, limit, policy.window_s, now)
            )
        wait_s = self._local.wait_s(key, limit, policy.window_s, now)
        return Verdict(False, policy, 0, wait_s, (policy.name,))

    async def move(self, receipt: Receipt, *claims: Claim) -> Verdict:
        """Give a hit back and count it under other claims; if one of these is at its limit, neither."""
        now = self._clock.monotonic()
        verdict = self._refusal(claims, now)
        if verdict is None and not self.alone and receipt.stamp:
            try:
                answer = await self._ask(_Ask(claims, receipt))
            except (JournalError, Overloaded):
                now = self._clock.monotonic()
            else:
                verdict = self._settle(claims, answer, now)
        verdict = verdict or self._hit_alone(claims, now)
        if verdict.allowed:
            for policy, who in receipt.claims:
                self._local.take_back((policy.name, who), receipt.at)
        return verdict

    def _refusal(self, claims: Sequence[Claim], now: float, sharers: int = 1) -> Verdict | None:
        """What our own log says, if it refuses; of each limit we may have one part in `sharers`.

        A hit is noted here with the time when it was sent to Redis, which is earlier than the time that
        Redis notes: who is refused here would be refused there, too.
        """
        violated, slowest, wait_s = [], None, -1.0
        for policy, who in claims:
            key: Key = (policy.name, who)
            part = _part(policy, sharers)
            if self._local.used(key, policy.window_s, now) >= part:
                violated.append(policy.name)
                free_s = self._local.wait_s(key, part, policy.window_s, now)
                if free_s > wait_s:
                    slowest, wait_s = policy, free_s
        return None if slowest is None else Verdict(False, slowest, 0, wait_s, tuple(violated))

    def _hit_alone(self, claims: tuple[Claim, ...], now: float) -> Verdict:
        """Count without Redis."""
        sharers = max(1, self._instances())
        refused = self._refusal(claims, now, sharers)
        if refused is not None:
            return refused
        tightest, least, wait_s = claims[0][0], -1, 0.0
        for policy, who in claims:
            key, part = (policy.name, who), _part(policy, sharers)
            self._local.add(key, now)
            left = part - self._local.used(key, policy.window_s, now)
            if least < 0 or left < least:
                tightest, least = policy, left
                wait_s = self._local.wait_s(key, part, policy.window_s, now)
        return Verdict(True, tightest, least, wait_s, (), Receipt(claims, now, ""))

    def _settle(self, claims: tuple[Claim, ...], answer: list[int], now: float) -> Verdict:
        """The verdict of Redis. `now`: when it was asked."""
        if not answer[0]:
            return _refused(claims, answer)
        # After an outage Redis knows less than we do.
        refused = self._refusal(claims, now)
        if refused is not None:
            return refused
        for policy, who in claims:
            self._local.add((policy.name, who), now)
        tightest = min(range(len(claims)), key=lambda i: claims[i][0].limit - answer[2 + 2 * i])
        policy = claims[tightest][0]
        used, wait_us = answer[2 + 2 * tightest : 4 + 2 * tightest]
        receipt = Receipt(claims, now, str(answer[1]))
        return Verdict(True, policy, max(0, policy.limit - used), wait_us / 1e6, (), receipt)

    # -- Redis --------------------------------------------------------------------------------

    async def _ask(self, ask: _Ask) -> list[int]:
        """What Redis says to one request.

        Raises:
            NotWritten, Unanswered, Overloaded: nothing.
        """
        if self._direct >= LANES:
            return await self._batches.ask(ask)
        # With little to do the way over a batch costs more than it saves.
        self._direct += 1
        try:
            [answer] = await self._ask_for(ask)
            return answer
        finally:
            self._direct -= 1

    async def _ask_all(self, batch: Sequence[_Ask]) -> list[list[int]]:
        return await self._ask_for(*batch)

    async def _ask_for(self, *batch: _Ask) -> list[list[int]]:
        """One call for many requests.

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
            # The script object would do the same, at a tenth of the price of the whole call.
            return await self._client.evalsha(self._script.sha, len(keys), *keys, *args)
        except NoScriptError:
            return await self._script(keys=keys, args=args)

    @staticmethod
    def _expire(budget: asyncio.Timeout, due: float) -> None:
        """The budget is used up, by Redis or by ourselves."""
        now = asyncio.get_running_loop().time()
        budget.reschedule(now if now - due < LATE_S else now + LATE_S)

    def _key(self, claim: Claim) -> str:
        return f"{self._base}{claim[0].name}:{claim[1]}"

    def _turn_away(self) -> None:
        """Count without Redis from now on."""
        self._failed()
        if not self._away.is_set():
            self._away.set()
            self._changed(True)

    async def _warm(self) -> None:
        """Connect, and bring the script: no request should have to."""
        try:
            async with asyncio.timeout(WARM_S), asyncio.TaskGroup() as tasks:
                for _ in range(2 * LANES):
                    tasks.create_task(self._run([f"{self._base}probe"], _PROBE), name="warming")
        except* FAILURES:
            self._turn_away()

    async def _probe(self) -> None:
        """While Redis is away, look whether it can count again; no request waits for that."""
        while True:
            await self._away.wait()
            await asyncio.sleep(PROBE_S)
            try:
                await self._call([f"{self._base}probe"], list(_PROBE))
            except FAILURES:
                continue
            self._away.clear()
            self._changed(False)


def _part(policy: Policy, sharers: int) -> int:
    return policy.limit if sharers == 1 else max(1, policy.limit // sharers)


def _refused(claims: Sequence[Claim], answer: list[int]) -> Verdict:
    """Of those that are at their limit, the one that is so for the longest."""
    violated, slowest, wait_us = [], claims[0][0], 0
    for i, (policy, _) in enumerate(claims):
        used, free_us = answer[2 + 2 * i : 4 + 2 * i]
        if used >= policy.limit:
            violated.append(policy.name)
            if free_us > wait_us:
                slowest, wait_us = policy, free_us
    return Verdict(False, slowest, 0, wait_us / 1e6, tuple(violated))
