"""Rate limits: a sliding log per user or address, exact in any window, one round trip.

Without Redis each instance falls back to a log of its own: reads and orders stay up, logins stay
limited.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from actors.clock import Clock, Entropy
from storage.redis.client import FAILURES, Client

_SCRIPT = (Path(__file__).parent / "lua" / "sliding_log.lua").read_text()
# Keys of the local fallback; beyond it the oldest are forgotten.
LOCAL_KEYS_MAX = 50_000


@dataclass(frozen=True, slots=True)
class Policy:
    """At most `limit` in any `window_s` seconds."""

    name: str
    limit: int
    window_s: int = 60


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a limit says to one request: allowed or not, how many are left, when the next is free."""

    allowed: bool
    remaining: int
    wait_s: float


class RateLimits:
    """Counts hits. `failed` is called whenever Redis could not be asked."""

    def __init__(self, client: Client, clock: Clock, entropy: Entropy, failed: Callable[[], None]) -> None:
        self._script = client.register_script(_SCRIPT)
        self._clock = clock
        self._entropy = entropy
        self._failed = failed
        self._local: dict[str, deque[float]] = {}

    async def hit(self, policy: Policy, who: str) -> Verdict:
        """Count one request of `who`, unless it is over the limit."""
        key = f"mall:limit:{{{policy.name}:{who}}}"
        args: list[str | int] = [policy.limit, policy.window_s * 1000, self._entropy.token()[:12]]
        try:
            allowed, remaining, wait_ms = await self._script(keys=[key], args=[*args])
        except FAILURES:
            self._failed()
            return self._hit_local(policy, key)
        return Verdict(bool(allowed), int(remaining), int(wait_ms) / 1000)

    def _hit_local(self, policy: Policy, key: str) -> Verdict:
        now = self._clock.monotonic()
        hits = self._local.pop(key, None) or deque()
        self._local[key] = hits
        while len(self._local) > LOCAL_KEYS_MAX:
            del self._local[next(iter(self._local))]
        while hits and hits[0] <= now - policy.window_s:
            hits.popleft()
        if len(hits) >= policy.limit:
            return Verdict(False, 0, hits[0] + policy.window_s - now)
        hits.append(now)
        return Verdict(True, policy.limit - len(hits), float(policy.window_s))
