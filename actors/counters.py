"""Counters of the runtime: plain integers that a scrape reads, so that no turn calls a metrics library."""

from __future__ import annotations

from collections import Counter, deque

# Enough samples for the p99 of the last seconds under load.
NEWEST = 4096


class Samples:
    """Durations or sizes: their number, their sum, and the newest ones."""

    __slots__ = ("count", "newest", "total")

    def __init__(self) -> None:
        self.count = 0
        self.total = 0.0
        self.newest: deque[float] = deque(maxlen=NEWEST)

    def add(self, sample: float) -> None:
        self.count += 1
        self.total += sample
        self.newest.append(sample)


class Counters:
    """Counters since the start, and the newest durations. `/metrics` and `/status` read them."""

    def __init__(self) -> None:
        self.turns: Counter[str] = Counter()
        self.activations: Counter[str] = Counter()
        self.passivations: Counter[str] = Counter()
        self.crashes: Counter[str] = Counter()
        self.refusals: Counter[str] = Counter()
        self.replays = 0
        self.outcomes: Counter[str] = Counter()
        self.flushes = 0
        self.flushed_items = 0
        self.settled: Counter[str] = Counter()
        self.timers_fired = 0
        self.lost_shards = 0
        self.stale_answers = 0
        self.flush_s = Samples()
        self.flush_items = Samples()
        self.gate_wait_s = Samples()
        self.timer_late_s = Samples()
        self.lock_waits = 0
        self.clock_steps = 0
        self.slice_s_max = 0.0
