"""Sliding window in the memory of one instance: the fallback of rate limits, and their first check."""

from __future__ import annotations

from bisect import bisect_right, insort

# The longest window. A log whose last hit is older is dropped.
WINDOW_S_MAX = 60
# Limits of hits and keys, about 50 MB. Above either, the keys without hits for the longest time are dropped.
HITS_MAX = 1_000_000
KEYS_MAX = 50_000

Key = tuple[str, int | str]


class LocalWindow:
    """Times of the last hits of each key, in seconds of a monotonic clock."""

    def __init__(self, hits_max: int = HITS_MAX, keys_max: int = KEYS_MAX) -> None:
        self._hits_max = hits_max
        self._keys_max = keys_max
        # Keys in the order of their last hits, each with its times in order.
        self._logs: dict[Key, list[float]] = {}
        self._held = 0

    def __len__(self) -> int:
        """Number of hits in memory, including past ones."""
        return self._held

    def used(self, key: Key, window_s: float, now: float) -> int:
        """Number of hits in the window that ends now."""
        log = self._logs.get(key)
        if log is None:
            return 0
        if log[0] <= now - window_s:
            past = bisect_right(log, now - window_s)
            del log[:past]
            self._held -= past
            if not log:
                del self._logs[key]
        return len(log)

    def wait_s(self, key: Key, limit: int, window_s: float, now: float) -> float:
        """Seconds until fewer than `limit` are used; if fewer are used now, until one more is free."""
        log = self._logs.get(key)
        return log[max(0, len(log) - limit)] + window_s - now if log else window_s

    def add(self, key: Key, at: float) -> None:
        """Count a hit."""
        log = self._logs.pop(key, None)
        if log is None:
            log = []
            self._forget_past(at)
        self._logs[key] = log
        insort(log, at)  # of two concurrent calls of Redis, the later one may return first
        self._held += 1
        while len(self._logs) > self._keys_max or (self._held > self._hits_max and len(self._logs) > 1):
            self._forget(next(iter(self._logs)))

    def take_back(self, key: Key, at: float) -> None:
        """Take back a hit that was counted at this time, unless it is past."""
        log = self._logs.get(key)
        if log is not None and at in log:
            log.remove(at)
            self._held -= 1
            if not log:
                del self._logs[key]

    def _forget_past(self, now: float) -> None:
        """Drop two past keys for each new one, so that they do not accumulate."""
        for _ in range(2):
            quiet = next(iter(self._logs), None)
            if quiet is None or self._logs[quiet][-1] > now - WINDOW_S_MAX:
                return
            self._forget(quiet)

    def _forget(self, key: Key) -> None:
        self._held -= len(self._logs.pop(key))
