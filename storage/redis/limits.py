"""Rate limits: exact in any window, across all instances.

Redis counts for all instances (shared_window.py). Each instance also records the hits that it has allowed. So a client
over its limit is refused without a call of Redis, and no instance allows more than the limit, whatever the state of
Redis. Without Redis an instance allows its share: the limit divided by the number of instances, at least one.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass

from actors.clock import Clock
from actors.errors import JournalError, Overloaded
from storage.redis.client import Client
from storage.redis.keys import Keyspace
from storage.redis.local_window import Key, LocalWindow
from storage.redis.shared_window import BUDGET_S, Ask, Claim, Policy, Receipt, SharedWindow

__all__ = ["BUDGET_S", "Allowance", "Claim", "Policy", "RateLimits", "Receipt"]


@dataclass(slots=True)
class Allowance:
    """Decision of the limits about one request.

    Attributes:
        allowed: True if the request may pass.
        policy: the policy nearest to its limit, or the one that refuses for the longest time.
        remaining: number of further requests that may pass now.
        wait_s: seconds until one more may pass.
        violated: names of the policies that refuse.
        receipt: for `move`; None when nothing was counted.
    """

    allowed: bool
    policy: Policy
    remaining: int
    wait_s: float
    violated: tuple[str, ...] = ()
    receipt: Receipt | None = None


class RateLimits:
    """Rate limits of one instance. Redis is used only within `running()`.

    Args:
        client: of Redis.
        clock: its monotonic seconds.
        keys: of the cluster.
        instances: number of instances that share the limits.
        failed: called for each call to Redis that failed.
        changed: called with True when Redis is lost, with False when it is back.
        budget_s: limit of a request's wait for Redis.
    """

    def __init__(
        self,
        client: Client,
        clock: Clock,
        *,
        keys: Keyspace,
        instances: Callable[[], int] = lambda: 1,
        failed: Callable[[], None] = lambda: None,
        changed: Callable[[bool], None] = lambda _: None,
        budget_s: float = BUDGET_S,
    ) -> None:
        self.clock = self._clock = clock
        self._instances = instances
        self._local = LocalWindow()
        self._together = SharedWindow(client, keys, failed, changed, budget_s)

    @property
    def alone(self) -> bool:
        """True while Redis is away and this instance counts alone."""
        return self._together.away

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Use Redis until the block ends."""
        async with self._together.running():
            yield

    async def hit(self, *claims: Claim) -> Allowance:
        """Count one request under all claims, or under none if one is at its limit."""
        now = self._clock.monotonic()
        refused = self._refusal(claims, now)
        if refused is not None:
            return refused
        if not self.alone:
            try:
                answer = await self._together.ask(Ask(claims))
            except (JournalError, Overloaded):
                now = self._clock.monotonic()
            else:
                return self._settle(claims, answer, now)
        return self._hit_alone(claims, now)

    def hit_here(self, policy: Policy, who: int | str, times: int = 1) -> Allowance:
        """Count one or several requests in this instance only, without waiting."""
        now, key, limit = self._clock.monotonic(), (policy.name, who), policy.limit
        used = self._local.used(key, policy.window_s, now)
        if used + times <= limit:
            for _ in range(times):
                self._local.add(key, now)
            return Allowance(
                True, policy, limit - used - times, self._local.wait_s(key, limit, policy.window_s, now)
            )
        wait_s = self._local.wait_s(key, max(1, limit + 1 - times), policy.window_s, now)
        return Allowance(False, policy, 0, wait_s, (policy.name,))

    async def move(self, receipt: Receipt, *claims: Claim) -> Allowance:
        """Move a hit to other claims, unless one of these is at its limit."""
        now = self._clock.monotonic()
        verdict = self._refusal(claims, now)
        if verdict is None and not self.alone and receipt.stamp:
            try:
                answer = await self._together.ask(Ask(claims, receipt))
            except (JournalError, Overloaded):
                now = self._clock.monotonic()
            else:
                verdict = self._settle(claims, answer, now)
        verdict = verdict or self._hit_alone(claims, now)
        if verdict.allowed:
            for policy, who in receipt.claims:
                self._local.take_back((policy.name, who), receipt.at)
        return verdict

    async def give_back(self, receipt: Receipt) -> None:
        """Take a hit back. If Redis is not reached, the hit counts there until its window has passed."""
        if not self.alone and receipt.stamp:
            with suppress(JournalError, Overloaded):
                await self._together.ask(Ask((), receipt))
        for policy, who in receipt.claims:
            self._local.take_back((policy.name, who), receipt.at)

    def _refusal(self, claims: Sequence[Claim], now: float, sharers: int = 1) -> Allowance | None:
        """Refusal by the local log, or None. This instance's share of each limit is one part in `sharers`.

        A hit is recorded here with the time when it was sent to Redis, which is earlier than Redis's own time. So a
        request that is refused here would be refused there too.
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
        return None if slowest is None else Allowance(False, slowest, 0, wait_s, tuple(violated))

    def _hit_alone(self, claims: tuple[Claim, ...], now: float) -> Allowance:
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
        return Allowance(True, tightest, least, wait_s, (), Receipt(claims, now, ""))

    def _settle(self, claims: tuple[Claim, ...], answer: list[int], now: float) -> Allowance:
        """Decision by Redis's answer. `now`: the time of the call."""
        if not answer[0]:
            return _refused(claims, answer)
        # After an outage Redis has fewer hits than the local log.
        refused = self._refusal(claims, now)
        if refused is not None:
            return refused
        for policy, who in claims:
            self._local.add((policy.name, who), now)
        tightest = min(range(len(claims)), key=lambda i: claims[i][0].limit - answer[2 + 2 * i])
        policy = claims[tightest][0]
        used, wait_us = answer[2 + 2 * tightest : 4 + 2 * tightest]
        receipt = Receipt(claims, now, str(answer[1]))
        return Allowance(True, policy, max(0, policy.limit - used), wait_us / 1e6, (), receipt)


def _part(policy: Policy, sharers: int) -> int:
    return policy.limit if sharers == 1 else max(1, policy.limit // sharers)


def _refused(claims: Sequence[Claim], answer: list[int]) -> Allowance:
    """The policy at its limit that refuses for the longest time."""
    violated, slowest, wait_us = [], claims[0][0], 0
    for i, (policy, _) in enumerate(claims):
        used, free_us = answer[2 + 2 * i : 4 + 2 * i]
        if used >= policy.limit:
            violated.append(policy.name)
            if free_us > wait_us:
                slowest, wait_us = policy, free_us
    return Allowance(False, slowest, 0, wait_us / 1e6, tuple(violated))
